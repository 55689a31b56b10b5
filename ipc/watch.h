/* SPDX-License-Identifier: MIT */
/* watch.h - the cheap look for the dead: a pidfd for each participant in one epoll instance.
 * One call then tells that none of them has ended since. It misses a process that lives on
 * without the arena, so the whole look of reap.h still happens, only less often.
 *
 * Only the process that takes the short slices has the pidfds: see reap_slice_ns(). */
#ifndef TR_IPC_WATCH_H
#define TR_IPC_WATCH_H

#include "ipc/view.h"

#define WATCH_WHOLE_NS  INT64_C(1000000000) /* from one whole look to the next */
#define WATCH_SELDOM_NS INT64_C(240000000)

struct watch {
    int epoll;        /* + 1, 0: not begun */
    int64_t whole_ns; /* when everybody was looked at last */
    struct {
        uint32_t inc;
        int fd; /* + 1, 0: none */
    } of[MAX_PARTICIPANTS];
};

/* Whether every other participant certainly runs, so that no look is needed now. */
bool watch_quiet(const struct peer *me);

void watch_end(struct watch *watch);

#endif
