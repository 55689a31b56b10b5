/* SPDX-License-Identifier: MIT */
#include "ipc/notify.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "ipc/hooks.h"
#include "ipc/mutant.h"
#include "ipc/notifier.h"
#include "ipc/order.h"
#include "ipc/os.h"
#include "ipc/uncancel.h"

#define SETS (MAX_PARTICIPANTS / 64)

/* The channel that a word belongs to; channel_count if to none. */
static uint32_t channel_of(const struct view *view, const _Atomic uint32_t *word)
{
    uint64_t at = (uint64_t)((const uint8_t *)word - view->base);
    uint64_t in, index;

    if ((const uint8_t *)word < view->base || at < view->geo.channels_off)
        return view->geo.channel_count;
    index = (at - view->geo.channels_off) / sizeof(struct channel);
    in = (at - view->geo.channels_off) % sizeof(struct channel);
    if (index >= view->geo.channel_count ||
        (in != offsetof(struct channel, items) && in != offsetof(struct channel, room)))
        return view->geo.channel_count;
    return (uint32_t)index;
}

bool notify_can(const struct view *view, const _Atomic uint32_t *word)
{
    return channel_of(view, word) < view->geo.channel_count;
}

uint64_t notify_hint_of(const struct view *view, const _Atomic uint32_t *word)
{
    return UINT64_C(1) << channel_of(view, word) % 64;
}

_Static_assert(
    offsetof(struct channel, items_listeners) == offsetof(struct channel, items) + 8 &&
        offsetof(struct channel, room_listeners) == offsetof(struct channel, room) + 8 &&
        offsetof(struct channel, items_turn) == offsetof(struct channel, items) + 4 &&
        offsetof(struct channel, room_turn) == offsetof(struct channel, room) + 4,
    "the listeners stand behind their word");

static _Atomic uint64_t *listeners_of(_Atomic uint32_t *word)
{
    return (_Atomic uint64_t *)(void *)(word + 2);
}

static _Atomic uint32_t *turn_of(_Atomic uint32_t *word)
{
    return word + 1;
}

uint32_t notify_arm(const struct peer *me, uint32_t flags)
{
    /* E3: before we listen and look. */
    return shm_or(&view_participant(me->view, me->who)->doorbell, flags, E3) | flags;
}

bool notify_armed(const struct peer *me, uint32_t flags)
{
    /* E3: who disarms rings; seen here, the ring is on its way. */
    return (shm_load(&view_participant(me->view, me->who)->doorbell, E3) & flags) ==
           flags;
}

void notify_listen(const struct peer *me, _Atomic uint32_t *word)
{
    _Atomic uint64_t *set = &listeners_of(word)[me->who / 64];
    uint64_t bit = UINT64_C(1) << me->who % 64;
    uint32_t seen;

    /* E3: it was stored before this load, which comes before the look. */
    if ((shm_load(set, E3) & bit) && (shm_load(word, E3) & WAKE_POLLED))
        return;
    /* E3: the bit, then the flag, then the look. */
    if (!MUTANT(FLAG_FIRST))
        shm_or(set, bit, E3);
    seen = shm_load(word, E3);
    while (
        !shm_cas(word, &seen, (seen + WAKE_COUNT) | WAKE_POLLED, E3)) /* E3: as above */
        ;
    if (MUTANT(FLAG_FIRST))
        shm_or(set, bit, E3); /* E3: too late */
}

bool notify_listens(const struct peer *me, _Atomic uint32_t *word)
{
    /* E3: as in notify_listen(). */
    return shm_load(&listeners_of(word)[me->who / 64], E3) >> me->who % 64 & 1;
}

void notify_unlisten(const struct peer *me, _Atomic uint32_t *word)
{
    uint64_t bit = UINT64_C(1) << me->who % 64;

    /* E3: either a waker found the bit, or it goes on to the next. That the bit still stands
     * is no proof that we owe nothing: we may have been rung, listened again, and seen what
     * we leave to others now. */
    if (!(shm_and(&listeners_of(word)[me->who / 64], ~bit, E3) & bit) ||
        !MUTANT(UNLISTEN_KEEPS))
        wake_one(me->view, word);
}

uint64_t notify_hints(const struct peer *me)
{
    _Atomic uint64_t *rung = &view_participant(me->view, me->who)->rung;

    /* relaxed: a hint. */
    if (shm_load(rung, memory_order_relaxed) == 0)
        return 0;
    return shm_exchange(rung, 0, memory_order_relaxed);
}

/* In a signal handler, or beside another thread, the cache may be in use; then it does without. */
static bool ring_fifo(const struct view *view, uint32_t i)
{
    struct notifier *notifier = view->notifier;
    uint64_t key = shm_get(&view_participant(view, i)->fifo_key);
    bool rung;

    if (pthread_mutex_trylock(&notifier->mutex) != 0)
        return fifo_ring_once(view, key);
    rung = fifo_ring(view, &notifier->fifos, i, key);
    pthread_mutex_unlock(&notifier->mutex);
    return rung;
}

bool notify_descriptor(const struct view *view, uint32_t i)
{
    struct notifier *notifier = view->notifier;
    uint32_t how = shm_get(&view_participant(view, i)->notify);
    bool rung = false;
    int cancel;

    if (!notifier)
        return false;
    cancel = uncancel_begin();
    if (how & NOTIFY_EVENTFD && i < notifier->table.count)
        rung = evfd_ring(notifier->table.fds[i]);
    if (how & NOTIFY_FIFO)
        rung |= ring_fifo(view, i);
    uncancel_end(cancel);
    return rung;
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
    /* Armed, and nobody there: it is about to sleep, sees another doorbell and looks; or it
     * has gone to work, and somebody else should be rung. */
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

void notify_listeners(const struct view *view, _Atomic uint32_t *word, int count)
{
    uint32_t channel = channel_of(view, word), first, seen, who, passed = 0;
    _Atomic uint64_t *set = listeners_of(word);

    if (channel == view->geo.channel_count)
        return;
    seen = shm_load(word, E3); /* E3: before the listeners are looked at */
    /* Taking turns, or the first would get everything. Once round: who listens again behind
     * us looks after our change. */
    first = shm_get(turn_of(word)) % MAX_PARTICIPANTS;
    for (;;) {
        who = next_listener(set, (first + passed) % MAX_PARTICIPANTS);
        if (who == MAX_PARTICIPANTS || (who - first) % MAX_PARTICIPANTS < passed)
            break;
        passed = (who - first) % MAX_PARTICIPANTS + 1;
        shm_put(turn_of(word), who + 1);
        if (take_and_ring(view, set, who, UINT64_C(1) << channel % 64) && count == 1 &&
            !MUTANT(RING_ALL))
            return;
    }
    if (who == MAX_PARTICIPANTS)
        clear_flag(word, seen);
}

void notify_self(const struct peer *me)
{
    _Atomic uint32_t *doorbell = &view_participant(me->view, me->who)->doorbell;

    if (MUTANT(SELF_SILENT))
        return;
    /* E3: one that is about to sleep sees it. */
    shm_add(doorbell, WAKE_COUNT, E3);
    STEP(doorbell, SHM_SYSTEM);
    os->futex_wake(doorbell, INT32_MAX);
}

void notify_everybody(const struct view *view)
{
    for (uint32_t i = 0; i < view->geo.participant_count; i++) {
        struct participant *entry = view_participant(view, i);

        /* E4: as in participant.c. */
        if (PARTICIPANT_STATE(shm_load(&entry->word, E4_LOOK)) != PARTICIPANT_LIVE)
            continue;
        shm_add(&entry->doorbell, WAKE_COUNT, E3); /* E3: a sleeper-to-be sees it */
        STEP(&entry->doorbell, SHM_SYSTEM);
        os->futex_wake(&entry->doorbell, INT32_MAX);
        STEP(&entry->doorbell, SHM_SYSTEM);
        (void)hooks->ring(view, i);
    }
}

/* The key is the dead one's if its entry still is REAPING after the key was read: a newcomer
 * writes its own once the entry is LIVE. */
static void forget_fifo(const struct view *view, struct participant *entry, uint32_t inc)
{
    bool by_fifo = shm_get(&entry->notify) & NOTIFY_FIFO;
    uint64_t key = shm_get(&entry->fifo_key);

    /* E4 acquire: as in reap.c. */
    if (by_fifo &&
        shm_load(&entry->word, E4_LOOK) == participant_word(PARTICIPANT_REAPING, inc))
        fifo_remove(view, key);
}

void notify_forget(const struct view *view, uint32_t who, uint32_t inc)
{
    struct participant *entry = view_participant(view, who);
    uint64_t keep = ~(UINT64_C(1) << who % 64);

    for (uint32_t i = 0; i < view->geo.channel_count; i++) {
        struct channel *channel = view_channel(view, i);

        /* E3: as in notify_unlisten(); one rung in vain is made up for by the
         * reaper, which wakes everybody. So is a newcomer in the entry, from whom a reaper
         * that comes late takes a bit. */
        if (shm_load(&channel->items_listeners[who / 64], E3) & ~keep)
            shm_and(&channel->items_listeners[who / 64], keep, E3);
        if (shm_load(&channel->room_listeners[who / 64], E3) & ~keep)
            shm_and(&channel->room_listeners[who / 64], keep, E3);
    }
    forget_fifo(view, entry, inc);
    /* The next process that enters erases the rest: a late reaper would make a newcomer in the
     * entry deaf for good. */
    if (MUTANT(FORGET_ALL))
        shm_put(&entry->notify, 0);
}

int notify_open(struct view *view, uint32_t eventfds)
{
    struct notifier *notifier = calloc(1, sizeof(*notifier));
    int result = 0;

    if (!notifier)
        return -ENOMEM;
    pthread_mutex_init(&notifier->mutex, NULL);
    notifier->fifo = -1;
    if (eventfds)
        result = evfd_table_open(&notifier->table, eventfds);
    if (result < 0) {
        free(notifier);
        return result;
    }
    view->notifier = notifier;
    return 0;
}

void notify_close(struct view *view)
{
    struct notifier *notifier = view->notifier;

    if (!notifier)
        return;
    evfd_table_close(&notifier->table);
    fifo_cache_close(&notifier->fifos);
    free(notifier);
    view->notifier = NULL;
}

void notify_joined(const struct peer *me)
{
    struct participant *entry = view_participant(me->view, me->who);
    bool kin = me->view->notifier && me->view->notifier->table.count > 0;

    shm_put(&entry->rung, 0);
    shm_put(&entry->notify, kin ? NOTIFY_KIN : 0);
}
