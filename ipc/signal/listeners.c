/* SPDX-License-Identifier: MIT */
#include "ipc/signal/listeners.h"

#include "ipc/hooks.h"
#include "ipc/kernel/os.h"
#include "ipc/mutant.h"
#include "ipc/order.h"
#include "ipc/wake_word.h"

#define SETS (MAX_PARTICIPANTS / 64)

static uint32_t number_of_channel(const struct view *view, uint64_t at)
{
    uint64_t index = at / sizeof(struct channel), in = at % sizeof(struct channel);

    if (index >= view->geo.channel_count ||
        (in != offsetof(struct channel, items) && in != offsetof(struct channel, room)))
        return LISTENERS_NONE;
    return (uint32_t)index;
}

static uint32_t number_of_loans(const struct view *view, const _Atomic uint32_t *word)
{
    struct live *live = view_live(view);

    if (MUTANT(LOANS_DEAF))
        return LISTENERS_NONE;
    if (word == &live->memory)
        return view->geo.channel_count;
    for (uint32_t c = 0; c < view->geo.class_count; c++)
        if (word == &live->classes[c].freed)
            return view->geo.channel_count + 1 + c;
    return LISTENERS_NONE;
}

uint32_t listeners_number(const struct view *view, const _Atomic uint32_t *word)
{
    uint64_t at = (uint64_t)((const uint8_t *)word - view->base);

    if ((const uint8_t *)word < view->base || at < view->geo.channels_off)
        return number_of_loans(view, word);
    return number_of_channel(view, at - view->geo.channels_off);
}

/* False: it is not armed, so it is awake and will look; or it can't be told. */
static bool ring(const struct view *view, uint32_t i, uint64_t hint)
{
    struct participant *entry = view_participant(view, i);
    uint32_t seen = shm_load(&entry->doorbell, E3); /* E3: after the change */
    bool rung = MUTANT(RING_ABSENT);

    if (!(seen & WAKE_FLAGS))
        return MUTANT(RING_SWALLOWED);
    /* relaxed: a hint. */
    shm_or(&entry->rung, hint, memory_order_relaxed);
    do {
        if (!(seen & WAKE_FLAGS))
            return MUTANT(RING_SWALLOWED);
    } while (!shm_cas(&entry->doorbell, &seen, (seen + WAKE_COUNT) & ~WAKE_FLAGS,
                      E3)); /* E3: one about to sleep sees it */
    view_count(view, COUNT_WAKES, 1);
    STEP(&entry->doorbell, SHM_SYSTEM);
    if (seen & WAKE_ASLEEP)
        rung |= os->futex_wake(&entry->doorbell, INT32_MAX) > 0;
    if (seen & WAKE_POLLED) {
        STEP(&entry->doorbell, SHM_SYSTEM);
        rung |= hooks->ring(view, i);
    }
    /* Armed, and nobody there: it is about to sleep, sees another doorbell and looks; or it has
     * gone to work, and another should be rung. */
    return rung;
}

/* The first listener from @p from on, all round; MAX_PARTICIPANTS if there is none. */
static uint32_t next_listener(_Atomic uint64_t *set, uint32_t from)
{
    for (uint32_t i = 0; i <= SETS; i++) {
        uint32_t s = (from / 64 + i) % SETS;
        uint64_t bits = shm_load(&set[s], E3); /* E3: after the change */

        if (i == 0)
            bits &= UINT64_MAX << from % 64;
        if (i == SETS)
            bits &= (UINT64_C(1) << from % 64) - 1;
        if (bits)
            return s * 64 + (uint32_t)__builtin_ctzll(bits);
    }
    return MAX_PARTICIPANTS;
}

/* False: another waker took the bit, or ring() says no. */
static bool take_and_ring(const struct view *view, _Atomic uint64_t *set, uint32_t who,
                          uint64_t hint)
{
    uint64_t bit = UINT64_C(1) << who % 64;
    /* E3: too early; the doorbell is looked at after the bit was taken. */
    bool deaf = MUTANT(BIT_LAST) && who < view->geo.participant_count &&
                !(shm_load(&view_participant(view, who)->doorbell, E3) & WAKE_FLAGS);

    /* E3: only one waker takes it. */
    return (shm_and(&set[who / 64], ~bit, E3) & bit) &&
           who < view->geo.participant_count && !deaf && ring(view, who, hint);
}

/* There was no listener when the word was @p seen. */
static void clear_flag(_Atomic uint32_t *word, uint32_t seen)
{
    if (MUTANT(FLAG_FORCED))
        seen = shm_load(word, E3);                 /* E3: too late */
    shm_cas(word, &seen, seen & ~WAKE_POLLED, E3); /* E3: unless one came since */
}

void listeners_ring(const struct view *view, _Atomic uint32_t *word, int count)
{
    uint32_t number = listeners_number(view, word), first, seen, who, passed = 0;
    _Atomic uint64_t *set = listeners_of(word);

    if (number == LISTENERS_NONE)
        return;
    seen = shm_load(word, E3); /* E3: before the listeners are looked at */
    /* Listeners take turns, otherwise the first would get everything. Once round: a listener that
     * registers again behind us looks after our change. */
    first = shm_get(listeners_turn(word)) % MAX_PARTICIPANTS;
    for (;;) {
        who = next_listener(set, (first + passed) % MAX_PARTICIPANTS);
        if (who == MAX_PARTICIPANTS || (who - first) % MAX_PARTICIPANTS < passed)
            break;
        passed = (who - first) % MAX_PARTICIPANTS + 1;
        shm_put(listeners_turn(word), who + 1);
        if (take_and_ring(view, set, who, UINT64_C(1) << number % 64) && count == 1 &&
            !MUTANT(RING_ALL))
            return;
    }
    if (who == MAX_PARTICIPANTS)
        clear_flag(word, seen);
}
