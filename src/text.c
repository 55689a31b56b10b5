/* SPDX-License-Identifier: MIT */
#include "src/text.h"

#include <stdint.h>
#include <string.h>

#include "src/error.h"

size_t utf8_length(const unsigned char *at, const unsigned char *end)
{
    size_t n;
    uint32_t code, least;

    if (*at < 0x80)
        return 1;
    if (*at < 0xc2 || *at > 0xf4)
        return 0;
    n = *at < 0xe0 ? 2 : *at < 0xf0 ? 3 : 4;
    least = n == 2 ? 0x80 : n == 3 ? 0x800 : 0x10000;
    if ((size_t)(end - at) < n)
        return 0;
    code = *at & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (at[i] & 0x3f);
    }
    return code < least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : n;
}

/* Those of ASCII, and U+0080 to U+009F. */
static int is_control(const unsigned char *at)
{
    return *at < 0x20 || *at == 0x7f || (*at == 0xc2 && at[1] < 0xa0);
}

int text_check(const char *step, const char *what, const char *text)
{
    const unsigned char *start = (const unsigned char *)text, *at = start;
    const unsigned char *end = start + strlen(text);

    while (at < end) {
        size_t n = utf8_length(at, end);

        if (n == 0)
            return tr_fail(TR_EINVAL, "%s: %s is not UTF-8: byte %zu is 0x%02x", step,
                           what, (size_t)(at - start), *at);
        if (is_control(at))
            return tr_fail(
                TR_EINVAL,
                "%s: %s holds the control character 0x%02x at byte %zu; leave it "
                "out",
                step, what, *at == 0xc2 ? at[1] : *at, (size_t)(at - start));
        at += n;
    }
    return 0;
}
