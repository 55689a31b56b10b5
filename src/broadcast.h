/* SPDX-License-Identifier: MIT */
/* broadcast.h - handles of a broadcast and of a place in it. */
#ifndef TR_SRC_BROADCAST_H
#define TR_SRC_BROADCAST_H

#include <tensoring/broadcast.h>

#include "ipc/broadcast.h"

struct tr_broadcast {
    struct tr_arena *arena;
    struct broadcast ring;
    bool stamp;
    char name[64];
};

struct tr_subscription {
    struct tr_broadcast *broadcast;
    struct seat seat;
    uint64_t holder; /* holder_of() when it was taken */
};

/* Whether tr_subscription_receive() would return a message at once. 0; -EAGAIN; -ESHUTDOWN: there
 * will be none. */
int subscription_ready(const struct tr_subscription *subscription);

/* Whether it is this process's, and not its parent's. */
bool subscription_is_ours(const struct tr_subscription *subscription);

#endif
