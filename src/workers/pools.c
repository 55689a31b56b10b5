/* SPDX-License-Identifier: MIT */
#include "src/workers/pools.h"

#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/error.h"

enum call {
    CALL_INT,   /* void set(int), int get(void) */
    CALL_INT64, /* the same with 64-bit integers */
    CALL_LGBM,  /* int set(int), int get(int *) */
    CALL_NONE   /* cannot be set from outside */
};

struct pool_kind {
    const char *name;
    const char *set, *get;
    const char *set_local; /* as set, for the calling thread alone */
    const char *only_with; /* a symbol of the same library that must be there */
    const char *only_without;
    enum call call;
    uint32_t scope;
    bool affixes; /* OpenBLAS: builds put something before and after every name */
};

/* MKL's lower-case names take pointers (Fortran), so only these. LLVM's and Intel's OpenMP
 * offer GNU's entry points too, but not the other way round. */
static const struct pool_kind kinds[] = {
    {"torch", "_ZN2at15set_num_threadsEi", "_ZN2at15get_num_threadsEv", NULL, NULL, NULL,
     CALL_INT, TR_SCOPE_PROCESS, false},
    {"mkl", "MKL_Set_Num_Threads", "MKL_Get_Max_Threads", "MKL_Set_Num_Threads_Local",
     NULL, NULL, CALL_INT, TR_SCOPE_PROCESS, false},
    {"openblas", "openblas_set_num_threads", "openblas_get_num_threads", NULL, NULL, NULL,
     CALL_INT, TR_SCOPE_PROCESS, true},
    {"blis", "bli_thread_set_num_threads", "bli_thread_get_num_threads", NULL, NULL, NULL,
     CALL_INT64, TR_SCOPE_PROCESS, false},
    {"flexiblas", "flexiblas_set_num_threads", "flexiblas_get_num_threads", NULL, NULL,
     NULL, CALL_INT, TR_SCOPE_PROCESS, false},
    {"lightgbm", "LGBM_SetMaxThreads", "LGBM_GetMaxThreads", NULL, NULL, NULL, CALL_LGBM,
     TR_SCOPE_PROCESS, false},
    {"onnxruntime", "OrtGetApiBase", NULL, NULL, NULL, NULL, CALL_NONE, TR_SCOPE_OBJECT,
     false},
    {"libomp", "omp_set_num_threads", "omp_get_max_threads", NULL, "__kmpc_fork_call",
     NULL, CALL_INT, TR_SCOPE_THREAD, false},
    {"libgomp", "omp_set_num_threads", "omp_get_max_threads", NULL, "GOMP_parallel",
     "__kmpc_fork_call", CALL_INT, TR_SCOPE_THREAD, false},
};

static const char *const prefixes[] = {"", "scipy_"};
static const char *const suffixes[] = {"", "64_", "_64"};

/* What may be done in the callback of dl_iterate_phdr(), which holds the loader's lock:
 * count and copy names. */
struct names {
    char *text;
    size_t used, capacity;
};

static int copy_name(struct dl_phdr_info *info, size_t size, void *context)
{
    struct names *names = context;
    size_t length = strlen(info->dlpi_name) + 1;

    (void)size;
    if (names->used + length <= names->capacity)
        memcpy(names->text + names->used, info->dlpi_name, length);
    names->used += length;
    return 0;
}

/* All names, one after the other, each with its 0. NULL: no memory. */
static char *loaded_names(size_t *used)
{
    struct names names = {NULL, 0, 0};

    for (;;) {
        char *more;

        names.used = 0;
        dl_iterate_phdr(copy_name, &names);
        if (names.used <= names.capacity)
            break;
        names.capacity = names.used + 4096; /* somebody may load one meanwhile */
        more = realloc(names.text, names.capacity);
        if (!more) {
            free(names.text);
            return NULL;
        }
        names.text = more;
    }
    *used = names.used;
    return names.text;
}

static int first_generation(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    *(uint64_t *)context = info->dlpi_adds;
    return 1;
}

uint64_t pools_generation(void)
{
    uint64_t adds = 0;

    dl_iterate_phdr(first_generation, &adds);
    return adds;
}

/* dlsym() looks into dependencies too: take only what lies in this very object. */
static void *own_symbol(void *handle, const char *name)
{
    struct link_map *wanted = NULL, *found = NULL;
    void *symbol = name ? dlsym(handle, name) : NULL;
    Dl_info info;

    if (!symbol || dlinfo(handle, RTLD_DI_LINKMAP, &wanted) ||
        !dladdr1(symbol, &info, (void **)&found, RTLD_DL_LINKMAP))
        return NULL;
    return wanted == found ? symbol : NULL;
}

static void *affixed(void *handle, const char *prefix, const char *name,
                     const char *suffix)
{
    char full[96];

    if (!name)
        return NULL;
    snprintf(full, sizeof(full), "%s%s%s", prefix, name, suffix);
    return own_symbol(handle, full);
}

static int add(struct pools *pools, const struct pool *pool)
{
    for (size_t i = 0; i < pools->count; i++)
        if (pools->pool[i].set == pool->set)
            return 0;
    if (pools->count == pools->capacity) {
        size_t capacity = pools->capacity ? 2 * pools->capacity : 16;
        struct pool *more = realloc(pools->pool, capacity * sizeof(*more));

        if (!more)
            return tr_fail(TR_ENOMEM, "no memory for a list of %zu thread pools",
                           capacity);
        pools->pool = more;
        pools->capacity = capacity;
    }
    pools->pool[pools->count] = *pool;
    /* A reference of its own, so that nobody unloads the library under us. */
    pools->pool[pools->count].handle = dlopen(*pool->path ? pool->path : NULL,
                                              RTLD_LAZY | RTLD_NOLOAD);
    pools->count++;
    return 0;
}

/* OpenBLAS tells which threads it was built with; those of OpenMP count for each thread. */
static bool openblas_on_openmp(void *handle, const char *prefix, const char *suffix)
{
    int (*parallel)(void);
    void *symbol = affixed(handle, prefix, "openblas_get_parallel", suffix);

    if (!symbol)
        return false;
    memcpy(&parallel, &symbol, sizeof(parallel));
    return parallel() == 2;
}

static int probe_kind(struct pools *pools, const struct pool_kind *kind, void *handle,
                      const char *path)
{
    size_t p_count = kind->affixes ? sizeof(prefixes) / sizeof(prefixes[0]) : 1;
    size_t s_count = kind->affixes ? sizeof(suffixes) / sizeof(suffixes[0]) : 1;
    int result = 0;

    if ((kind->only_with && !own_symbol(handle, kind->only_with)) ||
        (kind->only_without && own_symbol(handle, kind->only_without)))
        return 0;
    for (size_t p = 0; p < p_count; p++) {
        for (size_t s = 0; s < s_count && !result; s++) {
            struct pool pool = {.kind = kind, .handle = handle, .scope = kind->scope};

            pool.set = affixed(handle, prefixes[p], kind->set, suffixes[s]);
            if (!pool.set)
                continue;
            pool.get = affixed(handle, prefixes[p], kind->get, suffixes[s]);
            pool.set_local = own_symbol(handle, kind->set_local);
            if (kind->affixes && openblas_on_openmp(handle, prefixes[p], suffixes[s]))
                pool.scope = TR_SCOPE_THREAD;
            snprintf(pool.path, sizeof(pool.path), "%s", path);
            result = add(pools, &pool);
        }
    }
    return result;
}

int pools_find(struct pools *out)
{
    size_t used = 0;
    char *names = loaded_names(&used);
    int result = 0;

    *out = (struct pools){NULL, 0, 0};
    if (!names)
        return tr_fail(TR_ENOMEM, "no memory for the names of the loaded libraries");
    for (char *name = names; name < names + used && !result; name += strlen(name) + 1) {
        void *handle = dlopen(*name ? name : NULL, RTLD_LAZY | RTLD_NOLOAD);

        if (!handle)
            continue; /* the kernel's vdso, or unloaded meanwhile */
        for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && !result; i++)
            result = probe_kind(out, &kinds[i], handle, name);
        dlclose(handle);
    }
    free(names);
    if (result)
        pools_free(out);
    return result;
}

void pools_free(struct pools *pools)
{
    for (size_t i = 0; i < pools->count; i++)
        if (pools->pool[i].handle)
            dlclose(pools->pool[i].handle);
    free(pools->pool);
    *pools = (struct pools){NULL, 0, 0};
}

const char *pool_name(const struct pool *pool)
{
    return pool->kind->name;
}

int32_t pool_get(const struct pool *pool)
{
    int (*get)(void);
    int64_t (*get64)(void);
    int (*get_into)(int *);
    int threads = -1;

    if (!pool->get)
        return -1;
    switch (pool->kind->call) {
    case CALL_INT:
        memcpy(&get, &pool->get, sizeof(get));
        return get();
    case CALL_INT64:
        memcpy(&get64, &pool->get, sizeof(get64));
        return (int32_t)get64();
    case CALL_LGBM:
        memcpy(&get_into, &pool->get, sizeof(get_into));
        return get_into(&threads) ? -1 : threads;
    default:
        return -1;
    }
}

static void call_setter(enum call call, void *symbol, int32_t threads)
{
    void (*set)(int);
    void (*set64)(int64_t);
    int (*set_or_fail)(int);

    switch (call) {
    case CALL_INT:
        memcpy(&set, &symbol, sizeof(set));
        set(threads);
        break;
    case CALL_INT64:
        memcpy(&set64, &symbol, sizeof(set64));
        set64(threads);
        break;
    case CALL_LGBM:
        memcpy(&set_or_fail, &symbol, sizeof(set_or_fail));
        (void)set_or_fail(threads); /* pool_get() tells the result */
        break;
    default:
        break;
    }
}

void pool_set(const struct pool *pool, int32_t threads)
{
    call_setter(pool->kind->call, pool->set, threads);
}

void pool_restore(const struct pool *pool, int32_t before)
{
    if (before > 0 || pool->kind->call == CALL_LGBM) /* there -1 says: no limit */
        pool_set(pool, before);
}

void pool_set_thread(const struct pool *pool, int32_t threads)
{
    if (pool->set_local)
        call_setter(pool->kind->call, pool->set_local, threads);
    else if (pool->kind->scope == TR_SCOPE_THREAD)
        call_setter(pool->kind->call, pool->set, threads);
}

int pool_pause(const struct pool *pool, bool *did)
{
    enum { PAUSE_HARD = 2 }; /* omp_pause_hard of OpenMP 5.0 */
    int (*pause)(int);
    void *symbol;

    *did = false;
    if (strcmp(pool->kind->name, "libgomp") != 0)
        return 0;
    symbol = own_symbol(pool->handle, "omp_pause_resource_all");
    if (!symbol)
        return tr_fail(TR_ENOTSUP,
                       "prefork: %s cannot give up its threads (it is older than GCC 9): "
                       "do not use OpenMP before the fork",
                       pool->path);
    memcpy(&pause, &symbol, sizeof(pause));
    *did = true;
    return pause(PAUSE_HARD)
               ? tr_fail(TR_EBUSY, "prefork: called inside a parallel region of %s",
                         pool->path)
               : 0;
}
