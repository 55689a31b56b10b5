/* SPDX-License-Identifier: MIT */
#include "src/base/error.h"
#include "tests/unit/npy_files.h"

static void headers_are_written_as_numpy_does(void **state)
{
    unsigned char file[256], written[256];
    size_t bytes;

    (void)state;
    for (size_t i = 0; i < SAVED; i++) {
        tr_tensor_spec spec = {.dtype = saved[i].dtype,
                               .ndim = saved[i].ndim,
                               .shape = saved[i].shape,
                               .descr = saved[i].descr,
                               .flags = saved[i].flags};

        build_saved(i, file);
        assert_int_equal(tr_npy_encode(&spec, written, sizeof(written), &bytes), 0);
        assert_int_equal(bytes, saved[i].bytes);
        assert_memory_equal(written, file, bytes);
        bytes = 0;
        assert_int_equal(tr_npy_encode(&spec, NULL, 0, &bytes), 0);
        assert_int_equal(bytes, saved[i].bytes);
        assert_int_equal(tr_npy_encode(&spec, written, bytes - 1, &bytes), TR_EOVERFLOW);
        assert_int_equal(bytes, saved[i].bytes);
    }
}

static void latin_1_becomes_utf_8_and_back(void **state)
{
    const tr_tensor_spec spec = {.dtype = {TR_DTYPE_OPAQUE, 32, 1}, .descr = npy.descr};
    unsigned char header[256];
    size_t bytes;

    (void)state;
    assert_int_equal(
        decode_text(1,
                    "{'descr': [('\xe9\xff', '<f4')], 'fortran_order': False, "
                    "'shape': ()}",
                    4),
        0);
    assert_string_equal(npy.descr, "[('\xc3\xa9\xc3\xbf', '<f4')]");
    assert_int_equal(tr_npy_encode(&spec, header, sizeof(header), &bytes), 0);
    assert_int_equal(header[6], 1);
    assert_memory_equal(header + 10, "{'descr': [('\xe9\xff', '<f4')]", 25);
}

static void what_numpy_cannot_say_is_not_written(void **state)
{
    static const struct {
        tr_dtype dtype;
        const char *descr;
        uint32_t flags;
        int err;
    } rows[] = {
        {{TR_DTYPE_INT, 4, 1}, NULL, 0, TR_ENOTSUP},
        {{TR_DTYPE_FLOAT4_E2M1FN, 4, 2}, NULL, 0, TR_ENOTSUP},
        {{TR_DTYPE_FLOAT, 32, 4}, NULL, 0, TR_ENOTSUP},
        {{TR_DTYPE_FLOAT, 33, 1}, NULL, 0, TR_EINVAL},
        {{TR_DTYPE_FLOAT, 32, 1}, NULL, TR_TENSOR_BYTESWAPPED, TR_EINVAL},
        {{TR_DTYPE_FLOAT, 32, 1}, ">f8", TR_TENSOR_BYTESWAPPED, TR_EINVAL},
        {{TR_DTYPE_OPAQUE, 64, 1}, "|O", 0, TR_EOBJECT},
        {{TR_DTYPE_OPAQUE, 64, 1}, "nonsense", 0, TR_EFORMAT},
        {{TR_DTYPE_OPAQUE, 64, 1}, "[('a', '<f8')] ", 0, 0},
        {{TR_DTYPE_OPAQUE, 64, 1}, "[('a', '<f8')] x", 0, TR_EFORMAT},
    };
    char written[256];
    size_t bytes;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        tr_tensor_spec spec = {
            .dtype = rows[i].dtype, .descr = rows[i].descr, .flags = rows[i].flags};

        assert_int_equal(tr_npy_encode(&spec, written, sizeof(written), &bytes),
                         rows[i].err);
    }
    assert_int_equal(tr_npy_encode(NULL, written, sizeof(written), &bytes), TR_EINVAL);
    assert_int_equal(tr_npy_encode(&(tr_tensor_spec){.dtype = {TR_DTYPE_INT, 8, 1}},
                                   written, sizeof(written), NULL),
                     TR_EINVAL);
}

static void types_without_a_numpy_name_are_written_as_void(void **state)
{
    static const struct {
        tr_dtype dtype;
        const char *descr;
    } rows[] = {
        {{TR_DTYPE_BFLOAT, 16, 1}, "'<V2'"},
        {{TR_DTYPE_FLOAT8_E4M3FN, 8, 1}, "'<V1'"},
        {{TR_DTYPE_FLOAT8_E5M2, 8, 1}, "'<V1'"},
        {{TR_DTYPE_COMPLEX, 32, 1}, "'<V4'"},
        {{TR_DTYPE_INT, 128, 1}, "'<V16'"},
        {{TR_DTYPE_OPAQUE, 8, 300}, "'|V300'"},
        {{TR_DTYPE_FLOAT, 128, 1}, "'<f16'"},
    };
    char written[256];
    size_t bytes;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        tr_tensor_spec spec = {.dtype = rows[i].dtype, .descr = ""};

        assert_int_equal(tr_npy_encode(&spec, written, sizeof(written), &bytes), 0);
        assert_memory_equal(written + 10, "{'descr': ", 10);
        assert_memory_equal(written + 20, rows[i].descr, strlen(rows[i].descr));
    }
}

/* Packed in both orders: NumPy calls that C order. */
static void order_is_said_only_where_it_matters(void **state)
{
    static const struct {
        uint32_t ndim;
        int64_t shape[3];
        const char *said;
    } rows[] = {
        {0, {0}, "False"},       {1, {7}, "False"},       {2, {1, 7}, "False"},
        {2, {7, 1}, "False"},    {3, {1, 7, 1}, "False"}, {2, {0, 3}, "False"},
        {3, {2, 0, 3}, "False"}, {2, {2, 3}, "True"},     {3, {2, 1, 3}, "True"},
    };
    char written[256];
    size_t bytes;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        tr_tensor_spec spec = {.dtype = {TR_DTYPE_FLOAT, 32, 1},
                               .ndim = rows[i].ndim,
                               .shape = rows[i].shape,
                               .flags = TR_TENSOR_F_ORDER};

        assert_int_equal(tr_npy_encode(&spec, written, sizeof(written), &bytes), 0);
        assert_memory_equal(written + 10 + 34, rows[i].said, strlen(rows[i].said));
    }
}

static void the_longest_header_fits(void **state)
{
    int64_t shape[TR_MAX_NDIM];
    char *written = malloc(32768);
    tr_tensor_spec spec = {
        .dtype = {TR_DTYPE_FLOAT, 64, 1}, .ndim = TR_MAX_NDIM, .shape = shape};
    size_t bytes;

    (void)state;
    for (int i = 0; i < TR_MAX_NDIM; i++)
        shape[i] = 1;
    shape[7] = 0;
    shape[8] = INT64_MAX / 8;
    assert_int_equal(tr_npy_encode(&spec, written, 32768, &bytes), 0);
    assert_int_equal(tr_npy_decode(written, bytes, bytes, 0, &npy), 0);
    assert_memory_equal(npy.shape, shape, sizeof(shape));
    free(written);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_are_written_as_numpy_does),
        cmocka_unit_test(latin_1_becomes_utf_8_and_back),
        cmocka_unit_test(what_numpy_cannot_say_is_not_written),
        cmocka_unit_test(types_without_a_numpy_name_are_written_as_void),
        cmocka_unit_test(order_is_said_only_where_it_matters),
        cmocka_unit_test(the_longest_header_fits),
    };

    return cmocka_run_group_tests_name("npy_encode", tests, NULL, NULL);
}
