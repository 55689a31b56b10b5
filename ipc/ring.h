/* SPDX-License-Identifier: MIT */
/* ring.h - a bounded first-in-first-out ring of slots: any number of senders and receivers.
 *
 *  cell: bits 0-19 slot | bits 20-63 turn, 0 before it was ever filled
 *
 *  put   slot LOANED(me) -> QUEUED(me), where = this cell;  cell (turn - 1) -> (turn, slot)
 *  take  slot QUEUED -> RECEIVED(me)
 *
 * The claim is the change of the slot word; a cell only changes when it is filled again. So
 * there is no step between which a receiver could be killed or stopped and hold up others,
 * and receivers never write the line that senders write. Whoever finds a cell whose slot is
 * no longer queued there passes it by. A sender killed between its two steps has published
 * nothing yet: reap finishes for it.
 *
 * Positions count for ever; position p is cell p % capacity in turn p / capacity + 1. Tail
 * and head are hints, never ahead of the truth: a cell says in which turn it is, and so where
 * to go on. That the tail leads past no hole is checked at the cell before. The head says
 * which messages have all been claimed, so that a sender need not look at their slots. */
#ifndef TR_IPC_RING_H
#define TR_IPC_RING_H

#include "ipc/slot.h"

/* A queue's ring as one process sees it: checked once, when the channel was opened. */
struct ring {
    const struct view *view;
    struct channel *channel;
    _Atomic uint64_t *cells;
    uint32_t index;          /* of the channel */
    uint32_t capacity;       /* at least 1 */
    int shift;               /* capacity == 1 << shift, or -1 */
    _Atomic uint64_t passed; /* local: what we last saw of the head */
    uint32_t max_deliveries;
    bool redeliver;
};

/* Queue a slot that @p me loaned or received. 0, -EAGAIN: no room, the slot is held as it
 * was. Lock-free. */
int ring_put(struct ring *ring, struct peer *me, uint32_t slot);

/* Take the oldest. 0, -EAGAIN: nothing there. Lock-free. */
int ring_take(struct ring *ring, struct peer *me, uint32_t *slot);

/* Whether a take, or a put, would find something, or room. For those who wait for several
 * channels. */
bool ring_readable(struct ring *ring);
bool ring_writable(struct ring *ring);

/* The cell that the next message will be named by, as it was found: not filled. */
struct ring_sight {
    const _Atomic uint64_t *cell; /* NULL: it is filled by now */
    uint64_t seen;
};

struct ring_sight ring_look_ahead(const struct ring *ring);

/* Whether surely nothing came since. If something did, its lines are on their way. */
bool ring_still(const struct ring *ring, const struct ring_sight *sight);

/* Whether a cell of the ring names @p slot at @p position. For the reaper. */
bool ring_names(const struct ring *ring, uint64_t position, uint32_t slot);

/* Whatever was put before this call is seen by the caller from here on. */
void ring_watch(const struct ring *ring);

/* How many are there, about. */
uint64_t ring_depth(const struct ring *ring);

#endif
