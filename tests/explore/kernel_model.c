/* SPDX-License-Identifier: MIT */
#include "tests/explore/kernel_model.h"

#include <errno.h>

#include "ipc/liveness/participant.h"
#include "ipc/signal/notify.h"
#include "tests/explore/memory.h"
#include "tests/explore/page_model.h"
#include "tests/explore/steps.h"

static struct sleeper {
    struct actor *actor;
    const void *at;     /* the word it sleeps on, or its own `readable` */
    bool proxy;         /* an io_uring waits there for it */
} sleepers[2 * ACTORS]; /* the longest asleep first */
static uint32_t sleeper_count;

/* Where actors spin, the clock moves at each look: a spin is one look. */
static int64_t now(void)
{
    static int64_t ticks;

    ticks += world.scenario->spins != 0;
    return INT64_C(1000000000) + ticks;
}

static int model_wait(const _Atomic uint32_t *word, uint32_t seen, int64_t until_ns)
{
    (void)until_ns;
    if (!current.running)
        return -EAGAIN;
    /* relaxed: one thread. */
    if (atomic_load_explicit(word, memory_order_relaxed) != seen) {
        engine_note(current.running, 1);
        return -EAGAIN;
    }
    engine_note(current.running, 2);
    current.running->status = ASLEEP;
    sleepers[sleeper_count++] = (struct sleeper){.actor = current.running, .at = word};
    steps_pause();
    return 0;
}

static void wake_up(uint32_t i)
{
    sleeper_count--;
    for (; i < sleeper_count; i++)
        sleepers[i] = sleepers[i + 1];
}

/* Actors that sleep on its descriptor go on. */
static void become_readable(struct actor *actor)
{
    actor->readable = 1;
    for (uint32_t i = 0; i < sleeper_count; i++)
        if (sleepers[i].at == &actor->readable) {
            actor->status = READY;
            wake_up(i);
            break;
        }
}

void engine_poll(struct actor *me)
{
    engine_note(me, me->readable);
    if (me->readable)
        return;
    me->status = ASLEEP;
    sleepers[sleeper_count++] = (struct sleeper){.actor = me, .at = &me->readable};
    steps_pause();
}

void engine_submit(struct actor *me, const _Atomic uint32_t *word, uint32_t seen)
{
    for (uint32_t i = 0; i < sleeper_count; i++)
        if (sleepers[i].actor == me && sleepers[i].proxy)
            return;
    /* relaxed: one thread. */
    if (atomic_load_explicit(word, memory_order_relaxed) != seen)
        me->readable = 1;
    else
        sleepers[sleeper_count++] = (struct sleeper){
            .actor = me, .at = word, .proxy = true};
}

static int model_wake(_Atomic uint32_t *word, int count)
{
    int woken = 0;

    if (MUTANT(WAKE_NOBODY))
        return 0;
    for (uint32_t i = 0; i < sleeper_count && woken < count;) {
        struct sleeper sleeper = sleepers[i];

        if (sleeper.at != word) {
            i++;
            continue;
        }
        wake_up(i);
        if (sleeper.proxy) {
            become_readable(sleeper.actor);
            i = 0; /* it may have got up, too */
        } else {
            sleeper.actor->status = READY;
        }
        woken++;
    }
    if (current.running)
        engine_note(current.running, (uint64_t)woken);
    return woken;
}

/* Which living process holds the lock of entry @p i. */
static struct actor *holder(uint32_t i)
{
    for (uint32_t a = 0; a < world.actor_count; a++)
        if (world.actors[a].joined && world.actors[a].self.who == i &&
            world.actors[a].status != DEAD)
            return &world.actors[a];
    return NULL;
}

/* The kernel's lock is free after all that the dead one did. */
static void learn_from_the_dead(uint32_t who)
{
    for (uint32_t a = 0; a < world.actor_count; a++)
        if (world.actors[a].status == DEAD && world.actors[a].self.who == who)
            memory_join(current.running->index, a);
}

/* As participant_dead() does: the entry is read, then the lock is looked at, then the entry
 * must be the same still. */
static bool dead_by_lock(const struct view *view, uint32_t i, uint64_t word)
{
    struct participant *entry = view_participant(view, i);
    uint32_t pid = world.scenario->lags ? shm_get(&entry->pid) : 0;

    if (i == world.auditor.who || holder(i))
        return false;
    if (!current.running || !world.scenario->lags)
        return true;
    learn_from_the_dead(i);
    if (shm_load(&entry->word, E4_LOOK) != word)
        return false;
    if (pid != PARTICIPANT_INC(word))
        engine_fail("an entry was read half");
    return true;
}

static bool model_dead(const struct view *view, uint32_t i)
{
    uint64_t word = shm_load(&view_participant(view, i)->word, E4_LOOK);
    bool dead = PARTICIPANT_STATE(word) == PARTICIPANT_REAPING ||
                (PARTICIPANT_STATE(word) == PARTICIPANT_LIVE &&
                 dead_by_lock(view, i, word));

    if (current.running)
        engine_note(current.running, dead);
    return dead;
}

/* The device of a dead one, until it says otherwise. */
static bool model_busy(const struct view *view, uint32_t i, uint32_t inc)
{
    bool busy = !world.notes.device_done;

    (void)view, (void)i, (void)inc;
    if (current.running)
        engine_note(current.running, busy);
    return busy;
}

/* An eventfd and a FIFO keep what was written, read or not. */
static bool model_ring(const struct view *view, uint32_t i)
{
    uint32_t how = shm_get(&view_participant(view, i)->notify);

    if (!(how & (NOTIFY_EVENTFD | NOTIFY_FIFO)) || MUTANT(WAKE_NOBODY))
        return false;
    for (uint32_t a = 0; a < world.actor_count; a++)
        if (world.actors[a].self.who == i && world.actors[a].status != DEAD)
            become_readable(&world.actors[a]);
    return true;
}

/* Killed in between, it leaves what nobody has noted yet. */
static int change(uint64_t off, uint64_t bytes, bool there, const char *before,
                  const char *after)
{
    engine_system(before);
    page_change(off, bytes, there);
    engine_system(after);
    return 0;
}

static int model_reserve(const struct view *view, uint64_t off, uint64_t bytes,
                         struct shortage *shortage)
{
    (void)view, (void)shortage;
    return change(off, bytes, true, "reserve", "reserved");
}

static int model_punch(const struct view *view, uint64_t off, uint64_t bytes)
{
    (void)view;
    return change(off, bytes, false, "punch", "punched");
}

const struct os_calls kernel_model = {
    .now_ns = now,
    .futex_wait = model_wait,
    .futex_wake = model_wake,
};

const struct hooks kernel_hooks = {
    .ring = model_ring,
    .dead = model_dead,
    .busy = model_busy,
    .reserve = model_reserve,
    .punch = model_punch,
};

bool engine_something_dead(void)
{
    for (uint32_t i = 0; i < world.view.geo.participant_count; i++) {
        uint64_t word = shm_get(&view_participant(&world.view, i)->word);

        if (i != world.auditor.who && PARTICIPANT_STATE(word) != PARTICIPANT_FREE &&
            !holder(i))
            return true;
    }
    return false;
}

void kernel_reset(void)
{
    sleeper_count = 0;
}

void kernel_forget(const struct actor *actor)
{
    for (uint32_t i = 0; i < sleeper_count; i++)
        if (sleepers[i].actor == actor)
            wake_up(i--);
}

uint64_t kernel_hash(uint64_t hash)
{
    for (uint32_t i = 0; i < sleeper_count; i++)
        hash = hash_mix(hash, sleepers[i].actor->index + (uintptr_t)sleepers[i].at +
                                  sleepers[i].proxy);
    return hash;
}
