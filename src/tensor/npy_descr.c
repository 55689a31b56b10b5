/* SPDX-License-Identifier: MIT */
/* npy_descr.c - structured types: read, measured, and written again in the one spelling
 * that NumPy uses. */
#include "src/tensor/npy_descr.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "src/base/error.h"
#include "src/tensor/tensor.h"

enum { MAX_DEPTH = 32 };

static int parse_type(struct literal *in, struct descr *out, int depth, uint64_t *bytes);

static int emit(struct descr *out, const void *text, size_t bytes)
{
    if (bytes > TR_MAX_DESCR - out->used)
        return tr_fail(
            TR_ENOTSUP,
            "descr: over %d bytes; give the fields shorter names, or share the "
            "array as bytes",
            TR_MAX_DESCR);
    memcpy(out->text + out->used, text, bytes);
    out->used += bytes;
    out->text[out->used] = 0;
    return 0;
}

static int emit_word(struct descr *out, const char *word)
{
    return emit(out, word, strlen(word));
}

/* Write it in UTF-8, whatever the header is in. */
static int emit_text(const struct literal *in, struct descr *out,
                     const struct literal_text *text)
{
    int result = 0;

    if (in->utf8)
        return emit(out, text->at, text->bytes);
    for (size_t i = 0; i < text->bytes && !result; i++) {
        unsigned char c = text->at[i];
        unsigned char pair[2] = {(unsigned char)(0xc0 | c >> 6),
                                 (unsigned char)(0x80 | (c & 0x3f))};

        result = c < 0x80 ? emit(out, &c, 1) : emit(out, pair, 2);
    }
    return result;
}

static int emit_quoted(const struct literal *in, struct descr *out,
                       const struct literal_text *text)
{
    int result = emit(out, &text->quote, 1);

    if (!result)
        result = emit_text(in, out, text);
    return result ? result : emit(out, &text->quote, 1);
}

static int parse_simple(struct literal *in, struct literal_text *text,
                        struct descr_simple *simple)
{
    int result = literal_string(in, text);

    return result ? result
                  : descr_parse_simple((const char *)text->at, text->bytes, simple);
}

static int too_large(void)
{
    return tr_fail(TR_EOVERFLOW, "descr: one element takes more than %lld bytes",
                   (long long)INT64_MAX);
}

/* (2,) or (3, 4): how often the type before it is repeated. */
static int parse_subshape(struct literal *in, struct descr *out, uint64_t *bytes)
{
    char digits[24];
    int64_t extent, total = (int64_t)*bytes;
    bool more = true;
    int result = literal_expect(in, '('), n = 0;

    if (!result)
        result = emit_word(out, "(");
    for (; !result && more; n++) {
        result = literal_integer(in, &extent);
        if (result)
            return result;
        if (__builtin_mul_overflow(total, extent, &total))
            return too_large();
        snprintf(digits, sizeof(digits), n ? ", %lld" : "%lld", (long long)extent);
        result = emit_word(out, digits);
        if (!result && n == 0 && literal_peek(in) != ',')
            result = literal_fail(in, "\",\", since a number in parentheses is no shape");
        if (!result)
            result = literal_next(in, ')', &more);
    }
    *bytes = (uint64_t)total;
    return result ? result : emit_word(out, n == 1 ? ",)" : ")");
}

/* 'name' or ('title', 'name') */
static int parse_name(struct literal *in, struct descr *out)
{
    struct literal_text text;
    bool pair = literal_take(in, '('), more;
    int result = literal_string(in, &text);

    if (!result && pair)
        result = emit_word(out, "(");
    if (!result)
        result = emit_quoted(in, out, &text);
    if (result || !pair)
        return result;
    result = literal_expect(in, ',');
    if (!result)
        result = literal_string(in, &text);
    if (!result)
        result = emit_word(out, ", ");
    if (!result)
        result = emit_quoted(in, out, &text);
    if (!result)
        result = literal_next(in, ')', &more);
    if (!result && more)
        result = literal_fail(in, "\")\" after title and name");
    return result ? result : emit_word(out, ")");
}

/* type and, after a comma, a shape; up to the closing parenthesis. */
static int parse_repeated(struct literal *in, struct descr *out, int depth,
                          bool must_repeat, uint64_t *bytes)
{
    int result = parse_type(in, out, depth, bytes);
    bool more;

    if (!result)
        result = literal_next(in, ')', &more);
    if (!result && must_repeat && !more)
        result = literal_fail(in, "a shape after the type");
    if (!result && more) {
        result = emit_word(out, ", ");
        if (!result)
            result = parse_subshape(in, out, bytes);
        if (!result)
            result = literal_next(in, ')', &more);
        if (!result && more)
            result = literal_fail(in, "\")\" after the shape");
    }
    return result ? result : emit_word(out, ")");
}

static int parse_field(struct literal *in, struct descr *out, int depth, uint64_t *bytes)
{
    int result = literal_expect(in, '(');

    if (!result)
        result = emit_word(out, "(");
    if (!result)
        result = parse_name(in, out);
    if (!result)
        result = literal_expect(in, ',');
    if (!result)
        result = emit_word(out, ", ");
    return result ? result : parse_repeated(in, out, depth, false, bytes);
}

static int parse_fields(struct literal *in, struct descr *out, int depth, uint64_t *bytes)
{
    int64_t total = 0;
    uint64_t field = 0;
    bool more = !literal_take(in, ']');
    int result = emit_word(out, "[");

    for (int n = 0; !result && more; n++) {
        if (n > 0)
            result = emit_word(out, ", ");
        if (!result)
            result = parse_field(in, out, depth, &field);
        if (!result && __builtin_add_overflow(total, field, &total))
            return too_large();
        if (!result)
            result = literal_next(in, ']', &more);
    }
    *bytes = (uint64_t)total;
    return result ? result : emit_word(out, "]");
}

static int parse_type(struct literal *in, struct descr *out, int depth, uint64_t *bytes)
{
    struct literal_text text;
    struct descr_simple simple;
    int result;

    if (depth > MAX_DEPTH)
        return tr_fail(TR_ENOTSUP, "descr: types nested deeper than %d", MAX_DEPTH);
    if (literal_take(in, '['))
        return parse_fields(in, out, depth + 1, bytes);
    if (literal_take(in, '(')) {
        result = emit_word(out, "(");
        return result ? result : parse_repeated(in, out, depth + 1, true, bytes);
    }
    result = parse_simple(in, &text, &simple);
    if (result)
        return result;
    *bytes = simple.bytes;
    return simple.bytes > INT64_MAX ? too_large() : emit_quoted(in, out, &text);
}

static int finish_simple(struct descr *out, const struct descr_simple *simple)
{
    out->dtype = simple->dtype;
    out->flags = simple->flags;
    out->plain = simple->plain;
    return simple->only_bytes ? dtype_opaque(simple->bytes, &out->dtype) : 0;
}

static int parse_list(struct literal *in, struct descr *out)
{
    uint64_t bytes = 0;
    int result = parse_fields(in, out, 0, &bytes);

    out->list = true;
    return result ? result : dtype_opaque(bytes, &out->dtype);
}

static void start(struct descr *out)
{
    *out = (struct descr){.text = out->text};
    out->text[0] = 0;
}

int descr_parse(struct literal *in, struct descr *out)
{
    struct literal_text text;
    struct descr_simple simple;
    int result;

    start(out);
    if (literal_take(in, '['))
        return parse_list(in, out);
    result = parse_simple(in, &text, &simple);
    if (!result)
        result = emit_text(in, out, &text);
    return result ? result : finish_simple(out, &simple);
}

int descr_parse_text(const char *text, struct descr *out)
{
    const unsigned char *at = (const unsigned char *)text;
    size_t bytes = strlen(text);
    struct literal in = {.start = at, .at = at, .end = at + bytes, .utf8 = true};
    struct descr_simple simple;
    int result;

    start(out);
    if (literal_take(&in, '[')) {
        result = parse_list(&in, out);
        if (!result && literal_peek(&in) >= 0)
            result = literal_fail(&in, "nothing after the list of fields");
        return result;
    }
    result = descr_parse_simple(text, bytes, &simple);
    if (!result)
        result = emit(out, text, bytes);
    return result ? result : finish_simple(out, &simple);
}

/* Bytes that only the descr explains may have any lanes. */
static bool same_type(tr_dtype dtype, tr_dtype parsed)
{
    return dtype.code == parsed.code &&
           (parsed.code == TR_DTYPE_OPAQUE ||
            (dtype.bits == parsed.bits && dtype.lanes == parsed.lanes));
}

static int check_size(const char *step, const tr_tensor_spec *spec,
                      const struct descr *parsed)
{
    uint64_t said = tr_dtype_bytes(parsed->dtype), bytes = tr_dtype_bytes(spec->dtype);

    return said == bytes ? 0
                         : tr_fail(TR_EINVAL,
                                   "%s: the descr is of elements of %" PRIu64
                                   " bytes, the dtype of %" PRIu64,
                                   step, said, bytes);
}

int descr_check(const char *step, const tr_tensor_spec *spec, const struct descr *parsed)
{
    bool swapped = spec->flags & TR_TENSOR_BYTESWAPPED;

    if (!same_type(spec->dtype, parsed->dtype))
        return tr_fail(TR_EINVAL,
                       "%s: the descr \"%.64s\" is %s%s, the dtype has code %u, %u bits "
                       "and %u lanes; tr_npy_dtype() tells the dtype of a descr",
                       step, spec->descr, tr_dtype_name(parsed->dtype),
                       parsed->dtype.code == TR_DTYPE_OPAQUE ? " (TR_DTYPE_OPAQUE)" : "",
                       spec->dtype.code, spec->dtype.bits, spec->dtype.lanes);
    if (swapped != (parsed->flags != 0))
        return tr_fail(TR_EINVAL,
                       "%s: the descr \"%.64s\" is %s-endian, and flags %s "
                       "TR_TENSOR_BYTESWAPPED; tr_npy_dtype() tells the flags of a descr",
                       step, spec->descr, swapped ? "not big" : "big",
                       swapped ? "has" : "lacks");
    return check_size(step, spec, parsed);
}
