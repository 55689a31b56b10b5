/* SPDX-License-Identifier: MIT */
/* event.h - rare events, told to a hook of the process; never on the data path. */
#ifndef TR_IPC_EVENT_H
#define TR_IPC_EVENT_H

#include <stdint.h>

#include "ipc/view.h"

enum event_kind {
    EVENT_REAP = 1,
    EVENT_DROP,
    EVENT_CORRUPT,
    EVENT_FALLBACK,
    EVENT_LAG,
    EVENT_EVICT
};

typedef void event_hook(const struct view *view, enum event_kind kind, uint64_t count,
                        const char *text);

/* NULL: nobody is told. */
void event_hook_set(event_hook *hook);

/* Tell the hook, if there is one. errno is left alone; no call of malloc(): a signal handler may
 * reap. */
void event_tell(const struct view *view, enum event_kind kind, uint64_t count,
                const char *format, ...) __attribute__((format(printf, 4, 5), cold));

#endif
