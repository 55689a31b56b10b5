/* SPDX-License-Identifier: MIT */
#include "tests/explore/doorbell_ops.h"

#include <errno.h>

#include "ipc/exchange/ring.h"
#include "ipc/kernel/os.h"
#include "ipc/liveness/participant.h"
#include "ipc/signal/notify.h"

#define CHANNELS 3

/* Private to a process, at the index of its entry; read and written by its threads. */
static struct set {
    union {
        _Atomic uint64_t whole;
        _Atomic uint32_t word;
    } members, lock; /* bit set of channels; 1 while a thread has it */
} sets[ACTORS];

struct attempt {
    struct actor *actor;
    uint32_t channel, slot;
};

static _Atomic uint32_t *items(const struct actor *me, uint32_t channel)
{
    return &queue_ring(me, channel)->channel->items;
}

void doorbell_build(const struct scenario *scenario)
{
    queue_build(scenario);
    for (uint32_t i = 0; i < world.actor_count; i++) {
        world_local(&sets[i].members.whole);
        world_local(&sets[i].lock.whole);
        if (scenario->programs[i][0].run == do_thread)
            shm_put(&view_participant(&world.view, i)->word,
                    participant_word(PARTICIPANT_FREE, 1));
    }
}

void doorbell_killed(struct actor *actor)
{
    queue_killed(actor);
    shm_put(&sets[actor->self.who].members.whole, 0);
    shm_put(&sets[actor->self.who].lock.whole, 0);
}

/* A mutex: no steps of its own. */
static struct set *lock(const struct actor *me)
{
    struct set *set = &sets[me->self.who];

    while (shm_get(&set->lock.word))
        os->futex_wait(&set->lock.word, 1, INT64_MAX);
    shm_put(&set->lock.word, 1);
    return set;
}

static void unlock(struct set *set)
{
    shm_put(&set->lock.word, 0);
    os->futex_wake(&set->lock.word, 1);
}

void do_thread(struct actor *me, const struct op *op)
{
    me->self.who = op->a;
}

void do_vanish(struct actor *me, const struct op *op)
{
    (void)op;
    me->joined = false;
}

void do_quit(struct actor *me, const struct op *op)
{
    _Atomic uint64_t *word = &view_participant(&world.view, me->self.who)->word;
    uint64_t free = participant_word(PARTICIPANT_FREE, me->self.inc);

    do_vanish(me, op);
    /* release: as E7, of the process that sweeps it. No step where it makes no difference. */
    if (world.scenario->lags)
        shm_store(word, free, memory_order_release);
    else
        shm_put(word, free);
}

void do_add(struct actor *me, const struct op *op)
{
    struct set *set = lock(me);

    shm_put(&set->members.word, shm_get(&set->members.word) | 1u << op->a);
    notify_self(&me->self);
    unlock(set);
}

void do_remove(struct actor *me, const struct op *op)
{
    struct set *set = lock(me);

    shm_put(&set->members.word, shm_get(&set->members.word) & ~(1u << op->a));
    notify_unlisten(&me->self, items(me, op->a));
    notify_self(&me->self);
    unlock(set);
}

static void listen(struct actor *me)
{
    struct set *set = lock(me);

    for (uint32_t c = 0; c < CHANNELS; c++)
        if (shm_get(&set->members.word) >> c & 1)
            notify_listen(&me->self, items(me, c));
    unlock(set);
}

static int try_any(struct attempt *attempt, bool take)
{
    struct actor *me = attempt->actor;
    struct set *set = lock(me);
    int result = -EAGAIN;

    for (uint32_t c = 0; c < CHANNELS && result == -EAGAIN; c++) {
        if (!(shm_get(&set->members.word) >> c & 1))
            continue;
        attempt->channel = c;
        if (take)
            result = ring_take(queue_ring(me, c), &me->self, &attempt->slot);
        else
            result = ring_readable(queue_ring(me, c));
    }
    unlock(set);
    return result;
}

static int try_take(void *context)
{
    return try_any(context, true);
}

static int try_look(void *context)
{
    return try_any(context, false);
}

void do_ring_take(struct actor *me, const struct op *op)
{
    struct attempt attempt = {.actor = me};
    int result;

    me->receiving = 1;
    result = listener_wait(me, (enum by)op->b, listen, try_take, &attempt);
    me->receiving = 0;
    if (result != 0)
        engine_fail("a wait without end ended");
    queue_took(me, attempt.channel, attempt.slot);
}

void do_look(struct actor *me, const struct op *op)
{
    struct attempt attempt = {.actor = me};

    if (listener_wait(me, (enum by)op->b, listen, try_look, &attempt) != 0)
        engine_fail("a wait without end ended");
}

static void listen_room(struct actor *me)
{
    notify_listen(&me->self, &queue_ring(me, me->program[me->pc].a)->channel->room);
}

static int try_put(void *context)
{
    struct attempt *attempt = context;

    return ring_put(queue_ring(attempt->actor, attempt->channel), &attempt->actor->self,
                    attempt->actor->slot - 1);
}

void do_ring_send(struct actor *me, const struct op *op)
{
    struct attempt attempt = {.actor = me, .channel = op->a};

    if (!queue_loan(me, op->b, 0))
        engine_fail("no slot for a sender");
    queue_sending(me, op->a, op->b);
    queue_sent(me, op->b,
               listener_wait(me, BY_FUTEX, listen_room, try_put, &attempt) == 0);
}

/* A listener that sleeps on the doorbell must have a reason, too. */
static const char *check_listeners(void)
{
    for (uint32_t i = 0; i < world.actor_count; i++) {
        const struct actor *actor = &world.actors[i];
        const struct op *op = &actor->program[actor->pc];

        if (actor->status != ASLEEP || (op->run != do_ring_take && op->run != do_look))
            continue;
        for (uint32_t s = 0; s < world.view.geo.slot_count; s++) {
            struct slot_record *record = view_record(&world.view, s);
            enum slot_state state = SLOT_STATE(shm_get(&record->owner));

            for (uint32_t c = 0; c < CHANNELS; c++)
                if (shm_get(&sets[actor->self.who].members.word) >> c & 1 &&
                    LOCATION_CHANNEL(location_now(record)) ==
                        queue_ring(actor, c)->index &&
                    (state == SLOT_QUEUED || state == SLOT_ORPHAN))
                    return "a listener sleeps beside a message";
        }
    }
    return NULL;
}

const char *doorbell_check(const struct scenario *scenario)
{
    const char *why = check_listeners();

    return why ? why : queue_check(scenario);
}

const char *doorbell_check_herd(const struct scenario *scenario)
{
    uint32_t sent = 0;

    for (uint32_t m = 0; m < MESSAGES; m++)
        sent += world.notes.sent[m] == 2;
    if (world.notes.rung > sent)
        return "one message woke several listeners";
    return doorbell_check(scenario);
}
