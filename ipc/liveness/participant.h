/* SPDX-License-Identifier: MIT */
/* participant.h - the processes that use the arena: an entry with an index and an incarnation.
 *
 *  word: bits 0-1 state | 2-33 incarnation
 *
 *  FREE(n) --lock byte, fill entry--> LIVE(n + 1) --died--> REAPING(n + 1) --swept--> FREE(n + 1)
 *                                                             ^      |
 *                                       the device is done    |      v  a device still writes
 *                                                            DRAINING(n + 1)
 *
 * A draining entry has been swept except for the slots that a device still writes into: device.h.
 * No newcomer can have it. It is checked by the device's lock, not by the slots.
 *
 * A participant is dead if its lock is free (life.h): the memory of its process is gone. In the
 * same pid namespace it is also dead if its process has certainly ended, if the lock has
 * leaked into a child. For a lock of the lesser kind both must hold.
 *
 * Admission: a word of the arena, {closed, joins}. To join is to make the entry LIVE and then to
 * count oneself in that word, which fails once the arena is closed. The process that closes it
 * reads the count, finds every entry free or dead, and then swaps that very count for a closed
 * one: a participant that joins in between makes the swap fail. Nobody waits. Closed is final:
 * the name is removed next. */
#ifndef TR_IPC_PARTICIPANT_H
#define TR_IPC_PARTICIPANT_H

#include "ipc/order.h"
#include "ipc/view.h"

/* A step of joining (join.h): the lock of entry @p i is ours, its word was @p word; fill it.
 * False: it has changed hands. */
bool participant_enter(struct self *me, uint32_t i, uint64_t word);

/* After that: counted among those that joined. False: the arena is closed, so leave again. */
bool participant_admitted(const struct view *view);

/* Give the lock back, once the entry has been swept. */
void participant_leave(struct self *me);

/* Whether our entry is still ours. It is not if others took us for dead. */
bool participant_stands(const struct self *me);

/* Take a lesser lock again, if it was lost. */
void participant_renew(const struct self *me);

/* @p i is a claimed entry. True: certainly dead. False: maybe alive. */
bool participant_dead(const struct view *view, uint32_t i);

/* The outcome of closing the arena. */
enum admission { ADMISSION_OPEN, ADMISSION_CLOSED };

/* Close the arena if none of its users lives; @p crashed: only if somebody left without saying
 * so. ADMISSION_CLOSED also if it was closed before. */
enum admission participant_close_arena(const struct view *view, bool crashed);

#endif
