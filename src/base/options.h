/* SPDX-License-Identifier: MIT */
/* options.h - structs of callers that may have been compiled with another version of the header.
 * They begin with struct_size; fields are only ever appended. */
#ifndef TR_SRC_OPTIONS_H
#define TR_SRC_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Overlay the @p known bytes at @p out, which hold the defaults, with what the caller gave
 * (NULL: nothing). Fields that we do not know must be 0. 0, TR_EINVAL. */
int options_take(void *out, size_t known, const void *given, const char *what);

/* Whether a struct for results, of which we know @p known bytes, has a size that a header
 * can have given it. NULL has none. 0, TR_EINVAL. */
int result_size_check(const void *given, size_t known, const char *step,
                      const char *what);

/* The same of an element of an array: @p what is where it stands. 0, TR_EINVAL. */
int element_size_check(size_t size, size_t known, const char *step, const char *what);

/* An array that a caller gave for results; its header may know less of an element. */
struct rows {
    void *out;
    size_t element_bytes, capacity;
    size_t *count;
};

/* What a user gave, of elements of @p known bytes. Nothing is counted yet. 0, TR_EINVAL. */
int rows_check(const struct rows *rows, size_t known, const char *step);

static inline bool rows_full(const struct rows *rows)
{
    return *rows->count >= rows->capacity;
}

/* What the caller knows of @p element. */
void rows_add(const struct rows *rows, const void *element);

/* TR_EINVAL: an argument that must not be NULL is. */
int null_fail(const char *step, const char *what);

/* As in error.h: the analyzer can't know that it fails. */
#if defined __clang_analyzer__ && !defined TR_SRC_OPTIONS_C
#define null_fail(...) ((null_fail)(__VA_ARGS__), TR_EINVAL)
#endif

/* A reserved field of the options must be 0. 0, TR_EINVAL. */
int reserved_check(const char *step, uint32_t reserved);

#define TIME_TEXT 32

/* "0.3 s": how errors show times. */
const char *time_text(int64_t ns, char text[TIME_TEXT]);

/* Whether a time-out means something: TR_FOREVER, TR_NOWAIT, or more. 0, TR_EINVAL. */
int timeout_fail(const char *step, int64_t timeout_ns);

static inline int timeout_check(const char *step, int64_t timeout_ns)
{
    return __builtin_expect(timeout_ns >= -1, 1) ? 0 : timeout_fail(step, timeout_ns);
}

#endif
