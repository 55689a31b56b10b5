/* SPDX-License-Identifier: MIT */
#include "say.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <tensoring/error.h>

enum { MOST_LINES = 500 }; /* in 10 s */

/* The bytes of the character at @p text, 0 if there is none in UTF-8. */
static size_t character(const unsigned char *text)
{
    size_t more = text[0] < 0x80   ? 0
                  : text[0] < 0xc2 ? SIZE_MAX
                  : text[0] < 0xe0 ? 1
                  : text[0] < 0xf0 ? 2
                  : text[0] < 0xf5 ? 3
                                   : SIZE_MAX;

    if (more == SIZE_MAX || (text[0] == 0xe0 && text[1] < 0xa0) ||
        (text[0] == 0xed && text[1] >= 0xa0) || (text[0] == 0xf0 && text[1] < 0x90) ||
        (text[0] == 0xf4 && text[1] >= 0x90))
        return 0;
    for (size_t i = 1; i <= more; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    return more + 1;
}

/* Those of ASCII, and those of 0x80 to 0x9f that terminals take for the same. */
static bool is_control(const unsigned char *text)
{
    return text[0] < 0x20 || text[0] == 0x7f || (text[0] == 0xc2 && text[1] < 0xa0);
}

char *make_printable(char *text)
{
    unsigned char *at = (unsigned char *)text;

    while (*at) {
        size_t bytes = character(at);

        if (!bytes || is_control(at))
            memset(at, '?', bytes = bytes ? bytes : 1);
        at += bytes;
    }
    return text;
}

/* A peer must not be able to fill a disk with what is said of it. Engines have threads that say
 * something, too. */
static bool may_say(void)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static int64_t since_ns;
    static unsigned said;
    int64_t now = now_ns();
    bool may;

    pthread_mutex_lock(&mutex);
    if (now - since_ns > 10 * INT64_C(1000000000)) {
        if (said > MOST_LINES)
            dprintf(STDERR_FILENO, "tensoring bridge: %u lines were left out\n",
                    said - MOST_LINES);
        since_ns = now;
        said = 0;
    }
    may = ++said <= MOST_LINES;
    pthread_mutex_unlock(&mutex);
    return may;
}

void say(const char *format, ...)
{
    char text[1024], line[1100];
    va_list arguments;
    int length;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (!may_say())
        return;
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
