/* SPDX-License-Identifier: MIT */
#include "text.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

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

bool control_character(const unsigned char *at)
{
    return *at < 0x20 || *at == 0x7f || (*at == 0xc2 && at[1] < 0xa0);
}

void make_printable(char *text)
{
    unsigned char *at = (unsigned char *)text, *end = at + strlen(text);

    while (at < end) {
        size_t length = utf8_length(at, end);

        if (length == 0 || control_character(at))
            *at++ = '?';
        else
            at += length;
    }
}

const char *printable(const char *text, char *out, size_t room)
{
    snprintf(out, room, "%s", text);
    make_printable(out);
    return out;
}
