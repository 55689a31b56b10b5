/* SPDX-License-Identifier: MIT */
/* say.h - what the bridge tells on standard error: one line a sentence. */
#ifndef TR_BRIDGE_SAY_H
#define TR_BRIDGE_SAY_H

#include <stdint.h>

#define WHY_TEXT 320 /* room for a sentence */

/* Texts of the other side are printed, too: what moves a cursor or is no UTF-8 becomes '?'. */
char *make_printable(char *text);

void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The sentence of a failed call of the library: "what: message: detail". */
const char *say_failure(char text[WHY_TEXT], const char *what, int result);

int64_t now_ns(void);

#endif
