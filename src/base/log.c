/* SPDX-License-Identifier: MIT */
#include <tensoring/log.h>

#include "ipc/event.h"

_Static_assert((int)TR_LOG_REAP == EVENT_REAP && (int)TR_LOG_DROP == EVENT_DROP &&
                   (int)TR_LOG_CORRUPT == EVENT_CORRUPT &&
                   (int)TR_LOG_FALLBACK == EVENT_FALLBACK &&
                   (int)TR_LOG_LAG == EVENT_LAG && (int)TR_LOG_EVICT == EVENT_EVICT,
               "one table");

struct listener {
    tr_log_callback *callback;
    void *context;
};

static tr_log_callback *_Atomic callback; /* local: to the process, as the next */
static void *_Atomic context;
static _Atomic uint64_t changes; /* local: odd while one is replaced by another */

/* The callback and its own context. False: it is being replaced, perhaps by this very thread,
 * which a signal has interrupted: so this does not wait. */
static bool read_listener(struct listener *out)
{
    uint64_t before = changes;

    *out = (struct listener){callback, context};
    return before % 2 == 0 && changes == before && out->callback;
}

static void tell(const struct view *view, enum event_kind kind, uint64_t count,
                 const char *text)
{
    tr_log_event event = {.struct_size = sizeof(event),
                          .kind = kind,
                          .count = count,
                          .arena = view->name ? view->name : "",
                          .text = text};
    struct listener listener;

    if (read_listener(&listener))
        listener.callback(&event, listener.context);
}

void tr_log_set(tr_log_callback *new, void *its_context)
{
    uint64_t odd = changes | 1; /* it is already where a fork met another thread here */

    changes = odd;
    context = its_context;
    callback = new;
    changes = odd + 1;
    event_hook_set(new ? tell : NULL);
}
