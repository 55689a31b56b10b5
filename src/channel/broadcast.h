/* SPDX-License-Identifier: MIT */
/* broadcast.h - handles of a broadcast and of a place in it. */
#ifndef TR_SRC_BROADCAST_H
#define TR_SRC_BROADCAST_H

#include <tensoring/broadcast.h>

#include "ipc/exchange/broadcast.h"
#include "src/arena/arena.h"

struct tr_broadcast {
    struct handle handle;
    struct tr_arena *arena;
    struct broadcast ring;
    bool stamp;
    char name[64];
};

struct tr_subscription {
    struct handle handle;
    struct tr_broadcast broadcast; /* a copy: the user may close the handle */
    struct place place;
    uint64_t holder; /* holder_of() when it was taken */
};

static inline struct tr_broadcast *broadcast_known(const tr_broadcast *given)
{
    return handle_known(given);
}

static inline struct tr_subscription *subscription_known(const tr_subscription *given)
{
    return handle_known(given);
}

/* The arena goes. */
void broadcast_orphan(const struct tr_arena *arena);

/* Whether tr_subscription_receive() would return a message at once. 0; -EAGAIN; -ESHUTDOWN: there
 * will be none. */
int subscription_ready(const struct tr_subscription *subscription);

/* Whether it is this process's, and not its parent's. */
bool subscription_is_ours(const struct tr_subscription *subscription);

#endif
