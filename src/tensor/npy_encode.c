/* SPDX-License-Identifier: MIT */
/* npy_encode.c - the header that numpy.save() writes, byte for byte. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <tensoring/npy.h>

#include "src/base/error.h"
#include "src/base/options.h"
#include "src/tensor/npy.h"
#include "src/tensor/npy_descr.h"
#include "src/tensor/tensor.h"

/* NumPy leaves room for the extent that grows when data is appended: 21 digits. */
enum { GROWTH_DIGITS = 21, SHAPE_MAX = TR_MAX_NDIM * 22 + 3 };

/* Longest: the keys, a descr, a shape, the room to grow. */
#define TEXT_MAX (TR_MAX_DESCR + SHAPE_MAX + GROWTH_DIGITS + 64)

struct header {
    char text[TEXT_MAX];
    size_t bytes;
};

/* The letter of NumPy, 0 if there is none for that type. */
static char kind_of(tr_dtype dtype)
{
    switch (dtype.code) {
    case TR_DTYPE_INT:
        return dtype.bits <= 64 ? 'i' : 0;
    case TR_DTYPE_UINT:
        return dtype.bits <= 64 ? 'u' : 0;
    case TR_DTYPE_FLOAT:
        return 'f';
    case TR_DTYPE_COMPLEX:
        return dtype.bits >= 64 ? 'c' : 0;
    case TR_DTYPE_BOOL:
        return 'b';
    default:
        return 0;
    }
}

static int descr_of_dtype(tr_dtype dtype, struct descr *out)
{
    uint64_t bytes = tr_dtype_bytes(dtype);
    char kind = kind_of(dtype), order;

    if (dtype.bits < 8)
        return tr_fail(
            TR_ENOTSUP,
            "npy: NumPy has no packed %s; send it as a tensor, or save the bytes",
            tr_dtype_name(dtype));
    if (dtype.lanes > 1 && dtype.code != TR_DTYPE_OPAQUE)
        return tr_fail(TR_ENOTSUP,
                       "npy: NumPy has no type of %u lanes; make the lanes a dimension",
                       dtype.lanes);
    /* '<V2' for bfloat16 and '<V1' for float8 is how ml_dtypes has them saved. */
    order = dtype.code == TR_DTYPE_OPAQUE || (kind && bytes == 1) ? '|' : '<';
    snprintf(out->text, TR_MAX_DESCR + 1, "%c%c%" PRIu64, order, kind ? kind : 'V',
             bytes);
    return 0;
}

static int find_descr(const tr_tensor_spec *spec, struct descr *out)
{
    int result;

    if (!spec->descr || !spec->descr[0])
        return descr_of_dtype(spec->dtype, out);
    result = descr_parse_text(spec->descr, out);
    return result ? result : descr_check("npy encode", spec, out);
}

/* An array that is packed in both orders is called C-ordered by NumPy. */
static bool only_f_order(const tr_tensor_spec *spec)
{
    uint32_t wide = 0;

    for (uint32_t i = 0; i < spec->ndim; i++) {
        if (spec->shape[i] == 0)
            return false;
        wide += spec->shape[i] > 1;
    }
    return wide > 1 && spec->flags & TR_TENSOR_F_ORDER;
}

/* As Python's repr() of a tuple. */
static void print_shape(const tr_tensor_spec *spec, char *text)
{
    size_t n = 0;

    text[n++] = '(';
    for (uint32_t i = 0; i < spec->ndim; i++)
        n += (size_t)snprintf(text + n, SHAPE_MAX - n, i ? ", %" PRId64 : "%" PRId64,
                              spec->shape[i]);
    snprintf(text + n, SHAPE_MAX - n, spec->ndim == 1 ? ",)" : ")");
}

static int print_header(const tr_tensor_spec *spec, struct header *header)
{
    char descr_text[TR_MAX_DESCR + 1], shape[SHAPE_MAX];
    struct descr descr = {.text = descr_text};
    bool f_order = only_f_order(spec);
    const char *quote;
    int result = find_descr(spec, &descr), growth = 0;

    if (result)
        return result;
    quote = descr.list ? "" : "'";
    print_shape(spec, shape);
    if (spec->ndim > 0)
        growth = GROWTH_DIGITS -
                 snprintf(NULL, 0, "%" PRId64, spec->shape[f_order ? spec->ndim - 1 : 0]);
    header->bytes = (size_t)snprintf(
        header->text, sizeof(header->text),
        "{'descr': %s%s%s, 'fortran_order': %s, 'shape': %s, }%*s", quote, descr_text,
        quote, f_order ? "True" : "False", shape, growth, "");
    return 0;
}

/* UTF-8 to Latin-1 in place. False: there are characters that Latin-1 lacks, and nothing
 * has changed. */
static bool to_latin1(struct header *header)
{
    unsigned char *text = (unsigned char *)header->text;
    size_t n = 0;

    for (size_t i = 0; i < header->bytes; i++)
        if (text[i] > 0xc3)
            return false;
    for (size_t i = 0; i < header->bytes; i++, n++) {
        if (text[i] < 0x80)
            text[n] = text[i];
        else {
            text[n] = (unsigned char)(text[i] << 6 | (text[i + 1] & 0x3f));
            i++;
        }
    }
    header->bytes = n;
    return true;
}

/* Spaces up to the next multiple of 64, at least one of them, and a newline. */
static size_t padded(size_t prefix, size_t bytes)
{
    return (prefix + bytes + 1 + TR_TENSOR_ALIGN) / TR_TENSOR_ALIGN * TR_TENSOR_ALIGN;
}

static void write_file(unsigned char *to, unsigned version, size_t total,
                       const struct header *header)
{
    size_t prefix = version == 1 ? NPY_V1_PREFIX : NPY_V2_PREFIX;
    uint32_t length = (uint32_t)(total - prefix);

    memcpy(to, NPY_MAGIC, NPY_MAGIC_BYTES);
    to[6] = (unsigned char)version;
    to[7] = 0;
    for (size_t i = 8; i < prefix; i++)
        to[i] = (unsigned char)(length >> 8 * (i - 8));
    memcpy(to + prefix, header->text, header->bytes);
    memset(to + prefix + header->bytes, ' ', total - prefix - header->bytes - 1);
    to[total - 1] = '\n';
}

int tr_npy_encode(const tr_tensor_spec *spec, void *buffer, size_t capacity,
                  size_t *header_bytes)
{
    struct header header;
    uint64_t nbytes;
    unsigned version = 1;
    size_t total;
    int result;

    if (!spec || !header_bytes)
        return null_fail("npy encode", spec ? "header_bytes" : "spec");
    if (!buffer && capacity)
        return null_fail("npy encode", "buffer");
    result = spec_check("npy encode", spec);
    if (result)
        return result;
    result = tr_tensor_nbytes(spec->dtype, spec->ndim, spec->shape, &nbytes);
    if (!result)
        result = print_header(spec, &header);
    if (result)
        return result;
    /* The oldest version that can say it, as NumPy chooses. Version 2 is for headers over
     * 64 KiB: TR_MAX_DESCR keeps them away. */
    if (!to_latin1(&header))
        version = 3;
    total = padded(version == 1 ? NPY_V1_PREFIX : NPY_V2_PREFIX, header.bytes);
    *header_bytes = total;
    if (!buffer)
        return 0;
    if (capacity < total)
        return tr_fail(TR_EOVERFLOW,
                       "npy: the header takes %zu bytes, there is room for %zu", total,
                       capacity);
    write_file(buffer, version, total, &header);
    return 0;
}
