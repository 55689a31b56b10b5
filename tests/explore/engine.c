/* SPDX-License-Identifier: MIT */
#include "tests/explore/engine.h"

#include <stdlib.h>
#include <string.h>

#include "ipc/exchange/owned.h"
#include "tests/explore/memory.h"
#include "tests/explore/page_model.h"
#include "tests/explore/states.h"

#define DEPTH  4096
#define KILL   8  /* option: kill actor option - KILL */
#define FINISH 31 /* option: nobody goes on */
#define LUCK   16 /* old values in a run by chance */

struct choice {
    uint8_t count, taken;
    uint8_t options[2 * ACTORS + 1];
};

static struct choice path[DEPTH];
static uint32_t path_length, kills;
static uint32_t depth, given; /* where we are on the path, and how much of it is */
static struct states seen_states;
static uint64_t dice; /* 0: systematic */

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

static void life(void)
{
    struct actor *me = current.running;

    for (; me->program[me->pc].run; me->pc++) {
        me->seen = hash_mix(me->pc, me->slot);
        me->program[me->pc].run(me, &me->program[me->pc]);
    }
    me->status = DONE;
    for (;;)
        steps_pause();
}

static void start(const struct scenario *scenario)
{
    if (scenario->elsewhere)
        scenario->elsewhere->start();
    world_reset();
    memset(&world.notes, 0, sizeof(world.notes));
    memory_start(world.actor_count);
    current.lags = dice ? LUCK : scenario->lags;
    kernel_reset();
    kills = 0;
    current.changes = 0;
    current.failure = NULL;
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
        actor->self.spin_ns = scenario->spins >> i & 1;
        coroutine_start(&actor->coroutine, life);
    }
}

static void die_alone(struct actor *actor)
{
    if (current.trace)
        fprintf(current.trace, "  %u KILLED before %s\n", actor->index, actor->site);
    kernel_forget(actor);
    actor->status = DEAD;
    if (world.scenario->killed)
        world.scenario->killed(actor);
}

_Noreturn void engine_die(void)
{
    die_alone(current.running);
    for (;;)
        steps_pause();
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
           (actor->status == NAPPING && actor->nap != current.changes);
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
            hash = hash_mix(hash, actor->nap == current.changes);
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
    hash = kernel_hash(hash);
    if (world.scenario->lags) {
        uint32_t living = 0;

        for (uint32_t i = 0; i < world.actor_count; i++)
            living |= (uint32_t)(world.actors[i].status < DONE) << i;
        hash = memory_hash(hash_mix(hash, current.lags), living);
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
            current.failure = current.failure ? current.failure : why;
            return;
        }
        if (option >= KILL) {
            die(option - KILL);
        } else {
            current.running = &world.actors[option];
            current.running->status = READY;
            coroutine_switch(&current.scheduler, &current.running->coroutine);
            tell_threads(current.running);
            current.running = NULL;
        }
        if (!current.failure && depth + 1 >= DEPTH)
            current.failure = "no end: somebody goes round in circles";
        if (current.failure)
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
    current.running = NULL;
    os = scenario->elsewhere ? scenario->elsewhere->os : &kernel_model;
    hooks = scenario->elsewhere ? scenario->elsewhere->hooks : &kernel_hooks;
    shm_step_hook = steps_step;
#ifdef TR_ASSERTS
    owned_hook = steps_not_its_own;
#endif

    shm_memory_hook = steps_remember;
    steps_pick = pick;
    world_make(scenario);
    path_length = 0;
    current.steps = 0;
    memset(path, 0, sizeof(path));
    do {
        run(scenario, known);
        outcome->runs++;
        if (path_length > outcome->deepest)
            outcome->deepest = path_length;
        outcome->failure = current.failure;
    } while (!current.failure && outcome->runs < most && advance_path(&known));
    outcome->complete = path_length == 0;
    /* What a bound left out: not the ends of the schedules alone, but all of them. */
    dice = outcome->complete || current.failure ? 0 : 88172645463325252;
    while (dice && outcome->random < most / 2 && !current.failure) {
        run(scenario, 0);
        outcome->random++;
        outcome->failure = current.failure;
    }
    dice = 0;
    outcome->states = seen_states.count;
    outcome->steps = current.steps;
    states_forget(&seen_states);
    if (!current.failure)
        world_free();
}

void engine_explain(FILE *to, const struct scenario *scenario)
{
    current.trace = to;
    run(scenario, path_length);
    current.trace = NULL;
    states_forget(&seen_states);
    world_free();
}
