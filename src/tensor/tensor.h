/* SPDX-License-Identifier: MIT */
/* tensor.h - the arithmetic of dtypes and shapes, for the other files of src/. */
#ifndef TR_SRC_TENSOR_H
#define TR_SRC_TENSOR_H

#include <stdbool.h>

#include <tensoring/tensor.h>

/* Whether {code, bits, lanes} is a type that DLPack has. */
bool dtype_is_valid(tr_dtype dtype);

/* Whether one element is whole bytes, so that it has an address of its own. */
bool dtype_is_addressable(tr_dtype dtype);

/* The triple for elements of @p bytes that only a descr explains: {8 * bytes, 1} up to 31
 * bytes, lanes of 8 bits above, wider lanes where those run out.
 * 0, or TR_ENOTSUP: 0 bytes, or a size that no bits * lanes makes. */
int dtype_opaque(uint64_t bytes, tr_dtype *dtype);

/* What no spec may have. 0, TR_EINVAL. */
int spec_check(const char *step, const tr_tensor_spec *spec);

/* Steps of the packed array, in elements. An extent of 0 counts as 1, as NumPy does it.
 * @p shape has passed tr_tensor_nbytes(): nothing here can overflow. */
void packed_strides(uint32_t ndim, const int64_t *shape, bool f_order, int64_t *strides);

/* Bytes, and unless it is NULL packed strides, of an array in one pass, for the types that
 * nearly every message has. False: something is unusual or wrong, tr_tensor_nbytes() says what. */
static inline bool tensor_quick(tr_dtype dtype, uint32_t ndim, const int64_t *shape,
                                bool f_order, int64_t *strides, uint64_t *nbytes)
{
    /* Bit k: the code has a type of 8 << k bits. */
    static const uint8_t widths[] = {[TR_DTYPE_INT] = 0x0f,
                                     [TR_DTYPE_UINT] = 0x0f,
                                     [TR_DTYPE_FLOAT] = 0x0e,
                                     [TR_DTYPE_BFLOAT] = 0x02,
                                     [TR_DTYPE_BOOL] = 1};
    uint32_t bytes = dtype.bits / 8;
    int64_t step = 1, total;
    bool empty = false;

    if (dtype.code >= sizeof(widths) || dtype.lanes != 1 || dtype.bits % 8 || bytes > 8 ||
        (bytes & (bytes - 1)) || !(widths[dtype.code] & bytes) || ndim > TR_MAX_NDIM)
        return false;
    for (uint32_t i = 0; i < ndim; i++) {
        uint32_t d = f_order ? i : ndim - 1 - i;

        if (shape[d] < 0)
            return false;
        if (strides)
            strides[d] = step;
        empty |= shape[d] == 0;
        if (__builtin_mul_overflow(step, shape[d] ? shape[d] : 1, &step))
            return false;
    }
    if (__builtin_mul_overflow(step, (int64_t)bytes, &total))
        return false;
    *nbytes = empty ? 0 : (uint64_t)total;
    return true;
}

#endif
