/* SPDX-License-Identifier: MIT */
/* text.h - texts of other processes: names of channels, commands and arenas hold any bytes. */
#ifndef TR_TEXT_H
#define TR_TEXT_H

#include <stddef.h>

/* Replace control characters, which a terminal would obey, and what is no UTF-8, which no JSON
 * reader takes, by '?', in place. */
void make_printable(char *text);

/* A copy of @p text that is so, as far as there is room: @p out. */
const char *printable(const char *text, char *out, size_t room);

#endif
