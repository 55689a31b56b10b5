/* SPDX-License-Identifier: MIT */
/* broadcast.h - a ring of shared slots: each message for every subscriber.
 *
 *  cell: bit 0 full | bits 1-20 slot | bit 21 sealed | bits 22-63 lap + 1; 0: never filled
 *
 *  publish  position p: cell of lap n - 1 -> FULL(n, slot); the slot that was there retires
 *  take     pin what the cell names, cursor c -> c + 1
 *  trim     what every subscriber has had, except the last `keep`: FULL(n) -> GONE(n)
 *  seal     cell of lap n - 1 -> the same, sealed: it is never filled again
 *
 * Positions only grow, and are filled in order. A ring of n cells lets a subscriber lag
 * by n - 1. One that lags further finds the cell at its cursor gone or in a later lap; what
 * follows (it is told, or evicted) concerns the subscriber alone, no publisher looks. Publishers
 * look at blocking subscribers only: position p is filled when each of them wants p - n + 1 or
 * later.
 *
 * E13: suppose a subscriber registers after the publisher looked at the cursors and before its
 * compare-and-swap. The publisher had seen p - 1 filled before it looked. The subscriber looks
 * for the tail after it has registered, so it finds p or more, and begins at most n - 1 before
 * that: position p - n is not one that it wants.
 *
 * A cell has room for 42 bits of its lap: laps are compared modulo 2^42 by their signed
 * difference. Tail and cursors are whole and only grow, by compare-and-swap, so a subscriber
 * that was stopped for longer than that many laps finds its way by the tail.
 *
 * Closing goes through the ring, as in ring.h: a subscriber that finds nothing at its cursor
 * when the broadcast is closed seals the cell that would be filled there. What the cell still
 * holds of the lap before stays for others.
 *
 * A subscriber is alive while its participant has the incarnation that registered. The entry of a
 * dead one counts for nobody and is taken by the next. A reaper also frees it: incarnations come
 * back after 2^32 joins. */
#ifndef TR_IPC_BROADCAST_H
#define TR_IPC_BROADCAST_H

#include "ipc/exchange/channel.h"
#include "ipc/exchange/shared.h"

/* A broadcast's channel says in policy how many messages are kept, in max_deliveries how many
 * places there are. Its extra words: */
enum { BROADCAST_USED }; /* places 0 to here were ever taken */

/* Whether there is such a lag policy: their table is in broadcast.c. */
bool broadcast_lag_exists(uint32_t policy);

/* A broadcast as one process sees it: checked once. */
struct broadcast {
    const struct view *view;
    struct channel *channel;
    _Atomic uint64_t *cells;
    struct subscriber *places;
    uint32_t index; /* of the channel */
    uint32_t count; /* of cells, a power of 2 */
    int shift;
    uint32_t place_count;
    uint64_t keep;
};

/* A place in the table of subscribers. */
struct place {
    uint32_t index;
    uint32_t policy; /* broadcast_lag_exists() */
    uint64_t start;  /* what was gone before this was not missed */
};

struct broadcast_spec {
    const char *name;
    uint32_t lag;    /* messages that a subscriber may be behind */
    uint32_t places; /* subscribers at a time */
    uint32_t keep;   /* messages kept for late subscribers */
    uint32_t stamp;  /* as in struct channel */
};

/* What to ask channel_open() for. */
void broadcast_channel_spec(const struct broadcast_spec *spec,
                            struct channel_spec *channel);

/* A checked view of it. 0, -EBADMSG. */
int broadcast_view(const struct view *view, uint32_t index, struct broadcast *out);

/* Publish a slot that @p me loaned or received. 0, with its position. -EAGAIN: a subscriber
 * that blocks is behind; -ESHUTDOWN: sealed; then the slot is held as it was. Lock-free when
 * nobody blocks. */
int broadcast_put(struct broadcast *b, struct self *me, uint32_t slot,
                  uint64_t *position);

/* Become a subscriber that begins with the last @p last messages, as far as they are there.
 * 0, -ENOSPC: every place is taken. */
int broadcast_subscribe(struct broadcast *b, struct self *me, uint32_t policy,
                        uint32_t last, struct place *place);

/* Give up a place of @p me. */
void broadcast_unsubscribe(struct broadcast *b, const struct self *me,
                           const struct place *place);

/* For the reaper: free the places of a dead one. */
void broadcast_forget(const struct view *view, uint32_t index, uint32_t who,
                      uint32_t inc);

/* Living ones, about. */
uint32_t broadcast_subscribers(const struct broadcast *b);

/* The blocking subscriber that is furthest behind. False: none is behind. */
struct laggard {
    uint32_t who;
    uint64_t behind;
};
bool broadcast_laggard(const struct broadcast *b, struct laggard *laggard);

struct taken {
    struct pin pin;
    uint64_t position;
};

/* The next message. 0; -EAGAIN; -ESHUTDOWN: closed, and nothing is left; -EOVERFLOW: some were
 * missed, the next call goes on; -ENOTCONN: evicted; -ENOBUFS: no pin is left; -EBADMSG. */
int broadcast_take(struct broadcast *b, struct self *me, const struct place *place,
                   struct taken *taken);

/* How many @p place has missed. */
uint64_t broadcast_missed(const struct broadcast *b, const struct place *place);

/* Whether there is anything for @p place, without taking it. 0, -EAGAIN, -ESHUTDOWN. */
int broadcast_ready(const struct broadcast *b, const struct place *place);

/* Publishing fails from now on. Subscribers read what is there, then seal it. */
void broadcast_close(struct broadcast *b);

/* Whether that was asked for. */
bool broadcast_closed(const struct broadcast *b);

/* For memory: give up messages in slots of class @p c that every subscriber has had; or, if
 * @p drop, the oldest that no blocking subscriber waits for. Whether a slot is free now. */
bool broadcast_give_up(struct broadcast *b, uint32_t c, bool drop);

/* Whether the same with @p drop would free a slot. */
bool broadcast_could_give_up(const struct broadcast *b, uint32_t c);

/* Whether broadcast_put() would find room: 0; -EAGAIN, a subscriber that blocks is behind;
 * -ESHUTDOWN. */
int broadcast_writable(const struct broadcast *b);

/* Whether the cell of @p position, as LOCATION_POSITION() gives it, names @p slot. */
bool broadcast_names(const struct view *view, uint32_t index, uint64_t position,
                     uint32_t slot);

/* The first position that is not filled. */
uint64_t broadcast_tail(const struct broadcast *b);

#endif
