/* SPDX-License-Identifier: MIT */
#include "src/base/error.h"
#include "tests/unit/npy_files.h"

static void types_become_what_they_are(void **state)
{
    static const struct {
        const char *quoted, *descr;
        tr_dtype dtype;
        uint32_t flags;
    } rows[] = {
        {"'|b1'", "", {TR_DTYPE_BOOL, 8, 1}, 0},
        {"'<b1'", "", {TR_DTYPE_BOOL, 8, 1}, 0},
        {"'>u1'", "", {TR_DTYPE_UINT, 8, 1}, 0},
        {"'<i8'", "", {TR_DTYPE_INT, 64, 1}, 0},
        {"'<f2'", "", {TR_DTYPE_FLOAT, 16, 1}, 0},
        {"'<c8'", "", {TR_DTYPE_COMPLEX, 64, 1}, 0},
        {"'>c16'", ">c16", {TR_DTYPE_COMPLEX, 128, 1}, TR_TENSOR_BYTESWAPPED},
        {"'<f16'", "<f16", {TR_DTYPE_OPAQUE, 128, 1}, 0},
        {"'<c32'", "<c32", {TR_DTYPE_OPAQUE, 8, 32}, 0},
        {"'<f1'", "<f1", {TR_DTYPE_OPAQUE, 8, 1}, 0},  /* float8_e5m2 of ml_dtypes */
        {"'<V2'", "<V2", {TR_DTYPE_OPAQUE, 16, 1}, 0}, /* bfloat16 of ml_dtypes */
        {"'|V1'", "|V1", {TR_DTYPE_OPAQUE, 8, 1}, 0},  /* float8 of ml_dtypes */
        {"'>V2'", ">V2", {TR_DTYPE_OPAQUE, 16, 1}, 0},
        {"'|S5'", "|S5", {TR_DTYPE_OPAQUE, 40, 1}, 0},
        {"'|S32'", "|S32", {TR_DTYPE_OPAQUE, 8, 32}, 0},
        {"'|S70000'", "|S70000", {TR_DTYPE_OPAQUE, 16, 35000}, 0},
        {"'>U1'", ">U1", {TR_DTYPE_OPAQUE, 32, 1}, TR_TENSOR_BYTESWAPPED},
        {"'<m8'", "<m8", {TR_DTYPE_INT, 64, 1}, 0},
        {"'>M8[D]'", ">M8[D]", {TR_DTYPE_INT, 64, 1}, TR_TENSOR_BYTESWAPPED},
        {"'<M8[25us]'", "<M8[25us]", {TR_DTYPE_INT, 64, 1}, 0},
        {"'<M8[generic]'", "<M8[generic]", {TR_DTYPE_INT, 64, 1}, 0},
        {"[ ('a' , '<i2', ), ( \"b\", 'u1' ) , ]",
         "[('a', '<i2'), (\"b\", 'u1')]",
         {TR_DTYPE_OPAQUE, 24, 1},
         0},
        {"[(('t', 'n'), '<i2')]", "[(('t', 'n'), '<i2')]", {TR_DTYPE_OPAQUE, 16, 1}, 0},
        {"[('a', [('b', '|S3')], (2,3,))]",
         "[('a', [('b', '|S3')], (2, 3))]",
         {TR_DTYPE_OPAQUE, 144, 1},
         0},
        {"[('a', ('<f4', (2,)))]", "[('a', ('<f4', (2,)))]", {TR_DTYPE_OPAQUE, 64, 1}, 0},
        {"[('it\\'s \\x80 \\u1234 \\U00012345 \\\\ \\n', 'u1')]",
         "[('it\\'s \\x80 \\u1234 \\U00012345 \\\\ \\n', 'u1')]",
         {TR_DTYPE_OPAQUE, 8, 1},
         0},
        {"[('', '|V3'), ('z', '|V0'), ('a', '<u8', (0,)), ('b', 'u1')]",
         "[('', '|V3'), ('z', '|V0'), ('a', '<u8', (0,)), ('b', 'u1')]",
         {TR_DTYPE_OPAQUE, 32, 1},
         0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        tr_dtype dtype;
        uint32_t flags;

        assert_int_equal(decode_descr(rows[i].quoted), 0);
        assert_dtype(rows[i].dtype.code, rows[i].dtype.bits, rows[i].dtype.lanes);
        assert_int_equal(npy.flags, rows[i].flags);
        assert_string_equal(npy.descr, rows[i].descr);
        assert_int_equal(npy.data_bytes, tr_dtype_bytes(npy.dtype));
        if (!npy.descr[0])
            continue;
        assert_int_equal(tr_npy_dtype(npy.descr, &dtype, &flags), 0);
        assert_memory_equal(&dtype, &npy.dtype, sizeof(dtype));
        assert_int_equal(flags, rows[i].flags);
    }
}

static void types_that_numpy_does_not_write_are_refused(void **state)
{
    static const char *const descrs[] = {
        "''",
        "'<'",
        "'f'",
        "'<f'",
        "'<f3'",
        "'<f04'",
        "'<M08[ns]'",
        "'<M8[025s]'",
        "'<M8[2147483648s]'",
        "'<f4 '",
        "' <f4'",
        "'<<f4'",
        "'float32'",
        "'f4,i4'",
        "'(2,)f4'",
        "'<i16'",
        "'<c4'",
        "'|b2'",
        "'<M4[ns]'",
        "'<M8[xs]'",
        "'<M8[ns'",
        "'<M8[ns]]'",
        "'<M8[]'",
        "'<M8[ns/2]'",
        "'<U-1'",
        "'<U99999999999999999999'",
        "'<U9223372036854775807'",
        "'<\\x664'",
        "'\xc3\xa9'",
        "f4",
        "4",
        "True",
        "{}",
        "()",
        "('<f4', (2,))",
        "['<f4']",
        "[()]",
        "[('a')]",
        "[('a',)]",
        "[('a', 4)]",
        "[(4, '<f4')]",
        "[('a', '<f4', 2)]",
        "[('a', '<f4', (2))]",
        "[('a', '<f4', ())]",
        "[('a', '<f4', [2])]",
        "[('a', '<f4', (2,), 1)]",
        "[('a', '<f4', (-2,))]",
        "[('a', ('<f4'))]",
        "[(('t', 'n', 'm'), '<f4')]",
        "[(('t',), '<f4')]",
        "[('a', '<f4')",
        "[('\\q', '<f4')]",
        "[('\\x4', '<f4')]",
        "[('\\u12', '<f4')]",
        "[('\\N{DIGIT ONE}', '<f4')]",
        "[('\x01', '<f4')]",
        "[('\xff', '<f4')]",
        "[('\xc0\xaf', '<f4')]",
        "[('\xed\xa0\x80', '<f4')]",
        "[('\xf4\x90\x80\x80', '<f4')]",
        "[('\xe6\x95', '<f4')]",
    }; /* clang-format would put each on a line */

    (void)state;
    for (size_t i = 0; i < sizeof(descrs) / sizeof(descrs[0]); i++)
        if (decode_descr(descrs[i]) != TR_EFORMAT)
            fail_msg("%s: %s", descrs[i], tr_error_detail());
}

static void python_objects_are_refused(void **state)
{
    static const char *const descrs[] = {
        "'|O'",
        "'O'",
        "'<O'",
        "'|O8'",
        "'object'",
        "[('a', '|O')]",
        "[('b', [('a', 'O8')])]",
        "[('a', '<f4'), ('b', ('|O', (2,)))]",
    };
    tr_dtype dtype;
    uint32_t flags;

    (void)state;
    for (size_t i = 0; i < sizeof(descrs) / sizeof(descrs[0]); i++) {
        assert_int_equal(decode_descr(descrs[i]), TR_EOBJECT);
        assert_non_null(strstr(tr_error_detail(), "Python objects"));
    }
    assert_int_equal(tr_npy_dtype("|O", &dtype, &flags), TR_EOBJECT);
    /* A field may well be called so. */
    assert_int_equal(decode_descr("[('O', '<f4')]"), 0);
}

static void types_without_a_dtype_are_refused(void **state)
{
    char text[TR_MAX_DESCR + 200], nested[400] = "";

    (void)state;
    assert_int_equal(decode_descr("'|V0'"), TR_ENOTSUP);
    assert_int_equal(decode_descr("'<U0'"), TR_ENOTSUP);
    assert_int_equal(decode_descr("[]"), TR_ENOTSUP);
    assert_int_equal(decode_descr("'|S65537'"), TR_ENOTSUP);
    assert_int_equal(decode_descr("'|S9223372036854775807'"), TR_ENOTSUP);
    assert_int_equal(decode_descr("[('a', '|S9223372036854775807'), ('b', 'u1')]"),
                     TR_EOVERFLOW);
    assert_int_equal(decode_descr("[('a', '<f8', (9223372036854775807,))]"),
                     TR_EOVERFLOW);
    /* A name that is just too long, and one that is not. */
    memset(text, 'x', sizeof(text));
    memcpy(text, "[('", 3);
    strcpy(text + TR_MAX_DESCR - 9, "', '<f4')]");
    assert_int_equal(decode_descr(text), TR_ENOTSUP);
    assert_non_null(strstr(tr_error_detail(), "over 8191 bytes"));
    strcpy(text + TR_MAX_DESCR - 10, "', '<f4')]");
    assert_int_equal(decode_descr(text), 0);
    assert_int_equal(strlen(npy.descr), TR_MAX_DESCR);
    for (int i = 0; i < 40; i++)
        strcat(nested, "[('a', ");
    assert_int_equal(decode_descr(nested), TR_ENOTSUP);
    assert_non_null(strstr(tr_error_detail(), "deeper than 32"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_become_what_they_are),
        cmocka_unit_test(types_that_numpy_does_not_write_are_refused),
        cmocka_unit_test(python_objects_are_refused),
        cmocka_unit_test(types_without_a_dtype_are_refused),
    };

    return cmocka_run_group_tests_name("npy_descr", tests, NULL, NULL);
}
