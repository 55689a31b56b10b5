/* SPDX-License-Identifier: MIT */
/* participant.h - who uses the arena: an entry with an index and an incarnation.
 *
 *  word: bits 0-1 state | 2-33 incarnation
 *
 *  FREE(n) --lock byte, fill entry--> LIVE(n + 1) --died--> REAPING(n + 1) --swept--> FREE(n + 1)
 *
 * Death needs two witnesses: the record lock of the entry's byte is free, and, where the pid
 * means something here, the process of that pid and start time is gone, is a zombie, or has
 * the arena no longer mapped (it executed another program). A process that lost its lock
 * because somebody closed all its descriptors takes it again when it next waits. */
#ifndef TR_IPC_PARTICIPANT_H
#define TR_IPC_PARTICIPANT_H

#include "ipc/order.h"
#include "ipc/view.h"

enum participant_state { PARTICIPANT_FREE, PARTICIPANT_LIVE, PARTICIPANT_REAPING };

#define PARTICIPANT_STATE(word) ((enum participant_state)((word)&3))
#define PARTICIPANT_INC(word)   ((uint32_t)((word) >> 2))

static inline uint64_t participant_word(enum participant_state state, uint32_t inc)
{
    return (uint64_t)state | (uint64_t)inc << 2;
}

/* Become a participant: fills who and inc of @p me, whose view is set. 0, -EUSERS, -errno. */
int participant_join(struct peer *me);

/* The second half of it: the lock of entry @p i is ours, its word was @p word; fill it.
 * False: it has changed hands. */
bool participant_enter(struct peer *me, uint32_t i, uint64_t word);

/* Give the entry back, once it has been swept. */
void participant_leave(struct peer *me);

/* Take the lock again, should it be lost. */
void participant_renew(const struct peer *me);

/* Of a claimed entry. True: certainly dead. False: maybe alive. */
bool participant_dead(const struct view *view, uint32_t i);

#endif
