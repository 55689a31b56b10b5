/* SPDX-License-Identifier: MIT */
/* text_check.h - names and keys of callers: UTF-8 that can be printed on a line. */
#ifndef TR_TEXT_CHECK_H
#define TR_TEXT_CHECK_H

/* Whether @p text is UTF-8 without control characters. 0, or TR_EINVAL with the place. */
int text_check(const char *step, const char *what, const char *text);

#endif
