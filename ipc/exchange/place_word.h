/* SPDX-License-Identifier: MIT */
/* place_word.h - the parts of subscriber.word: the place of a subscriber in a broadcast.
 *
 *  bits 0-1 state | 2-3 policy | 4-12 participant | 16-47 incarnation */
#ifndef TR_IPC_PLACE_WORD_H
#define TR_IPC_PLACE_WORD_H

#include "ipc/order.h"
#include "ipc/view.h"

enum place_state { PLACE_FREE, PLACE_TAKEN, PLACE_ACTIVE, PLACE_EVICTED };
#define PLACE_STATE(word)  ((enum place_state)((word)&3))
#define PLACE_POLICY(word) ((uint32_t)((word) >> 2 & 3))
#define PLACE_WHO(word)    ((uint32_t)((word) >> 4 & 0x1ff))
#define PLACE_INC(word)    ((uint32_t)((word) >> 16))

static inline uint64_t place_word(enum place_state state, uint32_t policy,
                                  const struct self *me)
{
    return (uint64_t)state | (uint64_t)(policy & 3) << 2 | (uint64_t)me->who << 4 |
           (uint64_t)me->inc << 16;
}

/* Whether its owner lives, in the incarnation that took the place. */
static inline bool place_alive(const struct view *view, uint64_t word)
{
    if (PLACE_WHO(word) >= view->geo.participant_count)
        return false;
    /* E4 acquire: as in reap.c. */
    return shm_load(&view_participant(view, PLACE_WHO(word))->word, E4_LOOK) ==
           participant_word(PARTICIPANT_LIVE, PLACE_INC(word));
}

#endif
