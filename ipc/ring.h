/* SPDX-License-Identifier: MIT */
/* ring.h - a bounded first-in-first-out ring of slots: any number of senders and receivers.
 *
 *  cell: bit 0 full | bits 1-20 slot | bits 21-63 lap
 *
 *  put   slot LOANED(me) -> QUEUED(me), where = this cell;  cell EMPTY(lap) -> FULL(lap, slot)
 *  take  slot QUEUED -> RECEIVED(me);                        cell FULL -> EMPTY(lap + 1)
 *
 * The claim is the change of the slot word: whoever finds a full cell whose slot is no
 * longer queued there advances the cell. So a receiver that is killed or stopped between its
 * two steps is passed by, and there is no third state of a cell. A sender killed between its
 * two steps has published nothing yet: reap finishes for it.
 *
 * Positions count for ever; position p is cell p % capacity in lap p / capacity. Tail and
 * head are hints, behind the truth at worst by what a stalled store puts there: a cell says
 * in which lap it is, and so where to go on. That no hint leads past a hole is checked at
 * the cell before. */
#ifndef TR_IPC_RING_H
#define TR_IPC_RING_H

#include "ipc/slot.h"

/* A queue's ring as one process sees it: checked once, when the channel was opened. */
struct ring {
    const struct view *view;
    struct channel *channel;
    _Atomic uint64_t *cells;
    uint32_t index;    /* of the channel */
    uint32_t capacity; /* at least 1 */
    int shift;         /* capacity == 1 << shift, or -1 */
    uint32_t max_deliveries;
    bool redeliver;
};

/* Queue a slot that @p me loaned or received. 0, -EAGAIN: no room, the slot is held as it
 * was. Lock-free. */
int ring_put(struct ring *ring, struct peer *me, uint32_t slot);

/* Take the oldest. 0, -EAGAIN: nothing there. Lock-free. */
int ring_take(struct ring *ring, struct peer *me, uint32_t *slot);

/* Whether a cell of the ring names @p slot at @p position. For the reaper. */
bool ring_names(const struct ring *ring, uint64_t position, uint32_t slot);

/* How many are there, about. */
uint64_t ring_depth(const struct ring *ring);

#endif
