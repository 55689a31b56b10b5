/* SPDX-License-Identifier: MIT */
/* pidfds.h - the cheap look for the dead: a pidfd for each participant in one epoll instance.
 * One call then tells that none of them has ended since. It misses a process that lives on
 * without the arena, so the whole look of reap.h still happens, every second.
 *
 * Descriptors are the program's: all pidfd sets of a process take a quarter of those that it may
 * have (RLIMIT_NOFILE), and all are given back when one can't be had. A participant that has
 * none is looked at each time.
 *
 * Only the monitoring process has the pidfds: see monitor.h. */
#ifndef TR_IPC_PIDFDS_H
#define TR_IPC_PIDFDS_H

#include <pthread.h>
#include <sys/types.h>

#include "ipc/view.h"

/* The time from one whole look to the next: a lock costs 0.3 us to look at, and pidfds say nothing
 * of a process that has executed another program. */
#define PIDFDS_WHOLE_NS INT64_C(1000000000)

/* How long descriptors are left to the program when one could not be had. */
#define PIDFDS_SCARCE_NS INT64_C(10000000000)

struct pidfds {
    pthread_mutex_t mutex; /* of what follows */
    int epoll;             /* + 1, 0: not begun */
    pid_t owner;           /* of that instance */
    uint32_t serial;       /* of that instance: a later one may have its number */
    int64_t scarce_ns;     /* until when descriptors are left to the program */
    int64_t whole_ns;      /* when everybody must be checked again */
    struct {
        uint32_t inc;
        int fd;            /* + 1, 0: none */
        uint64_t dev, ino; /* of it: the number may be another file's by now */
        uint64_t taken;    /* see number.h: another arena may watch the same process */
    } of[MAX_PARTICIPANTS];
};

/* Whether every other participant certainly runs, so that no look is needed now. */
bool pidfds_quiet(const struct self *me);

/* Everybody was looked at. */
void pidfds_checked(const struct self *me);

/* Readable when one of those has ended; belongs to the set. -1: there is none. *@p serial is
 * another one for each instance. */
int pidfds_fd(const struct self *me, uint32_t *serial);

/* Give all descriptors back; the next check starts over. */
void pidfds_end(struct pidfds *pidfds);

/* Make and free those of a handle. 0, -ENOMEM. */
int pidfds_open(struct view *view);
void pidfds_close(struct view *view);

/* A forked child: what another thread of the parent had locked is free, and the pidfds are the
 * parent's. */
void pidfds_forked(const struct view *view);

#endif
