/* SPDX-License-Identifier: MIT */
/* slot_word.h - the parts of slot_record.owner and of a slot's two locations, see slot.h. */
#ifndef TR_IPC_SLOT_WORD_H
#define TR_IPC_SLOT_WORD_H

#include "ipc/mutant.h"
#include "ipc/order.h"
#include "ipc/view.h"

enum slot_state {
    SLOT_FREE,
    SLOT_LOANED,
    SLOT_QUEUED,
    SLOT_RECEIVED,
    SLOT_ORPHAN,
    SLOT_SHARED,
    SLOT_RETIRED,
    SLOT_PUTTING
};

#define SLOT_STATE(word)      ((enum slot_state)((word)&7))
#define SLOT_WHO(word)        ((uint32_t)((word) >> 3 & 0x1ff))
#define SLOT_INC(word)        ((uint32_t)((word) >> 12 & 0xfff))
#define SLOT_DELIVERIES(word) ((uint32_t)((word) >> 24 & 0xff))
#define SLOT_GENERATION(word) ((uint32_t)((word) >> 32))
#define SLOT_LIFE             (~UINT64_C(0xffffff)) /* deliveries and generation */
#define SLOT_NOBODY           0x1ffu

static inline uint64_t slot_word(enum slot_state state, uint32_t who, uint32_t inc,
                                 uint32_t deliveries, uint32_t generation)
{
    return (uint64_t)state | (uint64_t)(who & 0x1ff) << 3 |
           (uint64_t)(inc & 0xfff) << 12 | (uint64_t)(deliveries & 0xff) << 24 |
           (uint64_t)generation << 32;
}

/* The word that follows @p word when @p me holds the slot in @p state. */
static inline uint64_t slot_held(uint64_t word, enum slot_state state,
                                 const struct self *me)
{
    return slot_word(state, me->who, me->inc, 0, 0) | (word & SLOT_LIFE);
}

/* The word that ring_put() gives a slot whose word is @p mine. */
static inline uint64_t slot_queued(uint64_t mine, const struct self *me)
{
    return slot_word(SLOT_QUEUED, me->who, me->inc, 0, SLOT_GENERATION(mine) + 1);
}

static inline uint64_t slot_freed(uint64_t word)
{
    return slot_word(SLOT_FREE, SLOT_NOBODY, 0, 0, (SLOT_GENERATION(word) | 1) + 1);
}

/* Whether @p word says that @p me holds the slot in @p state. */
static inline bool slot_is(uint64_t word, enum slot_state state, const struct self *me)
{
    return SLOT_STATE(word) == state && SLOT_WHO(word) == me->who &&
           SLOT_INC(word) == (me->inc & 0xfff);
}

/* A location: channel 0-11 | position 12-54 | in no cell yet 55 | from 56-63.
 *
 * Positions are compared modulo 2^43. A cell names the slot that was put there last, so a
 * wrong match needs a cell that was read 2^43 messages ago, and a slot that is queued at just
 * that distance; the claim then compares the whole word, and takes a message that is queued.
 *
 * From: deliveries + 1 of a message that was received before and is sent on; 0: of a loan. */
#define LOCATION_MASK               ((UINT64_C(1) << 43) - 1)
#define LOCATION_AT(position)       ((position)&LOCATION_MASK)
#define LOCATION(channel, position) ((uint64_t)(channel) | (position) << 12)
#define LOCATION_CHANNEL(location)  ((uint32_t)((location)&0xfff))
#define LOCATION_POSITION(location) \
    ((location) >> 12 & (LOCATION_MASK | LOCATION_NOWHERE))
#define LOCATION_NOWHERE          (UINT64_C(1) << 43) /* as a position: in no cell */
#define LOCATION_NONE             LOCATION(0xfff, LOCATION_NOWHERE)
#define LOCATION_FROM(location)   ((uint32_t)((location) >> 56))
#define LOCATION_CAME(deliveries) ((uint64_t)((deliveries) + 1) << 56)

/* The location word that counts in generation @p generation. */
static inline _Atomic uint64_t *slot_location_word(struct slot_record *record,
                                                   uint32_t generation)
{
    return __builtin_expect(generation & 1, 1) || MUTANT(ONE_LOCATION)
               ? &record->location
               : &record->location_even;
}

/* Where the slot is whose word is @p word. */
static inline uint64_t slot_location(struct slot_record *record, uint64_t word)
{
    /* relaxed: ordered after the word by the edge with which that was read. */
    return shm_load(slot_location_word(record, SLOT_GENERATION(word)),
                    memory_order_relaxed);
}

/* Where it was before that, if it was moving when the word was written. */
static inline uint64_t slot_previous_location(struct slot_record *record, uint64_t word)
{
    /* relaxed: ordered after the word by the edge with which that was read. */
    return shm_load(slot_location_word(record, SLOT_GENERATION(word) - 1),
                    memory_order_relaxed);
}

/* The origin that a slot held as @p word keeps when it is moved. */
static inline uint64_t slot_came(uint64_t word)
{
    return SLOT_STATE(word) == SLOT_LOANED ? 0 : LOCATION_CAME(SLOT_DELIVERIES(word));
}

/* The word of a slot that goes back to its holder, as @p held says: two generations on. */
static inline uint64_t slot_back(uint64_t held, const struct self *me)
{
    return slot_word(SLOT_STATE(held), me->who, me->inc, SLOT_DELIVERIES(held),
                     SLOT_GENERATION(held) + (MUTANT(OLD_CHANNEL) ? 1 : 2));
}

#endif
