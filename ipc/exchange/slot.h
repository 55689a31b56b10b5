/* SPDX-License-Identifier: MIT */
/* slot.h - one word says which participant owns a slot.
 *
 *  bits 0-2 state | 3-11 participant | 12-23 incarnation | 24-31 deliveries | 32-63 generation
 *
 *  FREE ----loan---> LOANED(p) ---send--> QUEUED(p) --receive--> RECEIVED(q) --release--> FREE
 *                       ^                    |  ^                    |    |
 *                       +---- no room -------+  +---- forward -------+    | q died
 *                                                                         v
 *                                          RECEIVED(r) <----receive---- ORPHAN
 *
 *  LOANED, RECEIVED -publish, put-> PUTTING(p) -> SHARED -> RETIRED -> FREE (see shared.h)
 *
 * The participant named in the word may change it by a plain store, as long as it lives. Every
 * other participant, and a thread that competes with others, uses a compare-and-swap of the whole
 * word. The generation grows each time the slot is queued, put, held again or freed, so that a
 * late compare-and-swap fails.
 *
 * Where the slot is, or came from, is a second word, and both must change in one step. So there
 * are two words for the location, and the generation says which one counts: the odd one or the
 * even one. A process that moves a slot writes the location that does not count, then the word
 * with the next generation. If it finds no room, it goes back by the generation after that, to the
 * old location, which is untouched. A slot becomes free with an even generation, so that a plain
 * send writes the odd location, which lies in the line of the word. */
#ifndef TR_IPC_SLOT_H
#define TR_IPC_SLOT_H

#include "ipc/slot_word.h"

/* Take a slot of class @p c that is free now: see reclaim.h for what may become free. 0, or
 * -EAGAIN. Lock-free. */
int slot_loan_free(struct self *me, uint32_t c, uint32_t *slot);

/* Take this one, if it is free. Wait-free. */
bool slot_loan_this(struct self *me, uint32_t slot);

/* Give back a slot that @p me holds, and wake one waiter. Wait-free. */
void slot_free(struct self *me, uint32_t slot);

/* The same for a slot of class @p c, if its word still is @p held, under which @p me has it.
 * False: somebody else, a thread of ours or a reaper, was faster, and nothing was touched. */
bool slot_free_held(struct self *me, uint32_t slot, uint32_t c, uint64_t held);

/* Give back a slot that somebody held when its word was @p seen. False: the word has changed. */
bool slot_free_from(const struct view *view, uint32_t slot, uint64_t seen);

#endif
