/* SPDX-License-Identifier: MIT */
#include "src/options.h"

#include <stdint.h>
#include <string.h>

#include "src/error.h"

int options_take(void *out, size_t known, const void *given, const char *what)
{
    uint32_t size;

    if (!given)
        return 0;
    memcpy(&size, given, sizeof(size));
    if (size < sizeof(size))
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

int timeout_fail(const char *step, int64_t timeout_ns)
{
    return tr_fail(
        TR_EINVAL,
        "%s: the time-out is %ld ns; use TR_FOREVER (-1), TR_NOWAIT (0) or more", step,
        (long)timeout_ns);
}
