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

/* Steps of the packed array, in elements. An extent of 0 counts as 1, as NumPy does it.
 * @p shape has passed tr_tensor_nbytes(): nothing here can overflow. */
void packed_strides(uint32_t ndim, const int64_t *shape, bool f_order, int64_t *strides);

#endif
