/* SPDX-License-Identifier: MIT */
/* text.h - texts of other processes: names of channels, commands and arenas hold any bytes. */
#ifndef TR_TEXT_H
#define TR_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the well-formed UTF-8 sequence at @p at, 0 if there is none. */
size_t utf8_length(const unsigned char *at, const unsigned char *end);

/* Whether the well-formed sequence at @p at is a control character: those of ASCII, and U+0080
 * to U+009F. */
bool control_character(const unsigned char *at);

/* Replace control characters, which a terminal would obey, and bytes that are not UTF-8, which
 * JSON readers refuse, by '?', in place. */
void make_printable(char *text);

/* A copy of @p text that is so, as far as there is room: @p out. */
const char *printable(const char *text, char *out, size_t room);

#endif
