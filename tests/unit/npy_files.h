/* SPDX-License-Identifier: MIT */
/* npy_files.h - .npy files for the tests of npy*.c. Those of `saved` are what numpy.save() of
 * NumPy 2.4 wrote; e2e/npy_numpy.py compares with the NumPy that is installed. */
#ifndef TR_TESTS_NPY_FILES_H
#define TR_TESTS_NPY_FILES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <tensoring/npy.h>

static tr_npy npy;

/* A file of version @p version with this header and @p payload bytes behind it. */
static inline int decode_text(unsigned version, const char *text, size_t payload)
{
    size_t prefix = version == 1 ? 10 : 12, length = strlen(text), total;
    unsigned char *file;
    int err;

    total = prefix + length + payload;
    file = calloc(1, total);
    assert_non_null(file);
    memcpy(file, "\x93NUMPY", 6);
    file[6] = (unsigned char)version;
    for (size_t i = 8; i < prefix; i++)
        file[i] = (unsigned char)(length >> 8 * (i - 8));
    memcpy(file + prefix, text, length);
    err = tr_npy_decode(file, total, total, 0, &npy);
    free(file);
    return err;
}

/* "<f4" and (2, 3) unless told otherwise: the rest of a header around @p descr. */
static inline int decode_descr(const char *quoted_descr)
{
    char text[9000];

    snprintf(text, sizeof(text), "{'descr': %s, 'fortran_order': False, 'shape': (), }\n",
             quoted_descr);
    return decode_text(3, text, 100000);
}

static inline void assert_dtype(unsigned code, unsigned bits, unsigned lanes)
{
    assert_int_equal(npy.dtype.code, code);
    assert_int_equal(npy.dtype.bits, bits);
    assert_int_equal(npy.dtype.lanes, lanes);
}

/* Each row: dtype, descr, shape, F order; version, header and its length in the file. */
static const struct {
    tr_dtype dtype;
    const char *descr;
    uint32_t ndim;
    int64_t shape[3];
    uint32_t flags;
    unsigned version;
    size_t bytes;
    const char *text;
} saved[] = {
    {{TR_DTYPE_FLOAT, 32, 1},
     "",
     2,
     {2, 3},
     0,
     1,
     128,
     "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"},
    {{TR_DTYPE_FLOAT, 32, 1},
     "",
     2,
     {2, 3},
     TR_TENSOR_F_ORDER,
     1,
     128,
     "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }"},
    {{TR_DTYPE_FLOAT, 64, 1},
     "",
     0,
     {0},
     0,
     1,
     128,
     "{'descr': '<f8', 'fortran_order': False, 'shape': (), }"},
    {{TR_DTYPE_BOOL, 8, 1},
     "",
     1,
     {7},
     0,
     1,
     128,
     "{'descr': '|b1', 'fortran_order': False, 'shape': (7,), }"},
    {{TR_DTYPE_UINT, 8, 1},
     "",
     3,
     {0, 1, 2},
     0,
     1,
     128,
     "{'descr': '|u1', 'fortran_order': False, 'shape': (0, 1, 2), }"},
    {{TR_DTYPE_COMPLEX, 128, 1},
     "",
     1,
     {1},
     0,
     1,
     128,
     "{'descr': '<c16', 'fortran_order': False, 'shape': (1,), }"},
    {{TR_DTYPE_INT, 16, 1},
     ">i2",
     1,
     {1},
     TR_TENSOR_BYTESWAPPED,
     1,
     128,
     "{'descr': '>i2', 'fortran_order': False, 'shape': (1,), }"},
    {{TR_DTYPE_INT, 64, 1},
     "<M8[ns]",
     1,
     {2},
     0,
     1,
     128,
     "{'descr': '<M8[ns]', 'fortran_order': False, 'shape': (2,), }"},
    {{TR_DTYPE_OPAQUE, 224, 1},
     "<U7",
     1,
     {2},
     0,
     1,
     128,
     "{'descr': '<U7', 'fortran_order': False, 'shape': (2,), }"},
    {{TR_DTYPE_OPAQUE, 8, 300},
     "|V300",
     1,
     {2},
     0,
     1,
     128,
     "{'descr': '|V300', 'fortran_order': False, 'shape': (2,), }"},
    {{TR_DTYPE_OPAQUE, 128, 1},
     "[('abcdefghij', '<f4'), ('b', '>i2', (2, 3))]",
     1,
     {2},
     0,
     1,
     192,
     "{'descr': [('abcdefghij', '<f4'), ('b', '>i2', (2, 3))], 'fortran_order': False, "
     "'shape': (2,), }"},
    {{TR_DTYPE_OPAQUE, 32, 1},
     "[('\xc3\xa9', '<f4')]",
     1,
     {1},
     0,
     1,
     128,
     "{'descr': [('\xe9', '<f4')], 'fortran_order': False, 'shape': (1,), }"},
    {{TR_DTYPE_OPAQUE, 32, 1},
     "[('\xe6\x95\xb0', '<f4')]",
     1,
     {1},
     0,
     3,
     128,
     "{'descr': [('\xe6\x95\xb0', '<f4')], 'fortran_order': False, 'shape': (1,), }"},
};

enum { SAVED = sizeof(saved) / sizeof(saved[0]) };

/* The file that NumPy wrote: the text, spaces, a newline. */
static inline void build_saved(size_t i, unsigned char *file)
{
    size_t prefix = saved[i].version == 1 ? 10 : 12, length = saved[i].bytes - prefix;

    memset(file, ' ', saved[i].bytes);
    memcpy(file, "\x93NUMPY", 6);
    file[6] = (unsigned char)saved[i].version;
    file[7] = 0;
    for (size_t k = 8; k < prefix; k++)
        file[k] = (unsigned char)(length >> 8 * (k - 8));
    memcpy(file + prefix, saved[i].text, strlen(saved[i].text));
    file[saved[i].bytes - 1] = '\n';
}

#endif
