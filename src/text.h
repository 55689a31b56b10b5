/* SPDX-License-Identifier: MIT */
/* text.h - names and keys of callers: UTF-8 that can be printed on a line. */
#ifndef TR_SRC_TEXT_H
#define TR_SRC_TEXT_H

#include <stddef.h>

/* Bytes of the well-formed UTF-8 sequence at @p at, 0 if there is none. */
size_t utf8_length(const unsigned char *at, const unsigned char *end);

/* Whether @p text is UTF-8 without control characters. 0, or TR_EINVAL with the place. */
int text_check(const char *step, const char *what, const char *text);

#endif
