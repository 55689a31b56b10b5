/* SPDX-License-Identifier: MIT */
#include "src/base/error.h"
#include "tests/unit/npy_files.h"

static int decode_shape(unsigned version, const char *shape, size_t payload)
{
    char text[512];

    snprintf(text, sizeof(text),
             "{'descr': '<f4', 'fortran_order': True, 'shape': %s, }\n", shape);
    return decode_text(version, text, payload);
}

static void headers_of_numpy_are_read(void **state)
{
    unsigned char file[256];
    uint64_t nbytes;

    (void)state;
    for (size_t i = 0; i < SAVED; i++) {
        build_saved(i, file);
        assert_int_equal(
            tr_tensor_nbytes(saved[i].dtype, saved[i].ndim, saved[i].shape, &nbytes), 0);
        assert_int_equal(
            tr_npy_decode(file, saved[i].bytes, saved[i].bytes + nbytes, 0, &npy), 0);
        assert_dtype(saved[i].dtype.code, saved[i].dtype.bits, saved[i].dtype.lanes);
        assert_string_equal(npy.descr, saved[i].descr);
        assert_int_equal(npy.ndim, saved[i].ndim);
        assert_memory_equal(npy.shape, saved[i].shape, saved[i].ndim * sizeof(int64_t));
        assert_int_equal(npy.flags, saved[i].flags);
        assert_int_equal(npy.version, saved[i].version);
        assert_int_equal(npy.data_offset, saved[i].bytes);
        assert_int_equal(npy.data_bytes, nbytes);
    }
}

static void literals_are_read_in_any_spelling(void **state)
{
    static const char *const texts[] = {
        "{'shape': (2, 3), 'descr': '<f4', 'fortran_order': True, }",
        "{\"fortran_order\":True,\"shape\":(2,3),\"descr\":\"<f4\"}",
        " \t{ 'descr' :\n'<f4' , 'fortran_order' : True , 'shape' : (2 ,3 , ) , } \n\n",
        "{'descr': 'f4', 'fortran_order': True, 'shape': (2, 3)}",
        "{'descr': '=f4', 'fortran_order': True, 'shape': (2, 3)}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        for (unsigned version = 1; version <= 3; version++) {
            assert_int_equal(decode_text(version, texts[i], 24), 0);
            assert_dtype(TR_DTYPE_FLOAT, 32, 1);
            assert_string_equal(npy.descr, "");
            assert_int_equal(npy.flags, TR_TENSOR_F_ORDER);
            assert_int_equal(npy.ndim, 2);
            assert_int_equal(npy.shape[0], 2);
            assert_int_equal(npy.shape[1], 3);
            assert_int_equal(npy.version, version);
        }
    }
}

static void the_l_of_python_2_is_read_in_old_versions(void **state)
{
    (void)state;
    for (unsigned version = 1; version <= 2; version++) {
        assert_int_equal(decode_shape(version, "(2L, 3L)", 24), 0);
        assert_int_equal(npy.shape[1], 3);
        assert_int_equal(decode_shape(version, "(6L,)", 24), 0);
        assert_int_equal(decode_shape(version, "(6LL,)", 24), TR_EFORMAT);
        assert_int_equal(decode_shape(version, "(6 L,)", 24), TR_EFORMAT);
        assert_int_equal(decode_shape(version, "(6l,)", 24), TR_EFORMAT);
    }
    assert_int_equal(decode_shape(3, "(2L, 3L)", 24), TR_EFORMAT);
    assert_int_equal(
        decode_text(2,
                    "{'descr': [('a', '<f4', (2L,))], 'fortran_order': False, "
                    "'shape': (1L,)}",
                    8),
        0);
    assert_string_equal(npy.descr, "[('a', '<f4', (2,))]");
}

static void what_is_no_header_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        " \n",
        "{",
        "{}",
        "[]",
        "None",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'shape': (1,)}",
        "{'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'shape': (1,)}",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4' 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4',, 'fortran_order': False, 'shape': (1,)}",
        "{,'descr': '<f4', 'fortran_order': False, 'shape': (1,)}",
        "{'descr' '<f4', 'fortran_order': False, 'shape': (1,)}",
        "{descr: '<f4', 'fortran_order': False, 'shape': (1,)}",
        "{u'descr': '<f4', 'fortran_order': False, 'shape': (1,)}",
        "{'des' 'cr': '<f4', 'fortran_order': False, 'shape': (1,)}",
        "{'\\x64escr': '<f4', 'fortran_order': False, 'shape': (1,)}",
        "{'descr\": '<f4', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': false, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': Falsey, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': 'False', 'shape': (1,)}",
        "{'descr': __import__('os'), 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} # more",
        "{'descr': '<f4",
        "{'descr': '<f4\n', 'fortran_order': False, 'shape': (1,)}",
    };

    (void)state;
    for (unsigned version = 1; version <= 3; version++)
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
            assert_int_equal(decode_text(version, texts[i], 64), TR_EFORMAT);
            assert_true(strncmp(tr_error_detail(), "npy: ", 5) == 0 ||
                        strncmp(tr_error_detail(), "descr: ", 7) == 0);
        }
}

static void what_is_no_shape_is_refused(void **state)
{
    static const char *const shapes[] = {
        "1",      "(1)",     "[1]",  "(-1,)", "(+1,)", "(1.0,)", "(1e3,)",
        "(0x1,)", "(01,)",   "(,)",  "(1,,)", "(1 2)", "(1_0,)", "(True,)",
        "('1',)", "((1,),)", "(1,2", "None",  "()()",  "(1a,)",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        assert_int_equal(decode_shape(1, shapes[i], 64), TR_EFORMAT);
    assert_int_equal(decode_shape(1, "(9223372036854775808,)", 64), TR_EOVERFLOW);
    assert_int_equal(decode_shape(1, "(9223372036854775807,)", 64), TR_EOVERFLOW);
    assert_int_equal(decode_shape(1, "(4294967296, 4294967296)", 64), TR_EOVERFLOW);
    assert_int_equal(decode_shape(1, "(1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1)", 64), 0);
    assert_int_equal(npy.ndim, 16);
    assert_int_equal(decode_shape(1, "(1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1)", 64),
                     TR_ENOTSUP);
    assert_non_null(strstr(tr_error_detail(), "more than 16 dimensions"));
}

static void truncated_files_say_by_how_much(void **state)
{
    unsigned char file[256] = {0};
    const size_t whole = 128 + 24;

    (void)state;
    build_saved(0, file);
    for (size_t bytes = 0; bytes < whole; bytes++) {
        /* A block of just that size. */
        unsigned char *cut = malloc(bytes ? bytes : 1);

        memcpy(cut, file, bytes);
        assert_int_equal(tr_npy_decode(cut, bytes, bytes, 0, &npy), TR_EFORMAT);
        free(cut);
    }
    assert_string_equal(
        tr_error_detail(),
        "npy: truncated: the header says 24 bytes of data, the file has 23");
    assert_int_equal(tr_npy_decode(file, 100, 100, 0, &npy), TR_EFORMAT);
    assert_string_equal(tr_error_detail(),
                        "npy: truncated: the header ends at byte 128, the "
                        "file has 100 bytes");
    assert_int_equal(tr_npy_decode(file, whole, whole, 0, &npy), 0);
    assert_int_equal(tr_npy_decode(file, whole, whole + 1000, 0, &npy), 0);
}

static void a_part_of_the_file_is_enough_if_it_has_the_header(void **state)
{
    unsigned char file[256];

    (void)state;
    build_saved(0, file);
    assert_int_equal(tr_npy_decode(file, 128, 152, 0, &npy), 0);
    assert_int_equal(tr_npy_decode(file, 127, 152, 0, &npy), TR_EINVAL);
    assert_non_null(strstr(tr_error_detail(), "header ends at byte 128"));
    assert_int_equal(tr_npy_decode(file, 8, 152, 0, &npy), TR_EINVAL);
    assert_int_equal(tr_npy_decode(file, 153, 152, 0, &npy), TR_EINVAL);
    assert_int_equal(tr_npy_decode(NULL, 153, 152, 0, &npy), TR_EINVAL);
    assert_int_equal(tr_npy_decode(file, 152, 152, 0, NULL), TR_EINVAL);
}

static void long_headers_need_leave(void **state)
{
    enum { LENGTH = 70000 };
    unsigned char *file = malloc(LENGTH + 12);
    static const char text[] = "{'descr': '|u1', 'fortran_order': False, 'shape': (0,)}";

    (void)state;
    memset(file, ' ', LENGTH + 12);
    memcpy(file, "\x93NUMPY\x02\x00\x70\x11\x01\x00", 12);
    memcpy(file + 12, text, sizeof(text) - 1);
    assert_int_equal(tr_npy_decode(file, LENGTH + 12, LENGTH + 12, 0, &npy), TR_EFORMAT);
    assert_non_null(strstr(tr_error_detail(), "70000 bytes, the limit is 10000"));
    assert_int_equal(tr_npy_decode(file, LENGTH + 12, LENGTH + 12, LENGTH - 1, &npy),
                     TR_EFORMAT);
    assert_int_equal(tr_npy_decode(file, LENGTH + 12, LENGTH + 12, LENGTH, &npy), 0);
    assert_int_equal(npy.data_offset, LENGTH + 12);
    free(file);
}

static void other_files_and_versions_are_refused(void **state)
{
    unsigned char file[256];

    (void)state;
    memset(file, 0, sizeof(file));
    assert_int_equal(tr_npy_decode(file, 256, 256, 0, &npy), TR_EFORMAT);
    memcpy(file, "PK\x03\x04", 4);
    assert_int_equal(tr_npy_decode(file, 256, 256, 0, &npy), TR_EFORMAT);
    assert_non_null(strstr(tr_error_detail(), ".npz"));
    build_saved(0, file);
    for (int major = 0; major < 256; major++) {
        file[6] = (unsigned char)major;
        if (major >= 1 && major <= 3)
            continue;
        assert_int_equal(tr_npy_decode(file, 256, 256, 0, &npy), TR_EFORMAT);
    }
    file[6] = 1;
    file[7] = 1;
    assert_int_equal(tr_npy_decode(file, 256, 256, 0, &npy), TR_EFORMAT);
    assert_string_equal(tr_error_detail(),
                        "npy: version 1.1; 1.0, 2.0 and 3.0 can be read");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_of_numpy_are_read),
        cmocka_unit_test(literals_are_read_in_any_spelling),
        cmocka_unit_test(the_l_of_python_2_is_read_in_old_versions),
        cmocka_unit_test(what_is_no_header_is_refused),
        cmocka_unit_test(what_is_no_shape_is_refused),
        cmocka_unit_test(truncated_files_say_by_how_much),
        cmocka_unit_test(a_part_of_the_file_is_enough_if_it_has_the_header),
        cmocka_unit_test(long_headers_need_leave),
        cmocka_unit_test(other_files_and_versions_are_refused),
    };

    return cmocka_run_group_tests_name("npy", tests, NULL, NULL);
}
