/* SPDX-License-Identifier: MIT */
#define TR_SRC_HANDLE_C
#include "src/base/handle.h"

#include <string.h>
#include <sys/mman.h>

#include "src/base/error.h"

#define CHUNK   65536
#define CLAIMED UINT64_C(1) /* no handle: they have an address */

static struct handle *claim_free(struct handle_kind *kind)
{
    struct handle *handle = atomic_load(&kind->all);

    for (; handle; handle = handle->next) {
        uint64_t none = 0;

        if (atomic_load_explicit(&handle->lent, memory_order_relaxed) ==
                0 && /* a guess */
            atomic_compare_exchange_strong(&handle->lent, &none, CLAIMED))
            break;
    }
    return handle;
}

static void enlist(struct handle_kind *kind, struct handle *handle)
{
    handle->next = atomic_load(&kind->all);
    while (!atomic_compare_exchange_weak(&kind->all, &handle->next, handle))
        ;
}

/* More objects; the first is ours. */
static struct handle *more(struct handle_kind *kind)
{
    size_t stride = (kind->bytes + 63) / 64 * 64;
    size_t bytes = stride > CHUNK ? stride : CHUNK;
    uint8_t *chunk = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct handle *first = (struct handle *)(void *)chunk;

    if (chunk == MAP_FAILED)
        return NULL;
    if (!handle_fits(chunk, bytes)) {
        munmap(chunk, bytes);
        return NULL;
    }
    atomic_init(&first->lent, CLAIMED);
    for (size_t at = 0; at + stride <= bytes; at += stride)
        enlist(kind, (struct handle *)(void *)(chunk + at));
    return first;
}

void *handle_new(struct handle_kind *kind)
{
    struct handle *handle = claim_free(kind);

    if (!handle)
        handle = more(kind);
    if (!handle)
        return NULL;
    memset(handle + 1, 0, kind->bytes - sizeof(*handle));
    handle->arena = NULL;
    handle->last = handle_next(handle->last ? handle->last : handle_word(handle, 0));
    atomic_store(&handle->now, handle->last);
    atomic_store(&handle->lent, handle->last);
    return handle;
}

void handle_free(void *object)
{
    struct handle *handle = object;

    atomic_store(&handle->now, 0);
    atomic_store(&handle->lent, 0);
}

void *handle_retire(const void *given)
{
    struct handle *handle = handle_address(given);
    uint64_t lent = (uint64_t)(uintptr_t)given;

    if (!handle || !atomic_compare_exchange_strong(&handle->lent, &lent, CLAIMED))
        return NULL;
    atomic_store(&handle->now, 0);
    return handle;
}

void handle_orphan(struct handle_kind *kind, const struct tr_arena *arena,
                   void (*let_go)(void *object))
{
    struct handle *handle = atomic_load(&kind->all);

    for (; handle; handle = handle->next) {
        if (atomic_load(&handle->lent) <= CLAIMED || handle->arena != arena)
            continue;
        atomic_store(&handle->now, 0);
        if (let_go)
            let_go(handle);
        handle->arena = NULL;
    }
}

int handle_fail(const void *given, const char *step, const char *what)
{
    const struct handle *handle = handle_address(given);

    if (!handle)
        return tr_fail(TR_EINVAL, "%s: the %s is NULL", step, what);
    if (atomic_load(&handle->lent) == (uint64_t)(uintptr_t)given)
        return tr_fail(TR_EINVAL, "%s: the arena of the %s was closed", step, what);
    return tr_fail(TR_EINVAL, "%s: the %s was closed", step, what);
}
