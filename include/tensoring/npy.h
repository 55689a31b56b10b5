/* SPDX-License-Identifier: MIT */
/* npy.h - NumPy's .npy files, versions 1.0, 2.0 and 3.0, in memory.
 *
 *  read:   tr_npy_decode() says what the array is and where in the file its bytes lie
 *  write:  tr_npy_encode() makes the header; the packed array follows it
 *
 * Nothing is evaluated: a header that is not exactly the literal NumPy writes (in any order
 * and spacing) is refused, as are Python objects. The array in a file that NumPy 1.14 or
 * later wrote starts at a multiple of 64 bytes, so a whole file read to the start of a slot
 * can be used where it lies. */
#ifndef TENSORING_NPY_H
#define TENSORING_NPY_H

#include <tensoring/tensor.h>

TR_BEGIN_DECLS

#define TR_NPY_HEADER_LIMIT 10000 /**< bytes of a header that are read by default */
#define TR_NPY_PREFIX_MAX   12    /**< bytes in front of the header, at most */

/** What a .npy file holds. */
typedef struct tr_npy {
    uint64_t data_offset; /**< of the array in the file */
    uint64_t data_bytes;  /**< tr_tensor_nbytes() of it */
    tr_dtype dtype;
    uint32_t ndim;
    uint32_t flags;   /**< TR_TENSOR_F_ORDER, TR_TENSOR_BYTESWAPPED */
    uint32_t version; /**< 1, 2 or 3 */
    int64_t shape[TR_MAX_NDIM];
    /** UTF-8; "" if dtype says it all, see tr_npy_dtype(). */
    char descr[TR_MAX_DESCR + 1];
} tr_npy;
TR_ASSERT_SIZE(tr_npy, 8352);

/**
 * Read the header of a .npy file.
 *
 * @param head          the first bytes of the file; the array itself is not looked at
 * @param head_bytes    how many there are: all, or at least the whole header, for which
 *                      header_limit + TR_NPY_PREFIX_MAX are always enough
 * @param file_bytes    size of the whole file; what follows the array is not looked at
 * @param header_limit  longest header to read, 0 for TR_NPY_HEADER_LIMIT
 * @param npy           the answer; after a failure its contents mean nothing
 * @return 0, TR_EINVAL (head_bytes ends inside the header, or an argument is NULL),
 *         TR_EFORMAT (not a .npy file, truncated, or a header over the limit: the detail
 *         gives the place), TR_EOBJECT (Python objects), TR_EOVERFLOW (a size), TR_ENOTSUP
 *         (over TR_MAX_NDIM dimensions, over TR_MAX_DESCR bytes of descr, elements of 0
 *         bytes or of a size that no dtype has).
 * Threads: any. Syscalls: none.
 */
TR_API TR_CHECK int tr_npy_decode(const void *head, size_t head_bytes,
                                  uint64_t file_bytes, size_t header_limit, tr_npy *npy);

/**
 * Write the header that NumPy writes for such an array, byte for byte; its length is a
 * multiple of 64. The packed array follows it.
 *
 * A type without a NumPy name (bfloat16, float8) is written as void of its size ("<V2"),
 * as ml_dtypes does; numpy.load() reads that, and a view makes it into the type again.
 *
 * @param spec          dtype, ndim, shape, descr and TR_TENSOR_F_ORDER count, name does not.
 *                      A descr is "<M8[ns]" or repr(dtype.descr) of a structured type
 * @param buffer        where to write; may be NULL if @p capacity is 0
 * @param capacity      bytes of @p buffer
 * @param header_bytes  length of the header, also if it did not fit
 * @return 0, TR_EINVAL (spec, NULL), TR_EFORMAT (descr), TR_EOBJECT (descr with Python
 *         objects), TR_EOVERFLOW (a size, or @p buffer is too small), TR_ENOTSUP (lanes, types of
 *         less than 8 bits).
 * Threads: any. Syscalls: none.
 */
TR_API TR_CHECK int tr_npy_encode(const tr_tensor_spec *spec, void *buffer,
                                  size_t capacity, size_t *header_bytes);

/**
 * The dtype that a tensor with this NumPy descr carries.
 *
 * | descr                    | dtype                              | flags        | is descr needed |
 * |--------------------------|------------------------------------|--------------|-----------------|
 * | |b1 <i4 <u8 <f2 <c8 ...  | that type                          | 0            | no              |
 * | >i4 >f8 ...              | that type                          | BYTESWAPPED  | yes             |
 * | <M8[ns] >m8[s] ...       | {TR_DTYPE_INT, 64, 1}              | 0 or swapped | yes             |
 * | |S5 <U7 |V16 <f16 [(...  | {TR_DTYPE_OPAQUE, 8 * itemsize, 1} | 0 or swapped | yes             |
 *
 * An itemsize over 31 is {TR_DTYPE_OPAQUE, 8, itemsize}; over 65,535 lanes are wider than 8 bits.
 *
 * @param flags  TR_TENSOR_BYTESWAPPED or 0
 * @return 0, TR_EINVAL (NULL), TR_EFORMAT (not a descr that NumPy writes), TR_EOBJECT,
 *         TR_EOVERFLOW, TR_ENOTSUP (elements of 0 bytes or of a size that no dtype has, a
 *         descr over TR_MAX_DESCR bytes).
 * Threads: any. Syscalls: none.
 */
TR_API TR_CHECK int tr_npy_dtype(const char *descr, tr_dtype *dtype, uint32_t *flags);

TR_END_DECLS
#endif
