/* SPDX-License-Identifier: MIT */
/* npy_descr.h - NumPy's descr: '<f4', or a list of fields. */
#ifndef TR_SRC_NPY_DESCR_H
#define TR_SRC_NPY_DESCR_H

#include "src/tensor/npy_literal.h"

#include <tensoring/tensor.h>

/* What a descr means. `text` is UTF-8 and in the spelling of Python's repr(): the bare
 * string of a simple type, a list for a structured one. */
struct descr {
    tr_dtype dtype;
    uint32_t flags; /* TR_TENSOR_BYTESWAPPED */
    bool plain;     /* dtype says it all */
    bool list;      /* of fields: not put into quotes */
    size_t used;    /* bytes of text */
    char *text;     /* room for TR_MAX_DESCR + 1 */
};

/* Parse it in a header, where a simple type stands in quotes. 0 or an error with its detail. */
int descr_parse(struct literal *in, struct descr *out);

/* Parse it on its own, as it travels beside a tensor. */
int descr_parse_text(const char *text, struct descr *out);

/* Whether @p spec has the type and the byte order of its descr. 0, TR_EINVAL; @p step begins the
 * detail. */
int descr_check(const char *step, const tr_tensor_spec *spec, const struct descr *parsed);

/* One type without its quotes: '<f4'. */
struct descr_simple {
    tr_dtype dtype; /* not set if only_bytes */
    uint64_t bytes;
    uint32_t flags;
    bool plain;
    bool only_bytes; /* no DLPack type: opaque */
};
int descr_parse_simple(const char *text, size_t bytes, struct descr_simple *out);

#endif
