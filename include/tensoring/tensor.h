/* SPDX-License-Identifier: MIT */
/* tensor.h - what one array is: its type, its shape, where its bytes are.
 *
 * A dtype is DLPack's triple (dlpack.h 1.1, DLDataType). What DLPack cannot say (units of
 * datetime64, byte order, structured types, fixed strings) travels as a NumPy `descr` string
 * beside it. The triple then is the type that the bytes have in the machine's own order (int64
 * for datetime64: look at descr first), or {TR_DTYPE_OPAQUE, 8 * itemsize, 1}; above 31 bytes
 * {TR_DTYPE_OPAQUE, 8, itemsize}, above 65,535 the widest lanes that divide it. */
#ifndef TENSORING_TENSOR_H
#define TENSORING_TENSOR_H

#include <tensoring/base.h>

TR_BEGIN_DECLS

#define TR_MAX_NDIM        16
#define TR_MAX_TENSORS     4096 /**< in one message */
#define TR_MAX_TENSOR_NAME 255  /**< bytes of a tensor's name, without the 0 */
#define TR_MAX_DESCR       8191 /**< bytes of a NumPy descr, without the 0 */
#define TR_TENSOR_ALIGN    64   /**< every payload starts at a multiple of this */

/** DLPack's DLDataTypeCode, same numbers. */
typedef enum tr_dtype_code {
    TR_DTYPE_INT = 0,
    TR_DTYPE_UINT = 1,
    TR_DTYPE_FLOAT = 2,
    TR_DTYPE_OPAQUE = 3, /**< DLPack's OpaqueHandle: bytes that `descr` explains */
    TR_DTYPE_BFLOAT = 4,
    TR_DTYPE_COMPLEX = 5,
    TR_DTYPE_BOOL = 6,
    TR_DTYPE_FLOAT8_E3M4 = 7,
    TR_DTYPE_FLOAT8_E4M3 = 8,
    TR_DTYPE_FLOAT8_E4M3B11FNUZ = 9,
    TR_DTYPE_FLOAT8_E4M3FN = 10,
    TR_DTYPE_FLOAT8_E4M3FNUZ = 11,
    TR_DTYPE_FLOAT8_E5M2 = 12,
    TR_DTYPE_FLOAT8_E5M2FNUZ = 13,
    TR_DTYPE_FLOAT8_E8M0FNU = 14,
    TR_DTYPE_FLOAT6_E2M3FN = 15,
    TR_DTYPE_FLOAT6_E3M2FN = 16,
    TR_DTYPE_FLOAT4_E2M1FN = 17
} tr_dtype_code;

typedef struct tr_dtype {
    uint8_t code;   /**< tr_dtype_code */
    uint8_t bits;   /**< of one lane */
    uint16_t lanes; /**< 1 for a plain scalar */
} tr_dtype;
TR_ASSERT_SIZE(tr_dtype, 4);

enum {
    TR_TENSOR_F_ORDER = 1u << 0,    /**< first index fastest; else the last one */
    TR_TENSOR_READ_ONLY = 1u << 1,  /**< a shared slot: writing faults */
    TR_TENSOR_BYTESWAPPED = 1u << 2 /**< big-endian, `descr` says of what */
};

/** What to loan. `shape` is read during the call only, as are the strings. */
typedef struct tr_tensor_spec {
    tr_dtype dtype;
    uint32_t ndim;        /**< 0 to TR_MAX_NDIM; 0 is a scalar of one element */
    const int64_t *shape; /**< ndim extents, each 0 or more; may be NULL if ndim is 0 */
    /** UTF-8 without control characters, at most TR_MAX_TENSOR_NAME bytes; NULL or "" for none. */
    const char *name;
    /** NumPy descr, at most TR_MAX_DESCR bytes; NULL or "" for none. dtype and flags are then those
     *  of tr_npy_dtype(); bytes of TR_DTYPE_OPAQUE may have other lanes. */
    const char *descr;
    uint32_t flags;    /**< TR_TENSOR_F_ORDER; TR_TENSOR_BYTESWAPPED with a descr alone */
    uint32_t reserved; /**< 0 */
} tr_tensor_spec;
TR_ASSERT_SIZE(tr_tensor_spec, 40);

/** One array of a message. Memory: `data` points into the arena and is valid until the
 *  message is sent or released; the struct and its strings live as long as the message
 *  handle does. Elements are packed: `strides` follow from shape and order. */
typedef struct tr_tensor {
    void *data;      /**< 64-byte aligned; NULL if nbytes is 0 */
    uint64_t nbytes; /**< bytes of the payload: tr_tensor_nbytes() of it */
    tr_dtype dtype;
    uint32_t ndim;
    uint32_t flags;
    uint32_t reserved;
    const char *name;  /**< "" if it has none */
    const char *descr; /**< "" if DLPack says it all */
    int64_t shape[TR_MAX_NDIM];
    int64_t strides[TR_MAX_NDIM]; /**< in elements, as DLPack counts */
} tr_tensor;
TR_ASSERT_SIZE(tr_tensor, 304);

/** Bytes of one element, rounded up: (bits * lanes + 7) / 8, as DLPack counts. Threads: any. */
TR_API uint64_t tr_dtype_bytes(tr_dtype dtype);

/** The name of @p dtype as NumPy and ml_dtypes spell it ("float32", "bfloat16",
 *  "float8_e4m3fn"), "opaque" or "unknown". Lanes are not part of it. Static. Threads: any. */
TR_API const char *tr_dtype_name(tr_dtype dtype);

/**
 * Bytes that an array takes when packed. Types of less than 8 bits are packed bit by bit:
 * (elements * bits * lanes + 7) / 8.
 *
 * @return 0, TR_EINVAL (no such dtype, ndim over 16, a negative extent), TR_EOVERFLOW.
 * Threads: any.
 */
TR_API TR_CHECK int tr_tensor_nbytes(tr_dtype dtype, uint32_t ndim, const int64_t *shape,
                                     uint64_t *nbytes);

/**
 * Copy an array into a loaned tensor, packing it on the way.
 *
 * @param to             a tensor of a loaned message
 * @param from           address of the element at index 0, 0, ...
 * @param strides_bytes  step of each of to->ndim indices in bytes, negative and 0 allowed;
 *                       NULL if @p from is packed in the order of @p to
 * @return 0, TR_EINVAL (read-only, or strides for a type of less than 8 bits).
 * Threads: one for @p to. Syscalls: none.
 */
TR_API TR_CHECK int tr_tensor_fill(const tr_tensor *to, const void *from,
                                   const int64_t *strides_bytes);

TR_END_DECLS
#endif
