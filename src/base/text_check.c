/* SPDX-License-Identifier: MIT */
#include "src/base/text_check.h"

#include <string.h>

#include "src/base/error.h"
#include "src/text/text.h"

int text_check(const char *step, const char *what, const char *text)
{
    const unsigned char *start = (const unsigned char *)text, *at = start;
    const unsigned char *end = start + strlen(text);

    while (at < end) {
        size_t n = utf8_length(at, end);

        if (n == 0)
            return tr_fail(TR_EINVAL, "%s: %s is not UTF-8: byte %zu is 0x%02x", step,
                           what, (size_t)(at - start), *at);
        if (control_character(at))
            return tr_fail(
                TR_EINVAL,
                "%s: %s holds the control character 0x%02x at byte %zu; leave it "
                "out",
                step, what, *at == 0xc2 ? at[1] : *at, (size_t)(at - start));
        at += n;
    }
    return 0;
}
