/* SPDX-License-Identifier: MIT */
#include "tests/explore/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/exchange/owned.h"
#include "ipc/kernel/os.h"
#include "ipc/liveness/participant.h"
#include "ipc/signal/notify.h"
#include "tests/explore/memory.h"
#include "tests/explore/page_model.h"
#include "tests/explore/states.h"
#include "tests/explore/weakening.h"

#define DEPTH  4096
#define KILL   8  /* option: kill actor option - KILL */
#define FINISH 31 /* option: nobody goes on */
#define LUCK   16 /* old values in a run by chance */

struct choice {
    uint8_t count, taken;
    uint8_t options[2 * ACTORS + 1];
};

struct world world;

static struct coroutine scheduler;
static struct actor *running;
static struct sleeper {
    struct actor *actor;
    const void *at;     /* the word it sleeps on, or its own `readable` */
    bool proxy;         /* an io_uring waits there for it */
} sleepers[2 * ACTORS]; /* the longest asleep first */
static uint32_t sleeper_count;
static struct choice path[DEPTH];
static uint32_t path_length, kills;
static uint32_t depth, given; /* where we are on the path, and how much of it is */
static uint32_t lags;         /* old values that may still be read */
static struct states seen_states;
static const char *failure;
static FILE *trace;
static uint64_t steps;
static uint64_t changes; /* calls of engine_changed() in this run */
static uint64_t dice;    /* 0: systematic */

bool engine_bare;

static void pause_here(void)
{
    coroutine_switch(&running->coroutine, &scheduler);
}

void engine_note(struct actor *me, uint64_t value)
{
    me->seen = hash_mix(me->seen, value);
}

static uint64_t raw(const void *at)
{
    /* relaxed: one thread. */
    return atomic_load_explicit((const _Atomic uint64_t *)((uintptr_t)at & ~(uintptr_t)7),
                                memory_order_relaxed);
}

/* What the access will find: the eight bytes around it. A record's place is read together
 * with its word. */
static void observe(struct actor *me)
{
    engine_note(me, raw(me->at));
    engine_note(me, (uintptr_t)me->at);
}

static const char *short_site(const char *site)
{
    return strrchr(site, '/') ? strrchr(site, '/') + 1 : site;
}

static const char *kind_text(enum shm_kind kind)
{
    return kind == SHM_LOAD    ? "load"
           : kind == SHM_STORE ? "store"
           : kind == SHM_RMW   ? "change"
                               : "system";
}

/* Where no schedule matters. */
static bool no_step(const void *at)
{
    const struct elsewhere *elsewhere = world.scenario->elsewhere;

    return elsewhere ? !elsewhere->matters(at) : world_constant(at);
}

static void step(const char *site, const void *at, enum shm_kind kind)
{
    struct actor *me = running;

    if (!me || no_step(at))
        return;
    me->site = site;
    me->at = at;
    steps++;
    pause_here();
    if (kind != SHM_SYSTEM && !world.scenario->lags)
        observe(me);
    else /* or two steps at one word would look like one */
        engine_note(me, (uintptr_t)site);
    if (trace && (kind == SHM_SYSTEM || !world.scenario->lags))
        fprintf(trace, "  %u %s %s %llx\n", me->index, short_site(site), kind_text(kind),
                (unsigned long long)raw(at));
}

struct actor *engine_elsewhere(void)
{
    return world.scenario && world.scenario->elsewhere ? running : NULL;
}

void engine_call(const char *name, bool seen)
{
    struct actor *me = running;
    int saved = errno; /* of the actor: they are one thread */

    me->site = name;
    me->at = name;
    engine_note(me, (uintptr_t)name);
    if (!seen && !engine_bare)
        return;
    steps++;
    pause_here();
    errno = saved;
}

void engine_system(const char *name)
{
    if (!running)
        return;
    engine_call(name, true);
    if (trace)
        fprintf(trace, "  %u %s\n", running->index, name);
}

long engine_answer(long result)
{
    engine_note(running, (uint64_t)result);
    if (trace)
        fprintf(trace, "  %u %s: %ld\n", running->index, running->site, result);
    if (result < 0)
        errno = (int)-result;
    return result < 0 ? -1 : result;
}

void engine_nap(void)
{
    running->nap = changes;
    running->status = NAPPING;
    pause_here();
}

void engine_changed(void)
{
    changes++;
}

_Noreturn void engine_fail(const char *why)
{
    failure = why;
    for (;;)
        pause_here();
}

#ifdef TR_ASSERTS
static void not_its_own(const char *sentence)
{
    if (running)
        engine_fail(sentence);
    failure = sentence; /* the auditor, at the end of a run */
}
#endif

static uint64_t roll(void)
{
    /* xorshift64 (Marsaglia 2003) */
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return dice;
}

/* A choice of the actor that runs: an old value only now and then. */
static uint32_t pick(uint32_t count)
{
    struct choice *choice = &path[depth];

    if (depth + 1 >= DEPTH)
        return 0;
    if (depth >= given) {
        choice->count = (uint8_t)count;
        choice->taken = 0;
        if (dice && roll() >> 32 & 1)
            choice->taken = (uint8_t)(roll() % count);
        path_length = depth + 1;
    }
    depth++;
    return choice->taken;
}

static void tell(const struct shm_access *shm, const struct answer *answer)
{
    fprintf(trace, "  %u %s %s %s %llx", running->index, short_site(shm->site),
            kind_text(shm->kind), *shm->edge ? shm->edge : "relaxed",
            (unsigned long long)(shm->kind == SHM_STORE ? shm->operand : answer->value));
    if (shm->kind == SHM_RMW)
        fprintf(trace, answer->swapped ? " -> %llx" : " is not as expected",
                (unsigned long long)shm->operand);
    if (answer->lagged)
        fprintf(trace, " OLD: %u of %u", answer->read + 1, answer->count);
    fprintf(trace, "\n");
}

static uint64_t next_incarnation(const void *pid)
{
    const uint8_t *entry = (const uint8_t *)pid - offsetof(struct participant, pid);

    return PARTICIPANT_INC(raw(entry + offsetof(struct participant, word))) + 1;
}

/* An access under C11's memory; or a bare one, which may be a step. */
static bool remember(const struct shm_access *shm)
{
    struct answer answer;
    struct shm_access mine = *shm;
    struct access access = {.shm = &mine, .lags = lags};
    const char *why;

    if (!running)
        return false;
    if (!world.scenario->elsewhere && (world_constant(shm->at) || !world_shared(shm->at)))
        return false;
    why = world.scenario->memory ? page_access(shm->at) : NULL;
    if (why)
        engine_fail(why);
    if (!world.scenario->lags) {
        if (world.scenario->memory && shm->bare && shm->kind == SHM_LOAD)
            engine_note(running, raw(shm->at));
        if (engine_bare && shm->bare && !strstr(shm->site, "tests/explore/"))
            step(shm->site, shm->at, shm->kind);
        return false;
    }
    if (shm->bare && world_contents(shm->at)) {
        why = memory_touch(running->index, shm->at, shm->kind == SHM_STORE);
        if (why)
            engine_fail(why);
        return false;
    }
    if (shm->bare && world_stepped(shm->at))
        step(shm->site, shm->at, shm->kind);
    if (world_pid(shm->at) && shm->kind == SHM_STORE)
        mine.operand = next_incarnation(shm->at);
    weakening_meet(shm);
    access.thread = running->index;
    access.order = weakening_order(shm);
    memory_access(&access, pick, &answer);
    lags -= answer.lagged;
    engine_note(running, answer.value);
    engine_note(running, (uintptr_t)shm->at + answer.swapped);
    if (trace)
        tell(shm, &answer);
    shm_answer = answer.value;
    shm_swapped = answer.swapped;
    return true;
}

static int64_t still_time(void)
{
    return INT64_C(1000000000);
}

static int model_wait(const _Atomic uint32_t *word, uint32_t seen, int64_t until_ns)
{
    (void)until_ns;
    if (!running)
        return -EAGAIN;
    /* relaxed: one thread. */
    if (atomic_load_explicit(word, memory_order_relaxed) != seen) {
        engine_note(running, 1);
        return -EAGAIN;
    }
    engine_note(running, 2);
    running->status = ASLEEP;
    sleepers[sleeper_count++] = (struct sleeper){.actor = running, .at = word};
    pause_here();
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
    pause_here();
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
    if (running)
        engine_note(running, (uint64_t)woken);
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
            memory_join(running->index, a);
}

/* As participant_dead() does: the entry is read, then the lock is looked at, then the entry
 * must be the same still. */
static bool dead_by_lock(const struct view *view, uint32_t i, uint64_t word)
{
    struct participant *entry = view_participant(view, i);
    uint32_t pid = world.scenario->lags ? shm_get(&entry->pid) : 0;

    if (i == world.auditor.who || holder(i))
        return false;
    if (!running || !world.scenario->lags)
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

    if (running)
        engine_note(running, dead);
    return dead;
}

/* The device of a dead one, until it says otherwise. */
static bool model_busy(const struct view *view, uint32_t i, uint32_t inc)
{
    bool busy = !world.notes.device_done;

    (void)view, (void)i, (void)inc;
    if (running)
        engine_note(running, busy);
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

static const struct os_calls model = {
    .now_ns = still_time,
    .futex_wait = model_wait,
    .futex_wake = model_wake,
};

static const struct hooks model_hooks = {
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

void engine_watch(struct actor *me)
{
    me->status = WATCHING;
    me->site = "watch";
    pause_here();
}

static void life(void)
{
    struct actor *me = running;

    for (; me->program[me->pc].run; me->pc++) {
        me->seen = hash_mix(me->pc, me->slot);
        me->program[me->pc].run(me, &me->program[me->pc]);
    }
    me->status = DONE;
    for (;;)
        pause_here();
}

static void start(const struct scenario *scenario)
{
    if (scenario->elsewhere)
        scenario->elsewhere->start();
    world_reset();
    memset(&world.notes, 0, sizeof(world.notes));
    memory_start(world.actor_count);
    lags = dice ? LUCK : scenario->lags;
    sleeper_count = 0;
    kills = 0;
    changes = 0;
    failure = NULL;
    for (uint32_t i = 0; i < world.actor_count; i++) {
        struct actor *actor = &world.actors[i];
        struct coroutine coroutine = actor->coroutine;

        *actor = (struct actor){
            .coroutine = coroutine,
            .program = scenario->programs[i],
            .index = i,
            .site = "start",
            .joined = !(scenario->absent >> i & 1),
            .last = scenario->last >> i & 1,
            .mortal = !(scenario->immortal >> i & 1),
        };
        actor->self.view = &world.view;
        actor->self.who = world_process(actor);
        actor->self.inc = 1;
        coroutine_start(&actor->coroutine, life);
    }
}

static void die_alone(struct actor *actor)
{
    if (trace)
        fprintf(trace, "  %u KILLED before %s\n", actor->index, actor->site);
    for (uint32_t i = 0; i < sleeper_count; i++)
        if (sleepers[i].actor == actor)
            wake_up(i--);
    actor->status = DEAD;
    if (world.scenario->killed)
        world.scenario->killed(actor);
}

_Noreturn void engine_die(void)
{
    die_alone(running);
    for (;;)
        pause_here();
}

/* All threads of a process. */
static void die(uint32_t process)
{
    for (uint32_t i = 0; i < world.actor_count; i++)
        if (world_process(&world.actors[i]) == process)
            die_alone(&world.actors[i]);
    kills++;
    world.notes.killed++;
}

static bool busy(uint32_t process)
{
    for (uint32_t i = 0; i < world.actor_count; i++)
        if (world_process(&world.actors[i]) == process &&
            (world.actors[i].status == READY || world.actors[i].status == ASLEEP ||
             world.actors[i].status == NAPPING))
            return true;
    return false;
}

static bool enabled(const struct actor *actor)
{
    return actor->status == READY ||
           (actor->status == WATCHING && engine_something_dead()) ||
           (actor->status == NAPPING && actor->nap != changes);
}

/* Naps are long enough for all that others do. */
static void let_nappers(struct choice *choice)
{
    for (uint32_t i = 0; i < world.actor_count && !choice->count; i++)
        if (world.actors[i].status == NAPPING)
            choice->options[choice->count++] = (uint8_t)i;
}

/* What comes before all else. False: it is over. */
static bool collect_first(struct choice *choice)
{
    const struct actor *actor = &world.actors[0];

    if (actor->pc >= world.scenario->first || actor->status != READY)
        return false;
    choice->options[choice->count++] = 0;
    return true;
}

static void collect(struct choice *choice)
{
    bool last = true;

    choice->count = 0;
    choice->taken = 0;
    if (collect_first(choice))
        return;
    for (uint32_t i = 0; i < world.actor_count; i++)
        if (enabled(&world.actors[i]) && !world.actors[i].last)
            choice->options[choice->count++] = (uint8_t)i;
    let_nappers(choice);
    last = !choice->count;
    for (uint32_t i = 0; last && i < world.actor_count; i++)
        if (enabled(&world.actors[i]))
            choice->options[choice->count++] = (uint8_t)i;
    if (!choice->count)
        choice->options[choice->count++] = FINISH;
    for (uint32_t i = 0; i < world.actor_count && kills < world.scenario->kills; i++) {
        const struct actor *actor = &world.actors[i];

        if (actor->mortal && world_process(actor) == i && busy(i))
            choice->options[choice->count++] = (uint8_t)(KILL + i);
    }
}

static uint64_t state_now(void)
{
    uint64_t hash = world_hash(kills), words[sizeof(struct notes) / 8 + 1] = {0};

    for (uint32_t i = 0; i < world.actor_count; i++) {
        struct actor *actor = &world.actors[i];

        hash = hash_mix(hash, actor->seen);
        hash = hash_mix(
            hash, (uint64_t)actor->status | (uint64_t)actor->pc << 4 |
                      (uint64_t)actor->slot << 16 | (uint64_t)actor->joined << 32 |
                      (uint64_t)actor->hand << 36 | (uint64_t)actor->giving << 42 |
                      (uint64_t)actor->receiving << 46 | (uint64_t)actor->readable << 48);
        hash = hash_mix(hash, actor->note);
        if (actor->status == NAPPING)
            hash = hash_mix(hash, actor->nap == changes);
        hash = hash_mix(hash, (uint64_t)(uintptr_t)actor->at);
        /* relaxed: one thread. */
        hash = hash_mix(
            hash, (uint64_t)atomic_load_explicit(&actor->self.last_freed[0],
                                                 memory_order_relaxed)
                          << 32 |
                      atomic_load_explicit(&actor->self.cursor[0], memory_order_relaxed));
        if (world.scenario->memory)
            hash = page_hash(hash, &actor->self);
        hash = hash_mix(
            hash, atomic_load_explicit(&actor->self.free_pin, memory_order_relaxed));
    }
    for (uint32_t i = 0; i < sleeper_count; i++)
        hash = hash_mix(hash, sleepers[i].actor->index + (uintptr_t)sleepers[i].at +
                                  sleepers[i].proxy);
    if (world.scenario->lags) {
        uint32_t living = 0;

        for (uint32_t i = 0; i < world.actor_count; i++)
            living |= (uint32_t)(world.actors[i].status < DONE) << i;
        hash = memory_hash(hash_mix(hash, lags), living);
    }
    if (world.scenario->elsewhere)
        hash = world.scenario->elsewhere->hash(hash);
    memcpy(words, &world.notes, sizeof(world.notes));
    for (size_t i = 0; i < sizeof(words) / 8; i++)
        hash = hash_mix(hash, words[i]);
    return hash;
}

/* Any of them, but a death only now and then. */
static void throw_dice(struct choice *choice)
{
    uint32_t deaths = 0;

    for (uint32_t i = 0; i < choice->count; i++)
        deaths += choice->options[i] >= KILL && choice->options[i] != FINISH;
    roll();
    if (deaths && dice >> 32 & 63)
        choice->taken = (uint8_t)(dice % (choice->count - deaths));
    else
        choice->taken = (uint8_t)(dice % choice->count);
}

/* The threads of a process share what it knows of itself. */
static void tell_threads(const struct actor *actor)
{
    for (uint32_t i = 0; i < world.actor_count; i++)
        if (i != actor->index && world_process(&world.actors[i]) == world_process(actor))
            world.actors[i].self = actor->self;
}

/* One schedule: the first @p known choices of the path, then the first option each time, or
 * what the dice say. */
static void run(const struct scenario *scenario, uint32_t known)
{
    depth = 0;
    given = known;
    start(scenario);
    for (;;) {
        struct choice *choice = &path[depth];
        const char *why;
        uint8_t option;

        if (depth >= given) {
            collect(choice);
            path_length = depth;
            if (dice)
                throw_dice(choice);
            else if (choice->count > 1 && !states_add(&seen_states, state_now()))
                return;
            path_length = depth + 1;
        }
        option = choice->options[choice->taken];
        depth++;
        if (option == FINISH) {
            why = scenario->check(scenario);
            failure = failure ? failure : why;
            return;
        }
        if (option >= KILL) {
            die(option - KILL);
        } else {
            running = &world.actors[option];
            running->status = READY;
            coroutine_switch(&scheduler, &running->coroutine);
            tell_threads(running);
            running = NULL;
        }
        if (!failure && depth + 1 >= DEPTH)
            failure = "no end: somebody goes round in circles";
        if (failure)
            return;
    }
}

/* The next path. False: that was the last. */
static bool advance_path(uint32_t *known)
{
    while (path_length > 0) {
        struct choice *choice = &path[path_length - 1];

        if (choice->taken + 1 < choice->count) {
            choice->taken++;
            *known = path_length;
            return true;
        }
        path_length--;
    }
    return false;
}

void engine_explore(const struct scenario *scenario, uint64_t most,
                    struct outcome *outcome)
{
    static uint8_t stacks[ACTORS][COROUTINE_STACK] __attribute__((aligned(64)));
    uint32_t known = 0;

    memset(outcome, 0, sizeof(*outcome));
    world.scenario = scenario;
    world.actor_count = 0;
    while (world.actor_count < ACTORS && scenario->programs[world.actor_count][0].run) {
        world.actors[world.actor_count].coroutine.stack = stacks[world.actor_count];
        world.actor_count++;
    }
    running = NULL;
    os = scenario->elsewhere ? scenario->elsewhere->os : &model;
    hooks = scenario->elsewhere ? scenario->elsewhere->hooks : &model_hooks;
    shm_step_hook = step;
#ifdef TR_ASSERTS
    owned_hook = not_its_own;
#endif

    shm_memory_hook = remember;
    world_make(scenario);
    path_length = 0;
    steps = 0;
    memset(path, 0, sizeof(path));
    do {
        run(scenario, known);
        outcome->runs++;
        if (path_length > outcome->deepest)
            outcome->deepest = path_length;
        outcome->failure = failure;
    } while (!failure && outcome->runs < most && advance_path(&known));
    outcome->complete = path_length == 0;
    /* What a bound left out: not the ends of the schedules alone, but all of them. */
    dice = outcome->complete || failure ? 0 : 88172645463325252;
    while (dice && outcome->random < most / 2 && !failure) {
        run(scenario, 0);
        outcome->random++;
        outcome->failure = failure;
    }
    dice = 0;
    outcome->states = seen_states.count;
    outcome->steps = steps;
    states_forget(&seen_states);
    if (!failure)
        world_free();
}

void engine_explain(FILE *to, const struct scenario *scenario)
{
    trace = to;
    run(scenario, path_length);
    trace = NULL;
    states_forget(&seen_states);
    world_free();
}
