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

/* For wait sets: the word that changes when there may be a message, and whether there is
 * one, or another reason for tr_subscription_receive() to return at once. */
_Atomic uint32_t *subscription_word(const struct tr_subscription *subscription);
bool subscription_ready(const struct tr_subscription *subscription);

#endif
