/* SPDX-License-Identifier: MIT */
/* npy_simple.c - types that NumPy writes as one string: order, kind, size, unit. */
#include <string.h>

#include "src/base/error.h"
#include "src/tensor/npy_descr.h"

/* Kinds of fixed sizes. A code of TR_DTYPE_OPAQUE: DLPack has no such type, and f1 is what
 * ml_dtypes writes for float8_e5m2. */
static const struct fixed {
    char kind;
    uint8_t bytes;
    uint8_t code;
} fixed_kinds[] = {
    {'b', 1, TR_DTYPE_BOOL},    {'i', 1, TR_DTYPE_INT},      {'i', 2, TR_DTYPE_INT},
    {'i', 4, TR_DTYPE_INT},     {'i', 8, TR_DTYPE_INT},      {'u', 1, TR_DTYPE_UINT},
    {'u', 2, TR_DTYPE_UINT},    {'u', 4, TR_DTYPE_UINT},     {'u', 8, TR_DTYPE_UINT},
    {'f', 1, TR_DTYPE_OPAQUE},  {'f', 2, TR_DTYPE_FLOAT},    {'f', 4, TR_DTYPE_FLOAT},
    {'f', 8, TR_DTYPE_FLOAT},   {'f', 12, TR_DTYPE_OPAQUE},  {'f', 16, TR_DTYPE_OPAQUE},
    {'c', 8, TR_DTYPE_COMPLEX}, {'c', 16, TR_DTYPE_COMPLEX}, {'c', 24, TR_DTYPE_OPAQUE},
    {'c', 32, TR_DTYPE_OPAQUE},
};

static const char *const units[] = {"Y",  "M",  "W",  "D",  "h",  "m",  "s",
                                    "ms", "us", "ns", "ps", "fs", "as", "generic"};

struct cursor {
    const char *at, *end;
};

static int bad(const char *text, size_t bytes, const char *why)
{
    char shown[33];
    size_t n = bytes < sizeof(shown) - 1 ? bytes : sizeof(shown) - 1;

    for (size_t i = 0; i < n; i++)
        shown[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
    shown[n] = 0;
    return tr_fail(TR_EFORMAT, "descr: \"%s\" %s; expected one like <f4, |S8 or <M8[ns]",
                   shown, why);
}

/* False: no digits there, too many for 63 bits, or zeros in front. */
static bool take_number(struct cursor *in, uint64_t *value)
{
    const char *first = in->at;
    int64_t n = 0;

    for (; in->at < in->end && *in->at >= '0' && *in->at <= '9'; in->at++)
        if (__builtin_mul_overflow(n, 10, &n) ||
            __builtin_add_overflow(n, *in->at - '0', &n))
            return false;
    *value = (uint64_t)n;
    return in->at > first && (*first != '0' || in->at - first == 1);
}

/* "" or "[ns]" or "[25s]". */
static bool take_unit(struct cursor *in)
{
    uint64_t multiple;
    size_t n;

    if (in->at == in->end)
        return true;
    if (*in->at++ != '[')
        return false;
    if (in->at < in->end && *in->at >= '0' && *in->at <= '9' &&
        (!take_number(in, &multiple) || multiple > INT32_MAX))
        return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        n = strlen(units[i]);
        if ((size_t)(in->end - in->at) == n + 1 && memcmp(in->at, units[i], n) == 0 &&
            in->at[n] == ']') {
            in->at += n + 1;
            return true;
        }
    }
    return false;
}

static bool take_order(struct cursor *in, bool *big_endian)
{
    *big_endian = false;
    if (in->at == in->end)
        return false;
    if (strchr("<>|=", *in->at) && *in->at != 0) {
        *big_endian = *in->at == '>';
        in->at++;
    }
    return in->at < in->end;
}

static bool find_fixed(char kind, struct descr_simple *out)
{
    for (size_t i = 0; i < sizeof(fixed_kinds) / sizeof(fixed_kinds[0]); i++) {
        const struct fixed *f = &fixed_kinds[i];

        if (f->kind != kind || f->bytes != out->bytes)
            continue;
        out->only_bytes = f->code == TR_DTYPE_OPAQUE;
        out->plain = !out->only_bytes;
        if (out->plain)
            out->dtype = (tr_dtype){f->code, (uint8_t)(f->bytes * 8), 1};
        return true;
    }
    return false;
}

int descr_parse_simple(const char *text, size_t bytes, struct descr_simple *out)
{
    struct cursor in = {text, text + bytes};
    bool big_endian;
    char kind;

    *out = (struct descr_simple){0};
    if (!take_order(&in, &big_endian))
        return bad(text, bytes, "names no type");
    kind = *in.at++;
    if (kind == 'O' || (bytes == 6 && memcmp(text, "object", bytes) == 0))
        return tr_fail(
            TR_EOBJECT,
            "descr: the array holds Python objects (dtype object), which have no "
            "raw bytes; convert it to numbers or fixed strings, or pickle it");
    if (!take_number(&in, &out->bytes))
        return bad(text, bytes, "has no size, or not a decimal one of at most 63 bits");
    switch (kind) {
    case 'M':
    case 'm':
        if (out->bytes != 8 || !take_unit(&in))
            return bad(text, bytes, "is not a time of 8 bytes with a known unit");
        out->dtype = (tr_dtype){TR_DTYPE_INT, 64, 1};
        break;
    case 'U':
        if (__builtin_mul_overflow(out->bytes, 4, &out->bytes))
            return bad(text, bytes, "has a size over 64 bits");
        out->only_bytes = true;
        break;
    case 'S':
    case 'V':
        out->only_bytes = true;
        big_endian = false; /* bytes have no order */
        break;
    default:
        if (!find_fixed(kind, out))
            return bad(text, bytes, "is a kind or size that NumPy does not write");
        break;
    }
    if (in.at != in.end)
        return bad(text, bytes, "goes on after the type");
    if (big_endian && out->bytes > 1) {
        out->flags = TR_TENSOR_BYTESWAPPED;
        out->plain = false;
    }
    return 0;
}
