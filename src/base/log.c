/* SPDX-License-Identifier: MIT */
#include <tensoring/log.h>

#include "ipc/event.h"

_Static_assert((int)TR_LOG_REAP == EVENT_REAP && (int)TR_LOG_DROP == EVENT_DROP &&
                   (int)TR_LOG_CORRUPT == EVENT_CORRUPT &&
                   (int)TR_LOG_FALLBACK == EVENT_FALLBACK,
               "one table");

static tr_log_callback *_Atomic callback; /* local: to the process, as the next */
static void *_Atomic context;

static void tell(const struct view *view, enum event_kind kind, uint64_t count,
                 const char *text)
{
    tr_log_event event = {.struct_size = sizeof(event),
                          .kind = kind,
                          .count = count,
                          .arena = view->name ? view->name : "",
                          .text = text};
    tr_log_callback *told = callback;

    if (told)
        told(&event, context);
}

void tr_log_set(tr_log_callback *new, void *its_context)
{
    event_hook_set(NULL);
    context = its_context;
    callback = new;
    if (new)
        event_hook_set(tell);
}
