/* SPDX-License-Identifier: MIT */
/* shared.h - slots that many read at once: broadcast and board.
 *
 *  put     slot LOANED(me) or RECEIVED(me) -> PUTTING(me), its location = the cell;
 *          cell: old -> this slot (compare-and-swap);  slot PUTTING -> SHARED
 *  read    cell is seen;  pin {slot, generation} is stored;  the cell is unchanged
 *  drop    pin is cleared;  is the slot retired? then look whether it can be freed
 *  retire  the cell names another slot, or none;  SHARED -> RETIRED
 *  free    RETIRED, and then no pin of a living participant names it -> FREE
 *
 * A reader writes its own pins and nothing else, so readers of a hot cell do not disturb
 * each other, and a dead reader's pins vanish with its entry.
 *
 * No slot is freed under a reader (E9, all seq_cst): either the reader's second look at the
 * cell comes before the cell is replaced, then so does its pin, and a scan after the
 * retiring sees it; or it comes after, then the reader sees a changed cell and unpins. A
 * cell carries a version or a lap, so that it never comes back.
 *
 * Half-done steps of the dead:
 *  PUTTING(dead), its cell names it      -> SHARED: it was published
 *  PUTTING(dead), its cell does not      nobody ever saw it: as if it were still held,
 *                                        because a writer that replaces a cell of a PUTTING
 *                                        slot makes it SHARED first.
 *  SHARED, its cell does not name it     its replacer died before retiring -> RETIRED.
 *                                        A slot is SHARED only once a cell has named it.
 *  RETIRED                               freed by any loan that needs memory. */
#ifndef TR_IPC_SHARED_H
#define TR_IPC_SHARED_H

#include "ipc/exchange/slot.h"

/* What this process reads. */
struct pin {
    uint32_t index; /* in our pin table */
    uint32_t slot;
    uint32_t generation;
    uint32_t sender; /* participant that put it */
};

/* Pin @p slot, which @p cell named when it was @p seen. 0; -EAGAIN: the cell has changed;
 * -ENOBUFS: no pin is left; -EBADMSG. Wait-free. */
int shared_pin(struct self *me, _Atomic uint64_t *cell, uint64_t seen, uint32_t slot,
               struct pin *pin);

/* Unpin. Wakes those that wait for memory. False: it was unpinned before. Lock-free. */
bool shared_unpin(struct self *me, const struct pin *pin);

/* Unpin all that @p me has pinned, though another may own its row of pins by now. */
void shared_unpin_all(struct self *me);

/* A slot that moves into a cell. */
struct putting {
    uint32_t slot;
    uint64_t held; /* its word before */
    uint64_t word; /* PUTTING(me) */
    uint64_t came; /* see LOCATION_FROM */
};

/* Begin to put a slot that @p me loaned or received. */
void shared_begin(struct self *me, uint32_t slot, struct putting *putting);

/* Before each try: which cell will name it. */
void shared_set_target(struct self *me, const struct putting *putting, uint32_t channel,
                       uint64_t position);

/* A cell names it. */
void shared_done(struct self *me, const struct putting *putting);

/* No cell does: held as before. */
void shared_undo(struct self *me, const struct putting *putting);

/* Before @p cell, which named @p slot when it was @p seen, is replaced: the word to retire
 * the slot with. False: the cell has changed. */
bool shared_complete(const struct view *view, const _Atomic uint64_t *cell, uint64_t seen,
                     uint32_t slot, uint64_t *word);

/* After a cell that named it was replaced. @p now: try to free it. Whether it was freed. */
bool shared_retire(const struct view *view, uint32_t slot, uint64_t word, bool now);

/* Whether it is freed: retired, and nobody reads it. */
bool shared_free(const struct view *view, uint32_t slot, uint64_t word);

/* Free retired slots of class @p c that nobody reads: whether there were any. *@p shared is set if
 * there are shared ones that are not retired. */
bool shared_free_retired(const struct view *view, uint32_t c, bool *shared);

/* For reports: how many pins of participant @p who are on slots of class @p c. */
uint32_t shared_pinned(const struct view *view, uint32_t who, uint32_t c);

/* For reports: whether a living participant reads a slot whose word is @p word. */
bool shared_is_pinned(const struct view *view, uint32_t slot, uint64_t word);

/* A slot that a dead participant left PUTTING becomes SHARED: a cell names it. */
void shared_finish(const struct view *view, uint32_t slot, uint64_t word);

#endif
