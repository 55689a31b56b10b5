/* SPDX-License-Identifier: MIT */
/* npy_literal.h - the few Python literals that .npy headers are made of.
 *
 * Less than Python accepts: no prefixes of strings, no concatenation, no comments, no
 * numbers but plain decimal ones. Every function leaves a TR_EFORMAT detail with the place
 * when it refuses. */
#ifndef TR_SRC_NPY_LITERAL_H
#define TR_SRC_NPY_LITERAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct literal {
    const unsigned char *start, *at, *end;
    bool utf8;    /* else Latin-1 */
    bool python2; /* integers may end in L */
};

/* What stands between two quotes, as it is in the source. */
struct literal_text {
    const unsigned char *at;
    size_t bytes;
    char quote;
    bool escaped; /* there is a backslash in it */
};

/* The next character that is not white space, or -1 at the end. */
int literal_peek(struct literal *in);

/* Consume @p c if it is next. */
bool literal_take(struct literal *in, char c);

/* The same, where nothing else is allowed. */
int literal_expect(struct literal *in, char c);

/* After an item of a list that ends in @p close: true if another item follows. A comma may
 * stand before the end. */
int literal_next(struct literal *in, char close, bool *more);

int literal_string(struct literal *in, struct literal_text *text);
int literal_integer(struct literal *in, int64_t *value); /* 0 or more */
int literal_bool(struct literal *in, bool *value);

bool literal_text_is(const struct literal_text *text, const char *word);

/* TR_EFORMAT: @p expected, and what stands there instead. */
int literal_fail(const struct literal *in, const char *expected);

#endif
