/* SPDX-License-Identifier: MIT */
/* watch.h - the cheap look for the dead: a pidfd for each participant in one epoll instance.
 * One call then tells that none of them has ended since. It misses a process that lives on
 * without the arena, so the whole look of reap.h still happens, only less often.
 *
 * Only the process that watches has the pidfds: see lookout.h. */
#ifndef TR_IPC_WATCH_H
#define TR_IPC_WATCH_H

#include "ipc/view.h"

/* From one whole look to the next: this long, or so many times what the last one took. */
#define WATCH_WHOLE_NS INT64_C(1000000000)
#define WATCH_WHOLE    4000

struct watch {
    int epoll;        /* + 1, 0: not begun */
    int64_t whole_ns; /* when everybody is to be looked at again */
    struct {
        uint32_t inc;
        int fd; /* + 1, 0: none */
    } of[MAX_PARTICIPANTS];
};

/* Whether every other participant certainly runs, so that no look is needed now. */
bool watch_quiet(const struct peer *me);

/* Everybody was looked at, from @p began_ns on. */
void watch_looked(const struct peer *me, int64_t began_ns);

/* Readable when one of those has ended; belongs to the watch. -1: there is none. */
int watch_fd(const struct peer *me);

void watch_end(struct watch *watch);

#endif
