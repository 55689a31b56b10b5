/* SPDX-License-Identifier: MIT */
#include "src/tensor/tensor.h"

#include <inttypes.h>

#include "src/base/error.h"
#include "src/base/options.h"

/* Every scalar type that DLPack has, except the opaque ones, which have any size. */
static const struct scalar {
    uint8_t code;
    uint8_t bits;
    const char *name;
} scalars[] = {
    {TR_DTYPE_INT, 1, "int1"},
    {TR_DTYPE_INT, 2, "int2"},
    {TR_DTYPE_INT, 4, "int4"},
    {TR_DTYPE_INT, 8, "int8"},
    {TR_DTYPE_INT, 16, "int16"},
    {TR_DTYPE_INT, 32, "int32"},
    {TR_DTYPE_INT, 64, "int64"},
    {TR_DTYPE_INT, 128, "int128"},
    {TR_DTYPE_UINT, 1, "uint1"},
    {TR_DTYPE_UINT, 2, "uint2"},
    {TR_DTYPE_UINT, 4, "uint4"},
    {TR_DTYPE_UINT, 8, "uint8"},
    {TR_DTYPE_UINT, 16, "uint16"},
    {TR_DTYPE_UINT, 32, "uint32"},
    {TR_DTYPE_UINT, 64, "uint64"},
    {TR_DTYPE_UINT, 128, "uint128"},
    {TR_DTYPE_FLOAT, 16, "float16"},
    {TR_DTYPE_FLOAT, 32, "float32"},
    {TR_DTYPE_FLOAT, 64, "float64"},
    {TR_DTYPE_FLOAT, 128, "float128"},
    {TR_DTYPE_BFLOAT, 16, "bfloat16"},
    {TR_DTYPE_COMPLEX, 32, "complex32"},
    {TR_DTYPE_COMPLEX, 64, "complex64"},
    {TR_DTYPE_COMPLEX, 128, "complex128"},
    {TR_DTYPE_BOOL, 8, "bool"},
    {TR_DTYPE_FLOAT8_E3M4, 8, "float8_e3m4"},
    {TR_DTYPE_FLOAT8_E4M3, 8, "float8_e4m3"},
    {TR_DTYPE_FLOAT8_E4M3B11FNUZ, 8, "float8_e4m3b11fnuz"},
    {TR_DTYPE_FLOAT8_E4M3FN, 8, "float8_e4m3fn"},
    {TR_DTYPE_FLOAT8_E4M3FNUZ, 8, "float8_e4m3fnuz"},
    {TR_DTYPE_FLOAT8_E5M2, 8, "float8_e5m2"},
    {TR_DTYPE_FLOAT8_E5M2FNUZ, 8, "float8_e5m2fnuz"},
    {TR_DTYPE_FLOAT8_E8M0FNU, 8, "float8_e8m0fnu"},
    {TR_DTYPE_FLOAT6_E2M3FN, 6, "float6_e2m3fn"},
    {TR_DTYPE_FLOAT6_E3M2FN, 6, "float6_e3m2fn"},
    {TR_DTYPE_FLOAT4_E2M1FN, 4, "float4_e2m1fn"},
};

enum { OPAQUE_MAX_BITS = 248 }; /* the largest multiple of 8 in a uint8_t */

static uint32_t element_bits(tr_dtype dtype)
{
    return (uint32_t)dtype.bits * dtype.lanes;
}

static const char *find_name(tr_dtype dtype)
{
    if (dtype.code == TR_DTYPE_OPAQUE)
        return dtype.bits > 0 && dtype.bits % 8 == 0 ? "opaque" : NULL;
    for (size_t i = 0; i < sizeof(scalars) / sizeof(scalars[0]); i++)
        if (scalars[i].code == dtype.code && scalars[i].bits == dtype.bits)
            return scalars[i].name;
    return NULL;
}

bool dtype_is_valid(tr_dtype dtype)
{
    return dtype.lanes > 0 && find_name(dtype);
}

bool dtype_is_addressable(tr_dtype dtype)
{
    return element_bits(dtype) % 8 == 0;
}

uint64_t tr_dtype_bytes(tr_dtype dtype)
{
    return (element_bits(dtype) + UINT64_C(7)) / 8;
}

const char *tr_dtype_name(tr_dtype dtype)
{
    const char *name = find_name(dtype);

    return name ? name : "unknown";
}

int dtype_opaque(uint64_t bytes, tr_dtype *dtype)
{
    if (bytes == 0)
        return tr_fail(TR_ENOTSUP, "dtype: elements of 0 bytes have nothing to share");
    if (bytes <= OPAQUE_MAX_BITS / 8) {
        *dtype = (tr_dtype){TR_DTYPE_OPAQUE, (uint8_t)(bytes * 8), 1};
        return 0;
    }
    for (uint32_t lane_bytes = 1; lane_bytes * 8 <= OPAQUE_MAX_BITS; lane_bytes++) {
        if (bytes % lane_bytes == 0 && bytes / lane_bytes <= UINT16_MAX) {
            *dtype = (tr_dtype){TR_DTYPE_OPAQUE, (uint8_t)(lane_bytes * 8),
                                (uint16_t)(bytes / lane_bytes)};
            return 0;
        }
    }
    return tr_fail(TR_ENOTSUP,
                   "dtype: one element takes %" PRIu64 " bytes, the limit is %d lanes of "
                   "1 to %d whole bytes; share a view of bytes with one more dimension",
                   bytes, UINT16_MAX, OPAQUE_MAX_BITS / 8);
}

/* Extents of 0 count as 1, so that the strides of an empty array fit as well. */
static int count_elements(uint32_t ndim, const int64_t *shape, int64_t *elements,
                          bool *empty)
{
    *elements = 1;
    *empty = false;
    if (ndim > TR_MAX_NDIM)
        return tr_fail(TR_EINVAL,
                       "shape: %" PRIu32 " dimensions, the limit is %d; reshape", ndim,
                       TR_MAX_NDIM);
    if (ndim > 0 && !shape)
        return tr_fail(TR_EINVAL, "shape is NULL for %" PRIu32 " dimensions", ndim);
    for (uint32_t i = 0; i < ndim; i++) {
        if (shape[i] < 0)
            return tr_fail(TR_EINVAL,
                           "shape: extent %" PRId64 " of dimension %" PRIu32
                           " is negative",
                           shape[i], i);
        if (shape[i] == 0)
            *empty = true;
        else if (__builtin_mul_overflow(*elements, shape[i], elements))
            return tr_fail(TR_EOVERFLOW,
                           "shape: with extent %" PRId64 " of dimension %" PRIu32
                           " there are more than %" PRId64 " elements; split the array",
                           shape[i], i, INT64_MAX);
    }
    return 0;
}

int tr_tensor_nbytes(tr_dtype dtype, uint32_t ndim, const int64_t *shape,
                     uint64_t *nbytes)
{
    uint64_t bits = element_bits(dtype), whole;
    int64_t elements, total;
    bool empty;
    int result;

    if (!nbytes)
        return null_fail("tensor nbytes", "nbytes");
    if (!dtype_is_valid(dtype))
        return tr_fail(TR_EINVAL,
                       "dtype: DLPack has no type {code %u, bits %u, lanes %u}; see "
                       "tr_dtype_code, and lanes is 1 for a scalar",
                       dtype.code, dtype.bits, dtype.lanes);
    result = count_elements(ndim, shape, &elements, &empty);
    if (result)
        return result;
    /* Counts in groups of 8 elements, which are whole bytes: the number of bits need not fit. */
    whole = (uint64_t)elements / 8;
    if (__builtin_mul_overflow(whole, bits, &total) ||
        __builtin_add_overflow(total, ((uint64_t)elements % 8 * bits + 7) / 8, &total))
        return tr_fail(TR_EOVERFLOW,
                       "shape: %" PRId64 " elements of %s x %u take more than %" PRId64
                       " bytes; split the array",
                       elements, tr_dtype_name(dtype), dtype.lanes, INT64_MAX);
    *nbytes = empty ? 0 : (uint64_t)total;
    return 0;
}

int spec_check(const char *step, const tr_tensor_spec *spec)
{
    if (spec->flags & ~(uint32_t)(TR_TENSOR_F_ORDER | TR_TENSOR_BYTESWAPPED))
        return tr_fail(TR_EINVAL,
                       "%s: spec.flags is 0x%x; it can have "
                       "TR_TENSOR_F_ORDER and TR_TENSOR_BYTESWAPPED",
                       step, spec->flags);
    if (spec->flags & TR_TENSOR_BYTESWAPPED && (!spec->descr || !*spec->descr))
        return tr_fail(TR_EINVAL,
                       "%s: flags has TR_TENSOR_BYTESWAPPED, and no descr says of what; "
                       "one like \">f4\" is needed",
                       step);
    return spec->reserved ? tr_fail(TR_EINVAL, "%s: spec.reserved is %u, it must be 0",
                                    step, spec->reserved)
                          : 0;
}

void packed_strides(uint32_t ndim, const int64_t *shape, bool f_order, int64_t *strides)
{
    int64_t step = 1;

    for (uint32_t i = 0; i < ndim; i++) {
        uint32_t dim = f_order ? i : ndim - 1 - i;

        strides[dim] = step;
        step *= shape[dim] ? shape[dim] : 1;
    }
}
