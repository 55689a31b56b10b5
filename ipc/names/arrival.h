/* SPDX-License-Identifier: MIT */
/* arrival.h - waiting until a name is given to an arena.
 *
 * The kernel tells of each name that is made in the directory (inotify). Where it cannot (a user
 * has 128 of these watches), the waiter looks again after a pause. Begin before the first look:
 * then a name that comes between the look and the wait has been told. */
#ifndef TR_IPC_ARRIVAL_H
#define TR_IPC_ARRIVAL_H

#include <stdint.h>

struct arrival {
    int fd; /* of the watch; -1: there is none */
};

void arrival_begin(struct arrival *arrival);

/* Until some name was made, or it is time to look again. 0, -ETIMEDOUT, -EINTR. */
int arrival_wait(const struct arrival *arrival, int64_t until_ns);

void arrival_end(struct arrival *arrival);

#endif
