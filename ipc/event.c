/* SPDX-License-Identifier: MIT */
#include "ipc/event.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static event_hook *_Atomic hook; /* local: to the process */

void event_hook_set(event_hook *new)
{
    hook = new;
}

void event_tell(const struct view *view, enum event_kind kind, uint64_t count,
                const char *format, ...)
{
    event_hook *told = hook;
    int saved = errno;
    char text[256];
    va_list args;

    if (!told)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    told(view, kind, count, text);
    errno = saved;
}
