/* SPDX-License-Identifier: MIT */
#include "say.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <tensoring/error.h>

/* Texts of the other side are printed too: no control characters. */
static void make_printable(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

void say(const char *format, ...)
{
    char text[1024], line[1100];
    va_list arguments;
    int length;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    make_printable(text);
    length = snprintf(line, sizeof(line), "tensoring bridge: %s\n", text);
    if (write(STDERR_FILENO, line, (size_t)length) < 0)
        return; /* nobody reads it */
}

const char *say_failure(char text[WHY_TEXT], const char *what, int result)
{
    const char *detail = tr_error_detail();

    snprintf(text, WHY_TEXT, "%s: %s%s%s", what, tr_strerror(result), *detail ? ": " : "",
             detail);
    return text;
}

int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
