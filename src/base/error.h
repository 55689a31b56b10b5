/* SPDX-License-Identifier: MIT */
/* error.h - say why. The one place where the codes of ipc/ become those of the interface. */
#ifndef TR_SRC_ERROR_H
#define TR_SRC_ERROR_H

#include <stdarg.h>

#include <tensoring/error.h>

/* Keep the sentence for tr_error_detail() and return @p code. */
int tr_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for a result of ipc/ (0 or -errno): the code of the interface. */
int tr_fail_errno(int negative_errno, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same for a call that waited: without the text of errno, which adds nothing for a wait. */
int tr_fail_wait(int negative_errno, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same for a descriptor that the caller gave: a number that is not open is an invalid
 * argument. */
int tr_fail_descriptor(int negative_errno, const char *step, int fd);

/* The analyzer reads one file at a time, and can't know that what these return is negative. */
#if defined __clang_analyzer__ && !defined TR_SRC_ERROR_C
#define tr_fail(code, ...)       ((tr_fail)((code), __VA_ARGS__), (code))
#define tr_fail_errno(code, ...) ((tr_fail_errno)((code), __VA_ARGS__), TR_EINVAL)
#define tr_fail_wait(code, ...)  ((tr_fail_wait)((code), __VA_ARGS__), TR_EINVAL)
#define tr_fail_descriptor(code, step, fd) \
    ((tr_fail_descriptor)((code), (step), (fd)), TR_EINVAL)
#endif

/* Add to the sentence that is there. */
void tr_fail_more(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
