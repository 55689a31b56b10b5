/* SPDX-License-Identifier: MIT */
/* npy.c - read the header of a .npy file.
 *
 *  0   \x93NUMPY
 *  6   major, minor
 *  8   length of the header: 16 bits in version 1, 32 bits in 2 and 3; little-endian
 *  ..  {'descr': ..., 'fortran_order': ..., 'shape': ..., } in Latin-1, or UTF-8 in version 3
 *  ..  the array */
#include "src/tensor/npy.h"

#include <inttypes.h>
#include <string.h>

#include <tensoring/npy.h>

#include "src/base/error.h"
#include "src/base/options.h"
#include "src/tensor/npy_descr.h"

enum { DESCR, FORTRAN_ORDER, SHAPE, KEYS };

static const char *const key_names[KEYS] = {"descr", "fortran_order", "shape"};

static int not_npy(const unsigned char *head, uint64_t file_bytes)
{
    if (file_bytes >= 4 && memcmp(head, "PK\x03\x04", 4) == 0)
        return tr_fail(TR_EFORMAT, "npy: this is a .npz or another ZIP file; its members "
                                   "are .npy files");
    return tr_fail(TR_EFORMAT, "npy: the file does not start with \\x93NUMPY");
}

/* Where the text of the header lies. */
static int find_header(const unsigned char *head, size_t head_bytes, uint64_t file_bytes,
                       size_t limit, tr_npy *npy, struct literal *text)
{
    uint32_t prefix = NPY_V1_PREFIX, length;

    if (head_bytes < NPY_V2_PREFIX && file_bytes > head_bytes)
        return tr_fail(TR_EINVAL,
                       "npy: given %zu bytes of the file's %" PRIu64
                       ", at least %d are needed",
                       head_bytes, file_bytes, NPY_V2_PREFIX);
    if (file_bytes < NPY_MAGIC_BYTES || memcmp(head, NPY_MAGIC, NPY_MAGIC_BYTES) != 0)
        return not_npy(head, file_bytes);
    if (file_bytes < NPY_V2_PREFIX)
        return tr_fail(TR_EFORMAT,
                       "npy: truncated: the file has %" PRIu64
                       " bytes, too few for a header",
                       file_bytes);
    npy->version = head[6];
    if (npy->version < 1 || npy->version > 3 || head[7] != 0)
        return tr_fail(TR_EFORMAT, "npy: version %u.%u; 1.0, 2.0 and 3.0 can be read",
                       head[6], head[7]);
    length = head[8] | (uint32_t)head[9] << 8;
    if (npy->version > 1) {
        length |= (uint32_t)head[10] << 16 | (uint32_t)head[11] << 24;
        prefix = NPY_V2_PREFIX;
    }
    npy->data_offset = (uint64_t)prefix + length;
    if (npy->data_offset > file_bytes)
        return tr_fail(TR_EFORMAT,
                       "npy: truncated: the header ends at byte %" PRIu64
                       ", the file has %" PRIu64 " bytes",
                       npy->data_offset, file_bytes);
    if (length > limit)
        return tr_fail(TR_EFORMAT,
                       "npy: the header has %" PRIu32 " bytes, the limit is %zu; "
                       "pass a higher one if the file can be trusted",
                       length, limit);
    if (npy->data_offset > head_bytes)
        return tr_fail(TR_EINVAL,
                       "npy: given %zu bytes of the file, its header ends at "
                       "byte %" PRIu64,
                       head_bytes, npy->data_offset);
    *text = (struct literal){.start = head + prefix,
                             .at = head + prefix,
                             .end = head + npy->data_offset,
                             .utf8 = npy->version == 3,
                             .python2 = npy->version < 3};
    return 0;
}

static int parse_shape(struct literal *in, tr_npy *npy)
{
    bool more;
    int result = literal_expect(in, '(');

    if (result)
        return result;
    npy->ndim = 0;
    for (more = !literal_take(in, ')'); more;) {
        int64_t extent;

        result = literal_integer(in, &extent);
        if (result)
            return result;
        if (npy->ndim == TR_MAX_NDIM)
            return tr_fail(TR_ENOTSUP, "npy: more than %d dimensions; reshape the array",
                           TR_MAX_NDIM);
        npy->shape[npy->ndim++] = extent;
        if (npy->ndim == 1 && literal_peek(in) != ',')
            return literal_fail(in, "\",\", since a number in parentheses is no shape");
        result = literal_next(in, ')', &more);
        if (result)
            return result;
    }
    return 0;
}

static int parse_value(struct literal *in, int key, tr_npy *npy)
{
    struct descr descr = {.text = npy->descr};
    bool f_order;
    int result;

    switch (key) {
    case DESCR:
        result = descr_parse(in, &descr);
        if (result)
            return result;
        npy->dtype = descr.dtype;
        npy->flags |= descr.flags;
        if (descr.plain)
            npy->descr[0] = 0;
        return 0;
    case FORTRAN_ORDER:
        result = literal_bool(in, &f_order);
        if (!result && f_order)
            npy->flags |= TR_TENSOR_F_ORDER;
        return result;
    default:
        return parse_shape(in, npy);
    }
}

static int parse_key(struct literal *in, unsigned *seen, int *key)
{
    struct literal_text text;
    int result = literal_string(in, &text);

    if (result)
        return result;
    for (*key = 0; *key < KEYS && !literal_text_is(&text, key_names[*key]);)
        ++*key;
    if (*key == KEYS)
        return tr_fail(TR_EFORMAT,
                       "npy: the key that ends at byte %zu is none of descr, "
                       "fortran_order, shape",
                       (size_t)(in->at - in->start));
    if (*seen & 1u << *key)
        return tr_fail(TR_EFORMAT, "npy: the key %s is there twice", key_names[*key]);
    *seen |= 1u << *key;
    return literal_expect(in, ':');
}

static int parse_header(struct literal *in, tr_npy *npy)
{
    unsigned seen = 0;
    bool more;
    int key, result = literal_expect(in, '{');

    if (result)
        return result;
    for (more = !literal_take(in, '}'); more;) {
        result = parse_key(in, &seen, &key);
        if (!result)
            result = parse_value(in, key, npy);
        if (!result)
            result = literal_next(in, '}', &more);
        if (result)
            return result;
    }
    for (key = 0; key < KEYS; key++)
        if (!(seen & 1u << key))
            return tr_fail(TR_EFORMAT, "npy: the key %s is missing", key_names[key]);
    return literal_peek(in) < 0 ? 0 : literal_fail(in, "nothing after \"}\"");
}

int tr_npy_decode(const void *head, size_t head_bytes, uint64_t file_bytes,
                  size_t header_limit, tr_npy *npy)
{
    struct literal text;
    uint64_t there;
    int result;

    if (!head || !npy)
        return null_fail("npy decode", head ? "npy" : "head");
    if (head_bytes > file_bytes)
        return tr_fail(TR_EINVAL,
                       "npy decode: head_bytes is %zu, the file has %" PRIu64 " bytes",
                       head_bytes, file_bytes);
    *npy = (tr_npy){0};
    result = find_header(head, head_bytes, file_bytes,
                         header_limit ? header_limit : TR_NPY_HEADER_LIMIT, npy, &text);
    if (!result)
        result = parse_header(&text, npy);
    if (!result)
        result = tr_tensor_nbytes(npy->dtype, npy->ndim, npy->shape, &npy->data_bytes);
    if (result)
        return result;
    there = file_bytes - npy->data_offset;
    if (npy->data_bytes > there)
        return tr_fail(TR_EFORMAT,
                       "npy: truncated: the header says %" PRIu64
                       " bytes of data, the file has %" PRIu64,
                       npy->data_bytes, there);
    return 0;
}

int tr_npy_dtype(const char *descr, tr_dtype *dtype, uint32_t *flags)
{
    char text[TR_MAX_DESCR + 1];
    struct descr parsed = {.text = text};
    int result;

    if (!descr || !dtype || !flags)
        return null_fail("npy dtype", !descr ? "descr" : dtype ? "flags" : "dtype");
    result = descr_parse_text(descr, &parsed);
    if (result)
        return result;
    *dtype = parsed.dtype;
    *flags = parsed.flags;
    return 0;
}
