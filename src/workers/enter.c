/* SPDX-License-Identifier: MIT */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <tensoring/enter.h>

#include "src/base/error.h"
#include "src/base/options.h"
#include "src/workers/enter_bind.h"
#include "src/workers/plan_internal.h"
#include "src/workers/pools.h"

/* Read by libraries when they are loaded or first used, and by some in Python. */
static const char *const variables[] = {
    "OMP_NUM_THREADS",     "OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS",
    "MKL_NUM_THREADS",     "BLIS_NUM_THREADS",     "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS", "NUMEXPR_MAX_THREADS",  "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS",   "POLARS_MAX_THREADS",   "LOKY_MAX_CPU_COUNT",
    "TENSORING_WORKER"};
enum { VARIABLES = sizeof(variables) / sizeof(variables[0]) };

/* A thread pool as it was before the first enter. */
struct saved_pool {
    void *set;
    int32_t threads;
};

/* This process as a worker. Changed by tr_worker_enter() and tr_worker_leave() alone, which
 * one thread calls; others only look at the atomics. */
static struct {
    bool active, bound;
    bool changed[VARIABLES];
    char *old[VARIABLES]; /* NULL: it was not set */
    tr_cpuset mask;
    struct saved_pool *pool;
    size_t pools;
    /* Local: of this process; TR_PLAN_UNKNOWN + 1 = 0 while outside. */
    _Atomic uint32_t index;
    _Atomic uint32_t threads; /* local */
    _Atomic uint32_t round;   /* local: counts calls of tr_worker_enter() */
} self;

static void set_variable(size_t i, const char *value, uint32_t flags)
{
    const char *now = getenv(variables[i]);

    if (now && (flags & TR_ENTER_KEEP_ENV) && !self.changed[i])
        return;
    if (!self.changed[i]) {
        self.old[i] = now ? strdup(now) : NULL;
        self.changed[i] = true;
    }
    (void)setenv(variables[i], value, 1); /* it fails for lack of memory alone */
}

static void set_environment(const tr_plan *plan, uint32_t index, uint32_t flags)
{
    char count[16], place[32];

    snprintf(count, sizeof(count), "%u", plan->worker[index].threads);
    snprintf(place, sizeof(place), "%u/%u", index, plan->workers);
    for (size_t i = 0; i < VARIABLES - 1; i++)
        set_variable(i, count, flags);
    set_variable(VARIABLES - 1, place, flags & ~(uint32_t)TR_ENTER_KEEP_ENV);
}

static void restore_environment(void)
{
    for (size_t i = 0; i < VARIABLES; i++) {
        if (!self.changed[i])
            continue;
        if (self.old[i])
            (void)setenv(variables[i], self.old[i], 1);
        else
            (void)unsetenv(variables[i]);
        free(self.old[i]);
        self.old[i] = NULL;
        self.changed[i] = false;
    }
}

/* Only pools that are new: the first count is the one to restore. */
static int save_pools(const struct pools *pools, const int32_t *before)
{
    for (size_t i = 0; i < pools->count; i++) {
        struct saved_pool *more;
        size_t at = 0;

        while (at < self.pools && self.pool[at].set != pools->pool[i].set)
            at++;
        if (at < self.pools)
            continue;
        more = realloc(self.pool, (at + 1) * sizeof(*more));
        if (!more)
            return tr_fail(TR_ENOMEM, "enter: no memory to remember thread counts");
        more[at] = (struct saved_pool){pools->pool[i].set, before[i]};
        self.pool = more;
        self.pools++;
    }
    return 0;
}

static void describe(tr_thread_library *out, const struct pool *pool, int32_t before)
{
    memset(out, 0, sizeof(*out));
    snprintf(out->kind, sizeof(out->kind), "%s", pool_name(pool));
    memcpy(out->path, pool->path, sizeof(out->path));
    out->before = before;
    out->after = pool_get(pool);
    out->scope = pool->scope;
}

/* All counts are read before any is set: some pools are built on others. */
static int32_t *read_pools(const struct pools *pools)
{
    int32_t *before = malloc((pools->count + 1) * sizeof(*before));

    for (size_t i = 0; before && i < pools->count; i++)
        before[i] = pool_get(&pools->pool[i]);
    return before;
}

static int set_found(const struct pools *pools, int32_t threads, tr_worker_report *report)
{
    int32_t *before = read_pools(pools);
    int result;

    if (!before)
        return tr_fail(TR_ENOMEM, "enter: no memory for %zu counts", pools->count);
    result = save_pools(pools, before);
    for (size_t i = 0; i < pools->count && !result; i++)
        if (before[i] != threads)
            pool_set(&pools->pool[i], threads);
    for (size_t i = 0; i < pools->count && i < TR_REPORT_LIBRARIES && !result; i++)
        describe(&report->libraries[i], &pools->pool[i], before[i]);
    report->library_count = (uint32_t)pools->count;
    free(before);
    return result;
}

static int set_pools(int32_t threads, tr_worker_report *report)
{
    struct pools pools;
    int result = pools_find(&pools);

    if (result)
        return result;
    result = set_found(&pools, threads, report);
    pools_free(&pools);
    return result;
}

static void bind_self(const tr_cpuset *cpus, uint32_t flags, tr_worker_report *report)
{
    int result = bind_get(&report->before);

    if (!result && !(flags & TR_ENTER_NO_BIND)) {
        if (!self.bound) {
            self.mask = report->before;
            self.bound = true;
        }
        result = bind_process(0, cpus, &report->tasks);
    }
    (void)bind_get(&report->after);
    if (result)
        report->bind_error = tr_fail_errno(
            result, "enter: the threads could not be bound to the worker's cores");
}

static int enter(const tr_plan *plan, uint32_t index, uint32_t flags,
                 tr_worker_report *report)
{
    const tr_plan_worker *worker = &plan->worker[index];

    self.active = true;
    atomic_store(&self.index, index + 1);
    atomic_store(&self.threads, worker->threads);
    atomic_fetch_add(&self.round, 1);
    report->index = index;
    report->threads = worker->threads;
    /* First the mask: threads that a pool starts when its count is set inherit it. */
    bind_self(&worker->cpus, flags, report);
    if (!(flags & TR_ENTER_NO_ENV))
        set_environment(plan, index, flags);
    return flags & TR_ENTER_NO_LIBRARIES ? 0
                                         : set_pools((int32_t)worker->threads, report);
}

/* As much of it as the caller's header knows, of each library too. */
static void copy_report(tr_worker_report *to, const tr_worker_report *full)
{
    const size_t sizes = offsetof(tr_worker_report, index); /* stay the caller's */
    const size_t head = offsetof(tr_worker_report, libraries);
    size_t size = to->struct_size, bytes = to->library_bytes;
    char *out = (char *)to;

    memcpy(out + sizes, &full->index, (size < head ? size : head) - sizes);
    for (size_t i = 0; i < TR_REPORT_LIBRARIES && head + (i + 1) * bytes <= size; i++)
        memcpy(out + head + i * bytes, &full->libraries[i], bytes);
}

static int report_check(const tr_worker_report *report)
{
    int result = result_size_check(report, sizeof(*report), "enter", "report");

    return result
               ? result
               : element_size_check(report->library_bytes, sizeof(report->libraries[0]),
                                    "enter", "report: library_bytes");
}

int tr_worker_enter(const tr_plan *plan, uint32_t index, uint32_t flags,
                    tr_worker_report *report)
{
    const uint32_t known = TR_ENTER_NO_BIND | TR_ENTER_NO_ENV | TR_ENTER_KEEP_ENV |
                           TR_ENTER_NO_LIBRARIES;
    tr_worker_report full = TR_WORKER_REPORT_INIT;
    int result = plan_check(plan);

    if (result)
        return result;
    if (index >= plan->workers)
        return tr_fail(TR_EINVAL,
                       "enter: worker %u of a plan for %u, allowed are 0 to %u", index,
                       plan->workers, plan->workers - 1);
    if (flags & ~known)
        return tr_fail(TR_EINVAL, "enter: there are no flags 0x%x", flags & ~known);
    if (report)
        result = report_check(report);
    if (result)
        return result;
    result = enter(plan, index, flags, &full);
    if (report)
        copy_report(report, &full);
    return result;
}

void tr_worker_leave(void)
{
    struct pools pools;

    if (!self.active)
        return;
    if (self.bound)
        (void)bind_process(0, &self.mask, NULL);
    restore_environment();
    if (!pools_find(&pools)) {
        for (size_t i = 0; i < pools.count; i++)
            for (size_t j = 0; j < self.pools; j++)
                if (self.pool[j].set == pools.pool[i].set)
                    pool_restore(&pools.pool[i], self.pool[j].threads);
        pools_free(&pools);
    }
    free(self.pool);
    self.pool = NULL;
    self.pools = 0;
    self.active = self.bound = false;
    atomic_store(&self.index, 0);
    atomic_store(&self.threads, 0);
    atomic_fetch_add(&self.round, 1);
}

uint32_t tr_worker_index(void)
{
    return atomic_load(&self.index) - 1; /* 0 - 1 is TR_PLAN_UNKNOWN */
}

uint32_t tr_worker_threads(void)
{
    uint32_t threads = atomic_load(&self.threads);

    return threads ? threads : 1;
}

int tr_worker_thread_enter(void)
{
    static _Thread_local uint32_t done_round;
    static _Thread_local uint64_t done_generation;
    uint32_t round = atomic_load(&self.round), threads = atomic_load(&self.threads);
    uint64_t generation;
    struct pools pools;
    int result;

    if (!threads)
        return tr_fail(TR_EINVAL,
                       "this process is not a worker: call tr_worker_enter() first");
    generation = pools_generation();
    if (done_round == round && done_generation == generation)
        return 0;
    result = pools_find(&pools);
    if (result)
        return result;
    for (size_t i = 0; i < pools.count; i++)
        pool_set_thread(&pools.pool[i], (int32_t)threads);
    pools_free(&pools);
    done_round = round;
    done_generation = generation;
    return 0;
}

int tr_worker_prefork(uint32_t *paused)
{
    struct pools pools;
    uint32_t count = 0;
    int result = pools_find(&pools);

    if (result)
        return result;
    for (size_t i = 0; i < pools.count; i++) {
        bool did;
        int one = pool_pause(&pools.pool[i], &did);

        count += did;
        result = result ? result : one;
    }
    pools_free(&pools);
    if (paused)
        *paused = count;
    return result;
}

int tr_worker_libraries(tr_thread_library *out, size_t element_bytes, size_t capacity,
                        size_t *count)
{
    const struct rows rows = {out, element_bytes, capacity, count};
    struct pools pools;
    int result = rows_check(&rows, sizeof(*out), "thread pools");

    if (!result)
        result = pools_find(&pools);
    if (result)
        return result;
    *count = 0;
    for (size_t i = 0; i < pools.count && !rows_full(&rows); i++) {
        tr_thread_library one;

        describe(&one, &pools.pool[i], pool_get(&pools.pool[i]));
        rows_add(&rows, &one);
    }
    *count = pools.count;
    pools_free(&pools);
    return 0;
}

int tr_worker_bind_memory(const tr_plan *plan, uint32_t index, void *address,
                          size_t bytes)
{
    enum { PREFERRED_MANY = 5, MOVE = 2 }; /* MPOL_PREFERRED_MANY, MPOL_MF_MOVE */
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)address;
    unsigned long nodes;
    int result = plan_check(plan);

    if (result)
        return result;
    if (!address)
        return null_fail("bind memory", "address");
    if (index >= plan->workers || !bytes)
        return tr_fail(TR_EINVAL, "bind memory: worker %u of %u, %zu bytes", index,
                       plan->workers, bytes);
    nodes = plan->worker[index].nodes;
    if (!nodes)
        return tr_fail(TR_ENOTSUP, "bind memory: this machine shows no memory nodes");
    bytes += start % page;
    start -= start % page;
    if (!syscall(SYS_mbind, start, bytes, PREFERRED_MANY, &nodes, 8 * sizeof(nodes) + 1,
                 MOVE))
        return 0;
    if (errno == ENOSYS)
        return tr_fail(TR_ENOTSUP, "bind memory: this kernel knows no mbind()");
    if (errno == EFAULT)
        return tr_fail(TR_EINVAL, "bind memory: %zu bytes at %p are not mapped", bytes,
                       address);
    return tr_fail_errno(-errno,
                         "bind memory of worker %u (in a container it takes "
                         "CAP_SYS_NICE)",
                         index);
}
