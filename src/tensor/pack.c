/* SPDX-License-Identifier: MIT */
/* pack.c - an array with any strides into a packed one, in one pass over the target.
 *
 * Dimensions that lie in the source as they do in the target are merged first. Then either
 * the innermost run is contiguous and is copied whole, or its elements are gathered: in the
 * order of the target's bytes, except for a transposition, which goes tile by tile. */
#include <inttypes.h>
#include <string.h>

#include "ipc/memory/copy.h"
#include "src/base/error.h"
#include "src/base/options.h"
#include "src/tensor/tensor.h"

/* A tile of a transposition: lines of the source that stay in the first cache until all
 * their elements are taken. A stride of a power of 2 leaves few lines there. */
#define TILE_ROWS  64
#define TILE_BYTES 64

/* One loop: where the next element lies. Steps of the source are modulo 2^64: negative ones
 * wrap as they should. */
struct loop {
    uint64_t extent;
    uint64_t from_step;
    uint64_t to_step;
};

/* The loops in the order of the target's bytes: the last one is the fastest. */
struct walk {
    uint32_t ndim;
    uint64_t element;
    struct loop loop[TR_MAX_NDIM];
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
    uint64_t bytes = walk->element = tr_dtype_bytes(to->dtype);
    uint32_t n = 0;

    for (uint32_t i = 0; i < to->ndim; i++) {
        uint32_t dim = to->flags & TR_TENSOR_F_ORDER ? to->ndim - 1 - i : i;
        uint64_t extent = (uint64_t)to->shape[dim], step = (uint64_t)strides_bytes[dim];

        if (extent == 1)
            continue;
        if (n > 0 && walk->loop[n - 1].from_step == step * extent) {
            walk->loop[n - 1].extent *= extent;
            walk->loop[n - 1].from_step = step;
        } else {
            walk->loop[n++] = (struct loop){.extent = extent, .from_step = step};
        }
    }
    walk->ndim = n;
    while (n-- > 0) {
        walk->loop[n].to_step = bytes;
        bytes *= walk->loop[n].extent;
    }
}

static struct loop take_loop(struct walk *walk, uint32_t at)
{
    struct loop taken = walk->loop[at];

    walk->ndim--;
    for (uint32_t i = at; i < walk->ndim; i++)
        walk->loop[i] = walk->loop[i + 1];
    return taken;
}

static uint64_t magnitude(uint64_t step)
{
    return step >> 63 ? -step : step;
}

/* The loop in which the source is denser than in @p inner, so that both advance side by side; one
 * of a single round if there is none. */
static struct loop take_rows(struct walk *walk, const struct loop *inner)
{
    uint64_t least = magnitude(inner->from_step);
    uint32_t at = walk->ndim;

    for (uint32_t i = 0; i < walk->ndim; i++) {
        uint64_t step = magnitude(walk->loop[i].from_step);

        if (step > 0 && step < least) {
            least = step;
            at = i;
        }
    }
    return at < walk->ndim ? take_loop(walk, at) : (struct loop){.extent = 1};
}

static uint64_t least_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* All of rows x inner, tile by tile. */
static void gather_tiles(unsigned char *to, uintptr_t from, const struct loop *rows,
                         const struct loop *inner, size_t element)
{
    gather_fn *gather = gather_for(element);
    uint64_t width = inner->extent;

    if (rows->extent > 1)
        width = element < TILE_BYTES ? TILE_BYTES / element : 1;
    for (uint64_t row = 0; row < rows->extent; row += TILE_ROWS) {
        uint64_t end = least_of(row + TILE_ROWS, rows->extent);

        for (uint64_t i = 0; i < inner->extent; i += width)
            for (uint64_t k = row; k < end; k++)
                gather(to + k * rows->to_step + i * element,
                       from + k * rows->from_step + i * inner->from_step,
                       least_of(width, inner->extent - i), inner->from_step, element);
    }
}

static void pack(unsigned char *to, uintptr_t from, struct walk *walk)
{
    uint64_t index[TR_MAX_NDIM] = {0}, element = walk->element;
    struct loop inner = {.extent = 1, .from_step = element}, rows = {.extent = 1};
    int dim;

    if (walk->ndim > 0)
        inner = take_loop(walk, walk->ndim - 1);
    if (inner.from_step != element)
        rows = take_rows(walk, &inner);
    do {
        if (inner.from_step == element)
            copy_bytes(to, (const void *)from, inner.extent * element);
        else
            gather_tiles(to, from, &rows, &inner, element);
        /* The outer indices count like the digits of a number. */
        for (dim = (int)walk->ndim - 1; dim >= 0; dim--) {
            const struct loop *loop = &walk->loop[dim];

            to += loop->to_step;
            from += loop->from_step;
            if (++index[dim] < loop->extent)
                break;
            to -= loop->to_step * loop->extent;
            from -= loop->from_step * loop->extent;
            index[dim] = 0;
        }
    } while (dim >= 0);
}

int tr_tensor_fill(const tr_tensor *to, const void *from, const int64_t *strides_bytes)
{
    struct walk walk;

    if (!to)
        return null_fail("fill", "to");
    if (to->flags & TR_TENSOR_READ_ONLY)
        return tr_fail(TR_EINVAL,
                       "fill: tensor \"%s\" is read-only, others may be reading "
                       "it; loan a message of your own",
                       to->name ? to->name : "");
    if (to->nbytes == 0)
        return 0;
    if (!from)
        return null_fail("fill", "from");
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
    pack(to->data, (uintptr_t)from, &walk);
    return 0;
}
