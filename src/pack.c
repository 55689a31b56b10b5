/* SPDX-License-Identifier: MIT */
/* pack.c - an array with any strides into a packed one, in one pass over the target.
 *
 * The target is walked in the order of its bytes. Dimensions that lie in the source as they
 * do in the target are merged first; then either the innermost run is contiguous and is
 * copied whole, or its elements are gathered one by one. */
#include "ipc/copy.h"
#include "src/error.h"
#include "src/tensor.h"

#include <inttypes.h>
#include <string.h>

/* The source seen in the order of the target: the last dimension is the fastest. Steps are
 * in bytes, modulo 2^64: negative ones wrap as they should. */
struct walk {
    uint32_t ndim;
    uint64_t extent[TR_MAX_NDIM];
    uint64_t step[TR_MAX_NDIM];
};

typedef void gather_fn(unsigned char *to, uintptr_t from, uint64_t n, uint64_t step,
                       size_t element);

#define GATHER(bytes)                                                         \
    static void gather_##bytes(unsigned char *to, uintptr_t from, uint64_t n, \
                               uint64_t step, size_t element)                 \
    {                                                                         \
        (void)element;                                                        \
        for (uint64_t i = 0; i < n; i++, to += (bytes), from += step)         \
            memcpy(to, (const void *)from, (bytes));                          \
    }
GATHER(1)
GATHER(2)
GATHER(4)
GATHER(8)
GATHER(16)
#undef GATHER

static void gather_any(unsigned char *to, uintptr_t from, uint64_t n, uint64_t step,
                       size_t element)
{
    for (uint64_t i = 0; i < n; i++, to += element, from += step)
        memcpy(to, (const void *)from, element);
}

/* One contiguous run of n bytes. */
static void gather_run(unsigned char *to, uintptr_t from, uint64_t n, uint64_t step,
                       size_t element)
{
    (void)step, (void)element;
    copy_bytes(to, (const void *)from, n);
}

static gather_fn *gather_for(uint64_t element)
{
    switch (element) {
    case 1:
        return gather_1;
    case 2:
        return gather_2;
    case 4:
        return gather_4;
    case 8:
        return gather_8;
    case 16:
        return gather_16;
    default:
        return gather_any;
    }
}

/* Dimensions of one element vanish, whatever their stride; neighbours that one step runs
 * through merge. */
static void plan_walk(struct walk *walk, const tr_tensor *to,
                      const int64_t *strides_bytes)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < to->ndim; i++) {
        uint32_t dim = to->flags & TR_TENSOR_F_ORDER ? to->ndim - 1 - i : i;
        uint64_t extent = (uint64_t)to->shape[dim], step = (uint64_t)strides_bytes[dim];

        if (extent == 1)
            continue;
        if (n > 0 && walk->step[n - 1] == step * extent) {
            walk->extent[n - 1] *= extent;
            walk->step[n - 1] = step;
        } else {
            walk->extent[n] = extent;
            walk->step[n++] = step;
        }
    }
    walk->ndim = n;
}

static void pack(unsigned char *to, uintptr_t from, struct walk *walk, uint64_t element)
{
    uint64_t index[TR_MAX_NDIM] = {0};
    uint64_t n = 1, step = element, run_bytes;
    gather_fn *gather;
    int dim;

    if (walk->ndim > 0) {
        walk->ndim--;
        n = walk->extent[walk->ndim];
        step = walk->step[walk->ndim];
    }
    run_bytes = n * element;
    gather = gather_for(element);
    if (step == element) {
        gather = gather_run;
        n = run_bytes;
    }
    do {
        gather(to, from, n, step, element);
        to += run_bytes;
        /* The outer indices count on like the digits of a number. */
        for (dim = (int)walk->ndim - 1; dim >= 0; dim--) {
            from += walk->step[dim];
            if (++index[dim] < walk->extent[dim])
                break;
            from -= walk->step[dim] * walk->extent[dim];
            index[dim] = 0;
        }
    } while (dim >= 0);
}

int tr_tensor_fill(const tr_tensor *to, const void *from, const int64_t *strides_bytes)
{
    struct walk walk;

    if (!to)
        return tr_fail(TR_EINVAL, "fill: no tensor");
    if (to->flags & TR_TENSOR_READ_ONLY)
        return tr_fail(TR_EINVAL,
                       "fill: tensor \"%s\" is read-only, others may be reading "
                       "it; loan a message of your own",
                       to->name ? to->name : "");
    if (to->nbytes == 0)
        return 0;
    if (!from)
        return tr_fail(TR_EINVAL, "fill: NULL as source of %" PRIu64 " bytes",
                       to->nbytes);
    if (!strides_bytes || to->ndim == 0) {
        copy_bytes(to->data, from, to->nbytes);
        return 0;
    }
    if (!dtype_is_addressable(to->dtype))
        return tr_fail(TR_EINVAL,
                       "fill: %s is packed bit by bit, its elements have no strides in "
                       "bytes; pack the source and pass NULL",
                       tr_dtype_name(to->dtype));
    plan_walk(&walk, to, strides_bytes);
    pack(to->data, (uintptr_t)from, &walk, tr_dtype_bytes(to->dtype));
    return 0;
}
