/* SPDX-License-Identifier: MIT */
#define TR_SRC_OPTIONS_C
#include "src/base/options.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "src/base/error.h"

/* struct_size and a field at least; all fields are made of 4 bytes. */
static bool is_a_size(uint32_t size)
{
    return size >= 8 && size % 4 == 0;
}

int result_size_check(const void *given, size_t known, const char *step, const char *what)
{
    uint32_t size;

    if (!given)
        return null_fail(step, what);
    memcpy(&size, given, sizeof(size));
    if (!is_a_size(size) || size > known)
        return tr_fail(TR_EINVAL,
                       "%s: %s: struct_size is %u; set it to the size of the struct, of "
                       "which this library knows %zu bytes",
                       step, what, size, known);
    return 0;
}

int element_size_check(size_t size, size_t known, const char *step, const char *what)
{
    if (size <= known && is_a_size((uint32_t)size))
        return 0;
    return tr_fail(
        TR_EINVAL,
        "%s: %s is %zu; set it to the size of an element, of which this library "
        "knows %zu bytes",
        step, what, size, known);
}

int rows_check(const struct rows *rows, size_t known, const char *step)
{
    if (!rows->count || (!rows->out && rows->capacity))
        return null_fail(step, rows->count ? "out" : "count");
    return element_size_check(rows->element_bytes, known, step, "element_bytes");
}

void rows_add(const struct rows *rows, const void *element)
{
    char *out = (char *)rows->out + *rows->count * rows->element_bytes;

    memcpy(out, element, rows->element_bytes);
    ++*rows->count;
}

int options_take(void *out, size_t known, const void *given, const char *what)
{
    uint32_t size;

    if (!given)
        return 0;
    memcpy(&size, given, sizeof(size));
    if (!is_a_size(size))
        return tr_fail(TR_EINVAL, "%s: struct_size is %u; start from the _INIT macro",
                       what, size);
    for (size_t i = known; i < size; i++)
        if (((const uint8_t *)given)[i])
            return tr_fail(
                TR_EINVAL,
                "%s: struct_size is %u, this library knows %zu bytes, and byte %zu "
                "is set; use a newer library",
                what, size, known, i);
    memcpy(out, given, size < known ? size : known);
    return 0;
}

int null_fail(const char *step, const char *what)
{
    return tr_fail(TR_EINVAL, "%s: %s is NULL", step, what);
}

int reserved_check(const char *step, uint32_t reserved)
{
    return reserved == 0 ? 0
                         : tr_fail(TR_EINVAL,
                                   "%s: options.reserved is %u, it must be 0; start from "
                                   "the _INIT macro",
                                   step, reserved);
}

const char *time_text(int64_t ns, char text[TIME_TEXT])
{
    snprintf(text, TIME_TEXT, "%.9g s", (double)ns / 1e9);
    return text;
}

int timeout_fail(const char *step, int64_t timeout_ns)
{
    return tr_fail(
        TR_EINVAL,
        "%s: the time-out is %ld ns; use TR_FOREVER (-1), TR_NOWAIT (0) or more", step,
        (long)timeout_ns);
}
