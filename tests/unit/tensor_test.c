/* SPDX-License-Identifier: MIT */
#include "src/tensor/tensor.h"

#include "src/base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

__extension__ typedef __int128 wide_int;

static const tr_dtype float32 = {TR_DTYPE_FLOAT, 32, 1}, int8 = {TR_DTYPE_INT, 8, 1};

static void every_dtype_has_its_size_and_name(void **state)
{
    static const struct {
        tr_dtype dtype;
        uint64_t bytes;
        const char *name;
    } rows[] = {
        {{TR_DTYPE_BOOL, 8, 1}, 1, "bool"},
        {{TR_DTYPE_INT, 8, 1}, 1, "int8"},
        {{TR_DTYPE_INT, 64, 1}, 8, "int64"},
        {{TR_DTYPE_INT, 4, 1}, 1, "int4"},
        {{TR_DTYPE_UINT, 16, 1}, 2, "uint16"},
        {{TR_DTYPE_UINT, 1, 1}, 1, "uint1"},
        {{TR_DTYPE_FLOAT, 16, 1}, 2, "float16"},
        {{TR_DTYPE_FLOAT, 64, 1}, 8, "float64"},
        {{TR_DTYPE_FLOAT, 128, 1}, 16, "float128"},
        {{TR_DTYPE_FLOAT, 32, 4}, 16, "float32"},
        {{TR_DTYPE_BFLOAT, 16, 1}, 2, "bfloat16"},
        {{TR_DTYPE_COMPLEX, 32, 1}, 4, "complex32"},
        {{TR_DTYPE_COMPLEX, 64, 1}, 8, "complex64"},
        {{TR_DTYPE_COMPLEX, 128, 1}, 16, "complex128"},
        {{TR_DTYPE_FLOAT8_E3M4, 8, 1}, 1, "float8_e3m4"},
        {{TR_DTYPE_FLOAT8_E4M3, 8, 1}, 1, "float8_e4m3"},
        {{TR_DTYPE_FLOAT8_E4M3B11FNUZ, 8, 1}, 1, "float8_e4m3b11fnuz"},
        {{TR_DTYPE_FLOAT8_E4M3FN, 8, 1}, 1, "float8_e4m3fn"},
        {{TR_DTYPE_FLOAT8_E4M3FNUZ, 8, 1}, 1, "float8_e4m3fnuz"},
        {{TR_DTYPE_FLOAT8_E5M2, 8, 1}, 1, "float8_e5m2"},
        {{TR_DTYPE_FLOAT8_E5M2FNUZ, 8, 1}, 1, "float8_e5m2fnuz"},
        {{TR_DTYPE_FLOAT8_E8M0FNU, 8, 1}, 1, "float8_e8m0fnu"},
        {{TR_DTYPE_FLOAT6_E2M3FN, 6, 1}, 1, "float6_e2m3fn"},
        {{TR_DTYPE_FLOAT6_E3M2FN, 6, 4}, 3, "float6_e3m2fn"},
        {{TR_DTYPE_FLOAT4_E2M1FN, 4, 1}, 1, "float4_e2m1fn"},
        {{TR_DTYPE_FLOAT4_E2M1FN, 4, 2}, 1, "float4_e2m1fn"},
        {{TR_DTYPE_OPAQUE, 64, 1}, 8, "opaque"},
        {{TR_DTYPE_OPAQUE, 8, 65535}, 65535, "opaque"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t nbytes;

        assert_true(dtype_is_valid(rows[i].dtype));
        assert_string_equal(tr_dtype_name(rows[i].dtype), rows[i].name);
        assert_int_equal(tr_dtype_bytes(rows[i].dtype), rows[i].bytes);
        assert_int_equal(tr_tensor_nbytes(rows[i].dtype, 0, NULL, &nbytes), 0);
        assert_int_equal(nbytes, rows[i].bytes);
    }
}

/* All 2^16 pairs of code and bits: a pair with a name is accepted, no other is. */
static void no_other_dtype_is_accepted(void **state)
{
    uint64_t nbytes;
    int valid = 0;

    (void)state;
    for (unsigned code = 0; code < 256; code++) {
        for (unsigned bits = 0; bits < 256; bits++) {
            tr_dtype dtype = {(uint8_t)code, (uint8_t)bits, 1};
            int named = strcmp(tr_dtype_name(dtype), "unknown") != 0;

            assert_int_equal(tr_tensor_nbytes(dtype, 0, NULL, &nbytes),
                             named ? 0 : TR_EINVAL);
            valid += named;
            dtype.lanes = 0;
            assert_int_equal(tr_tensor_nbytes(dtype, 0, NULL, &nbytes), TR_EINVAL);
        }
    }
    assert_int_equal(valid, 8 + 8 + 4 + 1 + 3 + 1 + 8 + 3 + 31);
    assert_non_null(strstr(tr_error_detail(), "{code 255, bits 255, lanes 0}"));
}

static void types_under_a_byte_are_packed_bit_by_bit(void **state)
{
    static const tr_dtype int4 = {TR_DTYPE_INT, 4, 1},
                          float6 = {TR_DTYPE_FLOAT6_E2M3FN, 6, 1},
                          uint1 = {TR_DTYPE_UINT, 1, 1};
    uint64_t nbytes;

    (void)state;
    assert_int_equal(tr_tensor_nbytes(int4, 1, (int64_t[]){7}, &nbytes), 0);
    assert_int_equal(nbytes, 4);
    assert_int_equal(tr_tensor_nbytes(int4, 2, (int64_t[]){3, 3}, &nbytes), 0);
    assert_int_equal(nbytes, 5);
    assert_int_equal(tr_tensor_nbytes(float6, 1, (int64_t[]){4}, &nbytes), 0);
    assert_int_equal(nbytes, 3);
    assert_int_equal(tr_tensor_nbytes(float6, 1, (int64_t[]){5}, &nbytes), 0);
    assert_int_equal(nbytes, 4);
    assert_int_equal(tr_tensor_nbytes(uint1, 1, (int64_t[]){17}, &nbytes), 0);
    assert_int_equal(nbytes, 3);
    /* The bits do not fit in 64 bits, the bytes do. */
    assert_int_equal(tr_tensor_nbytes(int4, 1, (int64_t[]){INT64_MAX}, &nbytes), 0);
    assert_int_equal(nbytes, (uint64_t)1 << 62);
    assert_false(dtype_is_addressable(int4));
    assert_true(dtype_is_addressable((tr_dtype){TR_DTYPE_FLOAT4_E2M1FN, 4, 2}));
    assert_true(dtype_is_addressable(float32));
}

static void empty_and_scalar_arrays(void **state)
{
    uint64_t nbytes;

    (void)state;
    assert_int_equal(tr_tensor_nbytes(float32, 0, NULL, &nbytes), 0);
    assert_int_equal(nbytes, 4);
    assert_int_equal(tr_tensor_nbytes(float32, 1, (int64_t[]){0}, &nbytes), 0);
    assert_int_equal(nbytes, 0);
    assert_int_equal(tr_tensor_nbytes(float32, 3, (int64_t[]){5, 0, 7}, &nbytes), 0);
    assert_int_equal(nbytes, 0);
    /* An extent of 0 does not excuse the others: its strides would not fit. */
    assert_int_equal(
        tr_tensor_nbytes(float32, 3, (int64_t[]){INT64_MAX, 0, INT64_MAX}, &nbytes),
        TR_EOVERFLOW);
}

static void bad_shapes_are_refused_by_name(void **state)
{
    int64_t shape[TR_MAX_NDIM + 1];
    uint64_t nbytes = 99;

    (void)state;
    for (int i = 0; i <= TR_MAX_NDIM; i++)
        shape[i] = 2;
    assert_int_equal(tr_tensor_nbytes(float32, TR_MAX_NDIM, shape, &nbytes), 0);
    assert_int_equal(nbytes, 4 << TR_MAX_NDIM);
    assert_int_equal(tr_tensor_nbytes(float32, TR_MAX_NDIM + 1, shape, &nbytes),
                     TR_EINVAL);
    assert_non_null(strstr(tr_error_detail(), "17 dimensions, the limit is 16"));
    shape[2] = -3;
    assert_int_equal(tr_tensor_nbytes(float32, 3, shape, &nbytes), TR_EINVAL);
    assert_non_null(strstr(tr_error_detail(), "extent -3 of dimension 2"));
    assert_int_equal(tr_tensor_nbytes(float32, 1, NULL, &nbytes), TR_EINVAL);
    assert_int_equal(tr_tensor_nbytes(float32, 1, shape, NULL), TR_EINVAL);
    assert_int_equal(nbytes, 4 << TR_MAX_NDIM);
}

static void sizes_over_63_bits_are_refused(void **state)
{
    uint64_t nbytes;

    (void)state;
    assert_int_equal(tr_tensor_nbytes(int8, 1, (int64_t[]){INT64_MAX}, &nbytes), 0);
    assert_int_equal(nbytes, INT64_MAX);
    assert_int_equal(tr_tensor_nbytes(int8, 2, (int64_t[]){INT64_MAX, 2}, &nbytes),
                     TR_EOVERFLOW);
    assert_int_equal(
        tr_tensor_nbytes(float32, 1, (int64_t[]){INT64_MAX / 4 + 1}, &nbytes),
        TR_EOVERFLOW);
    assert_non_null(strstr(tr_error_detail(), "split the array"));
    assert_int_equal(tr_tensor_nbytes(float32, 1, (int64_t[]){INT64_MAX / 4}, &nbytes),
                     0);
    assert_int_equal(tr_tensor_nbytes((tr_dtype){TR_DTYPE_OPAQUE, 248, 65535}, 1,
                                      (int64_t[]){INT64_MAX / 1000000}, &nbytes),
                     TR_EOVERFLOW);
}

/* Against arithmetic in 128 bits, for shapes that are mostly near the limit. */
static void sizes_equal_wide_arithmetic(void **state)
{
    static const tr_dtype dtypes[] = {
        {TR_DTYPE_INT, 4, 1},    {TR_DTYPE_FLOAT6_E2M3FN, 6, 1}, {TR_DTYPE_INT, 8, 1},
        {TR_DTYPE_FLOAT, 64, 1}, {TR_DTYPE_INT, 2, 3},           {TR_DTYPE_OPAQUE, 24, 5},
        {TR_DTYPE_UINT, 1, 1},   {TR_DTYPE_COMPLEX, 128, 1}};
    unsigned seed = (unsigned)time(NULL);
    int overflows = 0, rounds = 100000;

#ifdef TR_INSTRUMENTED
    rounds = 20000;
#endif

    (void)state;
    print_message("seed %u\n", seed);
    srandom(seed);
    for (int round = 0; round < rounds; round++) {
        tr_dtype dtype = dtypes[(size_t)random() % (sizeof(dtypes) / sizeof(dtypes[0]))];
        uint32_t ndim = (uint32_t)random() % 5;
        wide_int elements = 1, bytes;
        int64_t shape[5];
        uint64_t nbytes = 0;
        int err;

        for (uint32_t i = 0; i < ndim; i++) {
            shape[i] = 1 + random() % (INT64_C(1) << (1 + random() % 30));
            elements *= (wide_int)shape[i]; /* at most 2^120 */
        }
        bytes = elements >> 64 ? elements : (elements * dtype.bits * dtype.lanes + 7) / 8;
        err = tr_tensor_nbytes(dtype, ndim, shape, &nbytes);
        if (elements > INT64_MAX || bytes > INT64_MAX) {
            assert_int_equal(err, TR_EOVERFLOW);
            overflows++;
        } else {
            assert_int_equal(err, 0);
            assert_true((wide_int)nbytes == bytes);
        }
    }
    assert_in_range(overflows, 100, rounds - 100);
}

static void strides_follow_shape_and_order(void **state)
{
    int64_t strides[TR_MAX_NDIM];

    (void)state;
    packed_strides(3, (int64_t[]){2, 3, 4}, false, strides);
    assert_memory_equal(strides, ((int64_t[]){12, 4, 1}), 3 * sizeof(int64_t));
    packed_strides(3, (int64_t[]){2, 3, 4}, true, strides);
    assert_memory_equal(strides, ((int64_t[]){1, 2, 6}), 3 * sizeof(int64_t));
    packed_strides(3, (int64_t[]){2, 0, 4}, false, strides);
    assert_memory_equal(strides, ((int64_t[]){4, 4, 1}), 3 * sizeof(int64_t));
    packed_strides(1, (int64_t[]){9}, true, strides);
    assert_int_equal(strides[0], 1);
    packed_strides(0, NULL, false, strides);
}

static void opaque_types_have_the_size_asked_for(void **state)
{
    tr_dtype dtype;

    (void)state;
    for (uint64_t bytes = 1; bytes <= 70000; bytes++) {
        int err = dtype_opaque(bytes, &dtype);

        if (err) {
            assert_int_equal(err, TR_ENOTSUP);
            assert_true(bytes > UINT16_MAX);
            continue;
        }
        assert_int_equal(dtype.code, TR_DTYPE_OPAQUE);
        assert_int_equal(tr_dtype_bytes(dtype), bytes);
        assert_true(dtype_is_valid(dtype));
        assert_int_equal(dtype.lanes, bytes <= 31 ? 1 : bytes / (dtype.bits / 8));
    }
    assert_int_equal(dtype_opaque(0, &dtype), TR_ENOTSUP);
    assert_int_equal(dtype_opaque(65537, &dtype), TR_ENOTSUP); /* a prime */
    assert_int_equal(dtype_opaque(80000, &dtype), 0);
    assert_int_equal(dtype.bits, 16);
    assert_int_equal(dtype_opaque(UINT64_MAX / 8 + 2, &dtype), TR_ENOTSUP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_dtype_has_its_size_and_name),
        cmocka_unit_test(no_other_dtype_is_accepted),
        cmocka_unit_test(types_under_a_byte_are_packed_bit_by_bit),
        cmocka_unit_test(empty_and_scalar_arrays),
        cmocka_unit_test(bad_shapes_are_refused_by_name),
        cmocka_unit_test(sizes_over_63_bits_are_refused),
        cmocka_unit_test(sizes_equal_wide_arithmetic),
        cmocka_unit_test(strides_follow_shape_and_order),
        cmocka_unit_test(opaque_types_have_the_size_asked_for),
    };

    return cmocka_run_group_tests_name("tensor", tests, NULL, NULL);
}
