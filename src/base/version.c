/* SPDX-License-Identifier: MIT */
#include <tensoring/version.h>

#include "src/base/error.h"

#define DIGITS(number)  TEXT_OF(number)
#define TEXT_OF(number) #number

uint32_t tr_version(void)
{
    return TR_VERSION;
}

const char *tr_version_text(void)
{
    return DIGITS(TR_VERSION_MAJOR) "." DIGITS(TR_VERSION_MINOR) "." DIGITS(
        TR_VERSION_PATCH);
}

int tr_version_check(uint32_t header)
{
    uint32_t major = header / 1000000, minor = header / 1000 % 1000;

    if (major == TR_VERSION_MAJOR &&
        (minor == TR_VERSION_MINOR || (major > 0 && minor < TR_VERSION_MINOR)))
        return 0;
    return tr_fail(TR_ENOTSUP,
                   "the program was compiled for tensoring %u.%u.%u and runs with %s; "
                   "compile it again, or install that library",
                   major, minor, header % 1000, tr_version_text());
}
