/* SPDX-License-Identifier: MIT */
/* reserve.h - memory for a part of a tmpfs file, so that no access to it can fail later. */
#ifndef TR_IPC_RESERVE_H
#define TR_IPC_RESERVE_H

#include "ipc/kernel/limits.h"

/* What is still to be reserved, and whether to ask for it. */
struct reservation {
    int fd;
    bool ask;
    uint64_t left, asked; /* asked: how much was left when the limits were asked last */
    struct shortage *shortage;
};

/* Reserve it in pieces: others take memory at the same time, perhaps for another large arena. 0,
 * -errno with a shortage. */
int reserve_range(struct reservation *want, uint64_t at, uint64_t bytes);

#endif
