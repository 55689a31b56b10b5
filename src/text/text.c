/* SPDX-License-Identifier: MIT */
#include "text.h"

#include <stdint.h>
#include <stdio.h>

/* How many bytes follow the first one of a character; -1: none begins so. */
static int bytes_after(unsigned char first)
{
    if (first < 0x80)
        return 0;
    if (first >= 0xc2 && first < 0xe0)
        return 1;
    if (first >= 0xe0 && first < 0xf0)
        return 2;
    return first >= 0xf0 && first < 0xf5 ? 3 : -1;
}

/* The length of the character at @p text, 0: it is none that may be shown. */
static size_t shown_length(const unsigned char *text)
{
    static const uint32_t least[] = {0x20, 0xa0, 0x800, 0x10000};
    int after = bytes_after(*text);
    uint32_t code;

    if (after < 0)
        return 0;
    code = after == 0 ? *text : *text & (0x3fu >> after);
    for (int i = 1; i <= after; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (text[i] & 0x3fu);
    }
    if (code < least[after] || code == 0x7f || code > 0x10ffff ||
        (code >= 0xd800 && code < 0xe000))
        return 0;
    return (size_t)after + 1;
}

void make_printable(char *text)
{
    while (*text) {
        size_t length = shown_length((const unsigned char *)text);

        if (length == 0)
            *text++ = '?';
        else
            text += length;
    }
}

const char *printable(const char *text, char *out, size_t room)
{
    snprintf(out, room, "%s", text);
    make_printable(out);
    return out;
}
