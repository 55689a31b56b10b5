/* SPDX-License-Identifier: MIT */
#include "ipc/signal/notify.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "ipc/hooks.h"
#include "ipc/kernel/os.h"
#include "ipc/kernel/uncancel.h"
#include "ipc/mutant.h"
#include "ipc/order.h"
#include "ipc/signal/listeners.h"
#include "ipc/signal/notifier.h"

bool notify_can(const struct view *view, const _Atomic uint32_t *word)
{
    return listeners_number(view, word) != LISTENERS_NONE;
}

uint64_t notify_hint_of(const struct view *view, const _Atomic uint32_t *word)
{
    return UINT64_C(1) << listeners_number(view, word) % 64;
}

uint32_t notify_arm(const struct self *me, uint32_t flags)
{
    /* E3: before we listen and look. */
    return shm_or(&view_participant(me->view, me->who)->doorbell, flags, E3) | flags;
}

bool notify_armed(const struct self *me, uint32_t flags)
{
    /* E3: the waker that disarms it rings it; seen here, the ring is on its way. */
    return (shm_load(&view_participant(me->view, me->who)->doorbell, E3) & flags) ==
           flags;
}

void notify_listen(const struct self *me, _Atomic uint32_t *word)
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
    while (!shm_cas(word, &seen, (seen + WAKE_COUNT) | WAKE_POLLED,
                    E3)) /* E3: flag, then look */
        ;
    if (MUTANT(FLAG_FIRST))
        shm_or(set, bit, E3); /* E3: too late */
}

bool notify_listens(const struct self *me, _Atomic uint32_t *word)
{
    /* E3: as in notify_listen(). */
    return shm_load(&listeners_of(word)[me->who / 64], E3) >> me->who % 64 & 1;
}

void notify_unlisten(const struct self *me, _Atomic uint32_t *word)
{
    uint64_t bit = UINT64_C(1) << me->who % 64;

    /* E3: either a waker found the bit, or it goes on to the next. A bit that is still set does
     * not prove that we owe nothing: we may have been rung, listened again, and seen what
     * we leave to others now. */
    if (!(shm_and(&listeners_of(word)[me->who / 64], ~bit, E3) & bit) ||
        !MUTANT(UNLISTEN_KEEPS))
        wake_one(me->view, word);
}

void notify_leave(const struct self *me, _Atomic uint32_t *word)
{
    /* E3: before the look: a waker that changes something later does not find the bit. */
    shm_and(&listeners_of(word)[me->who / 64], ~(UINT64_C(1) << me->who % 64), E3);
}

uint64_t notify_hints(const struct self *me)
{
    _Atomic uint64_t *rung = &view_participant(me->view, me->who)->rung;

    /* relaxed: a hint. */
    if (shm_load(rung, memory_order_relaxed) == 0)
        return 0;
    return shm_exchange(rung, 0, memory_order_relaxed);
}

/* Uses the cache, unless it is in use: by another thread, or by what a signal has interrupted. */
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
        rung = eventfds_ring(notifier->table.fds[i]);
    if (how & NOTIFY_FIFO)
        rung |= ring_fifo(view, i);
    uncancel_end(cancel);
    return rung;
}

void notify_self(const struct self *me)
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

static void forget_listener(_Atomic uint64_t listeners[], uint32_t who)
{
    uint64_t bit = UINT64_C(1) << who % 64;

    /* E3: as in notify_unlisten(); the reaper, which wakes everybody, makes up for a ring to
     * a dead one, and for a newcomer whose bit a late reaper takes. */
    if (shm_load(&listeners[who / 64], E3) & bit)
        shm_and(&listeners[who / 64], ~bit, E3);
}

void notify_forget(const struct view *view, uint32_t who, uint32_t inc)
{
    struct participant *entry = view_participant(view, who);

    for (uint32_t i = 0; i < view->geo.channel_count; i++) {
        forget_listener(view_channel(view, i)->items_listeners, who);
        forget_listener(view_channel(view, i)->room_listeners, who);
    }
    for (uint32_t c = 0; c < view->geo.class_count && !MUTANT(LOANS_KEPT); c++)
        forget_listener(view_live(view)->classes[c].freed_listeners, who);
    forget_listener(view_live(view)->memory_listeners, who);
    forget_fifo(view, entry, inc);
    /* The next process that enters erases the rest: a late reaper would make a newcomer in the
     * entry deaf forever. */
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
        result = eventfds_table_open(&notifier->table, eventfds);
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
    eventfds_table_close(&notifier->table);
    fifo_cache_close(&notifier->fifos);
    free(notifier);
    view->notifier = NULL;
}

void notify_joined(const struct self *me)
{
    struct participant *entry = view_participant(me->view, me->who);
    bool kin = me->view->notifier && me->view->notifier->table.count > 0;

    shm_put(&entry->rung, 0);
    shm_put(&entry->notify, kin ? NOTIFY_KIN : 0);
}
