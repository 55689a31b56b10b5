/* SPDX-License-Identifier: MIT */
/* ring.h - a bounded first-in-first-out ring of slots: any number of senders and receivers.
 *
 *  cell: bits 0-19 slot | bit 20 sealed | bits 21-63 turn, 0 before it was ever filled
 *
 *  put   slot LOANED(me) -> QUEUED(me), its location = this cell;  cell (turn - 1) -> (turn, slot)
 *  take  slot QUEUED -> RECEIVED(me)
 *  seal  cell (turn - 1) -> the same, sealed: it is never filled again
 *
 * The claim is the change of the slot word; a cell only changes when it is filled again. So
 * a receiver that is killed or stopped at any point never blocks the others, and receivers never
 * write the line that senders write. A process that finds a cell whose slot is
 * no longer queued there passes it by. A sender killed between its two steps has published
 * nothing yet: the reaper finishes the send.
 *
 * Positions only grow; position p is cell p % capacity in turn p / capacity + 1. Tail
 * and head are hints, never ahead of the truth: a cell says in which turn it is, and so where
 * to go on. The cell before is checked, so that the tail skips no hole. The head says
 * which messages have all been claimed, so that a sender need not look at their slots.
 *
 * A cell has room for 43 bits of its turn. Turns are compared modulo 2^43 by their signed
 * difference. A hint that is older than 2^42 turns (its process was stopped that long before
 * it stored it) leads to a position that is wrong by a multiple of 2^43 turns: it still is the
 * same cell in the same turn, and nothing but reports tells the difference.
 *
 * Closing goes through the ring. The word `closed` only asks for it. A receiver that then finds
 * the ring empty seals the cell that would be filled next. A sender fills that cell before, and
 * its message is found, or it meets the seal and keeps its message. A call says that the ring is
 * closed and empty only if it has sealed it, or found it sealed. */
#ifndef TR_IPC_RING_H
#define TR_IPC_RING_H

#include "ipc/slot_word.h"

/* A queue's ring as one process sees it: checked once, when the channel was opened. */
struct ring {
    const struct view *view;
    struct channel *channel;
    _Atomic uint64_t *cells;
    uint32_t index;          /* of the channel */
    uint32_t capacity;       /* at least 1 */
    uint64_t words;          /* of its memory, cells included */
    int shift;               /* capacity == 1 << shift, or -1 */
    _Atomic uint64_t passed; /* local: what we last saw of the head */
    uint32_t max_deliveries;
    bool redeliver;
    bool
        is_inbox; /* its messages lie in slots that were sent on: in their even location */
};

/* Queue a slot that @p me loaned or received. 0. -EAGAIN: no room; -ESHUTDOWN: sealed; then
 * the slot is held as it was. Lock-free. */
int ring_put(struct ring *ring, struct self *me, uint32_t slot);

/* What was taken: a slot, its word, and the number of the message in its channel. */
struct ring_taken {
    uint32_t slot;
    uint64_t word;
    uint64_t sequence;
};

/* Take the oldest. 0. -EAGAIN: nothing there. -ESHUTDOWN: and there never will be. Lock-free. */
int ring_receive(struct ring *ring, struct self *me, struct ring_taken *taken);

/* The same for a caller that needs only the slot. */
int ring_take(struct ring *ring, struct self *me, uint32_t *slot);

/* For waits on several channels: whether a take would find something. 0: it would.
 * -EAGAIN, -ESHUTDOWN as ring_receive(). */
int ring_readable(struct ring *ring);

/* Whether a put would find room. 0: it would. -EAGAIN, -ESHUTDOWN as ring_put(). */
int ring_writable(struct ring *ring);

/* Sends fail from now on. Receivers drain the ring, then seal it. */
void ring_close(struct ring *ring);

/* Whether that was asked for. */
bool ring_is_closed(const struct ring *ring);

/* The cell that the next message will be named by, as it was found: not filled. */
struct ring_snapshot {
    const _Atomic uint64_t *cell; /* NULL: it is filled by now */
    uint64_t seen;
};

struct ring_snapshot ring_take_snapshot(const struct ring *ring);

/* Whether nothing can have come since. If something did, its lines are being fetched. */
bool ring_unchanged(const struct ring *ring, const struct ring_snapshot *snapshot);

/* The number of the message that is, or was, at @p where. */
uint64_t ring_sequence(const struct ring *ring, uint64_t location);

/* Whether the cell of @p position, as LOCATION_POSITION() gives it, names @p slot. For the
 * reaper. */
bool ring_names(const struct ring *ring, uint64_t position, uint32_t slot);

/* Whatever was put before this call is seen by the caller from here on. */
void ring_watch(const struct ring *ring);

/* How many are there, about. */
uint64_t ring_depth(const struct ring *ring);

#endif
