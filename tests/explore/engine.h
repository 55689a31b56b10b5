/* SPDX-License-Identifier: MIT */
/* engine.h - run the real code of ipc/ under every interleaving of its accesses to shared
 * memory, with a participant killed after any of them.
 *
 * Each participant (actor) is a coroutine that stops before each access. A run follows one
 * schedule to its end; the next one differs in its last choice that has an alternative left
 * (depth first). A state that was seen before is not explored again: the future
 * depends on shared memory, on what each actor has read so far in its operation, on which actors
 * sleep in which order, and on what the scenario has noted; all of it goes into a hash of
 * 64 bits. So the bound is the scenario: how many actors, what they do, how many are killed.
 *
 * Time stands still: a sleeper sleeps until it is woken. Actors that wait for a death, and
 * those that come last (they run when nobody else can), stand for survivors that look at the
 * end of a slice. */
#ifndef TR_TESTS_ENGINE_H
#define TR_TESTS_ENGINE_H

#include <stdio.h>

#include "ipc/hooks.h"
#include "ipc/kernel/os.h"
#include "ipc/mutant.h"
#include "ipc/view.h"
#include "tests/explore/coroutine.h"

#define ACTORS   6
#define OPS      10
#define MESSAGES 8

struct actor;

/* What an actor does, one after another; run() may be stopped before each access. */
struct op {
    void (*run)(struct actor *me, const struct op *op);
    uint32_t a, b;
};

enum actor_status { READY, ASLEEP, WATCHING, NAPPING, DONE, DEAD };

struct actor {
    struct coroutine coroutine;
    struct self self;
    const struct op *program;
    enum actor_status status;
    const char *site; /* the access it stands before */
    const void *at;
    uint64_t seen; /* hash of what it has read in this operation */
    uint32_t index, pc;
    bool joined; /* holds the lock byte of self.who */
    bool last;   /* runs when nobody else can */
    bool mortal;
    uint64_t nap; /* engine_changed() was called so often when it began to nap */
    /* The scenario's notes. */
    uint8_t hand, giving, receiving;
    uint8_t readable; /* its descriptor */
    uint32_t slot;    /* held, + 1 */
    uint64_t note;
};

/* For scenarios whose actors are in arenas of their own making. */
struct elsewhere {
    const struct os_calls *os;
    const struct hooks *hooks;
    void (*start)(void);               /* before each run */
    bool (*matters)(const void *word); /* accesses to it are steps */
    uint64_t (*hash)(uint64_t hash);   /* of what decides what comes next */
};

/* One of the schedules to be explored: a start, actors, and what must hold in the end. */
struct scenario {
    const char *name;
    uint32_t slots, channels, capacity, pins;
    uint32_t kills; /* at most */
    uint32_t max_deliveries;
    uint32_t drop;     /* bit set of channels that drop */
    uint32_t marked;   /* the first channel says that there are orphans */
    uint32_t last;     /* bit set of actors */
    uint32_t immortal; /* bit set */
    uint32_t kind;     /* of the channels; 0: queues */
    uint32_t late;     /* counters begin near their ends */
    uint32_t tickets;  /* words behind the cells of each channel */
    uint32_t unopened; /* there are entries for the channels, and no channels */
    uint32_t alike;    /* the keys of a board have one hash */
    uint32_t listen;   /* there are listeners: what they touch decides what comes next */
    uint32_t absent;   /* bit set: no participants at the start */
    uint32_t spare;    /* entries of channels that are not made yet */
    uint8_t thread_of
        [ACTORS];     /* the actor whose process it is a thread of, + 1; 0: its own */
    uint32_t lags;    /* not 0: memory is C11's, see memory.h; old values in a run */
    uint32_t no_proc; /* bit set: they have no /proc, hence the lesser lock of life.h */
    uint32_t memory;  /* pages that slots may have: an elastic arena; 0: any other */
    uint32_t warm;    /* and free ones keep */
    uint32_t first; /* how many operations the first actor does before all others begin */
    const struct elsewhere *elsewhere; /* NULL: all are in one arena, world.view */
    struct op programs[ACTORS][OPS];
    void (*build)(const struct scenario *scenario); /* after the channels are open */
    void (*killed)(struct actor *actor);
    const char *(*check)(const struct scenario *scenario); /* NULL: all is well */
};

struct outcome {
    uint64_t runs, states, steps;
    uint64_t random; /* more runs, by chance, where the bound left some out */
    uint32_t deepest;
    bool complete;
    const char *failure; /* NULL: none */
};

/* What the scenario has noted of its messages. */
struct notes {
    uint8_t sent[MESSAGES]; /* 0 not yet, 1 begun, 2 done, 3 gave up */
    uint8_t from[MESSAGES];
    uint8_t to[MESSAGES];    /* channel; 255: several */
    uint8_t taken[MESSAGES]; /* how often */
    uint8_t owed[MESSAGES];  /* a receiver died with it */
    uint8_t maybe[MESSAGES]; /* or while it gave it back */
    uint8_t cut;             /* receivers that died inside a receive */
    uint8_t rung;            /* listeners that were woken */
    uint8_t killed;
    uint8_t ended; /* told that nothing more comes: channels of queues, or subscribers */
    uint8_t device_slot; /* into which one writes, + 1 */
    uint8_t device_done; /* it no longer writes */
    uint8_t records; /* pages of records that are there, one bit each; elastic_ops.h */
    uint64_t pages;  /* and of payloads */
    uint8_t mark;    /* so high the mark of the class was seen */
};

struct world {
    struct view view;
    struct actor actors[ACTORS];
    uint32_t actor_count;
    struct notes notes;
    const struct scenario *scenario;
    struct self auditor; /* an entry of its own, for the checks of the end */
};

extern struct world world;

/* Explore @p scenario, at most @p most runs; if that was not all, half as many at random. */
void engine_explore(const struct scenario *scenario, uint64_t most,
                    struct outcome *outcome);

/* Accesses of ipc/ without an order are steps, too: others come, or a death, between them. */
extern bool engine_bare;

/* Print the last failing schedule, step by step. */
void engine_explain(FILE *to, const struct scenario *scenario);

/* Called inside an operation: the promise is broken. */
_Noreturn void engine_fail(const char *why);

/* Wait until there is something to reap. */
void engine_watch(struct actor *me);

/* Sleep until the actor's descriptor is readable; it stays so until it is cleared. */
void engine_poll(struct actor *me);

/* As an io_uring does: make the descriptor readable when @p word is woken, or is not
 * @p seen any more. One wait at a time. */
void engine_submit(struct actor *me, const _Atomic uint32_t *word, uint32_t seen);

/* For scenarios elsewhere: the running actor, NULL outside of operations. */
struct actor *engine_elsewhere(void);

/* Before a call to the model of the kernel. @p seen: others see what it does, so that it is a
 * step. One that nobody sees is a step where engine_bare says so: its effect is the same whenever
 * it is done, and a death before it leaves what a death behind it leaves. */
void engine_call(const char *name, bool seen);
/* The same for one that is done also outside of operations. */
void engine_system(const char *name);
/* Its result, which decides what comes next. Sets errno if @p result is -errno. */
long engine_answer(long result);

/* Wait for a while: until something has changed, or nobody else can go on. */
void engine_nap(void);
void engine_changed(void);

/* Die, by no choice of the engine's. */
_Noreturn void engine_die(void);

/* A local value that decides what comes next. */
void engine_note(struct actor *me, uint64_t value);

/* Let go of the lock of the entry: the actor has left. */
bool engine_something_dead(void);

/* world.c */
void world_make(const struct scenario *scenario);
void world_reset(void);
void world_watch(const void *word);       /* shared: decides what comes next */
void world_local(_Atomic uint64_t *word); /* an actor's own, 0 at the start */
uint64_t world_hash(uint64_t hash);
void world_free(void);

/* Shared, but no schedule matters to it. Participants are fewer than 64: of a word's listeners
 * only the first 64 bits are used. And where nobody listens, nobody looks at a doorbell. */
static inline bool world_constant(const void *word)
{
    const struct control *geo = &world.view.geo;
    uint64_t at = (uint64_t)((const uint8_t *)word - world.view.base);

    if (at >= geo->rings_off)
        return false;
    if (at >= geo->channels_off) {
        at = (at - geo->channels_off) % sizeof(struct channel);
        if (world.scenario->lags && !world.scenario->spare &&
            at < offsetof(struct channel, closed))
            return true;
        return (at > offsetof(struct channel, items_listeners) &&
                at < offsetof(struct channel, items_listeners) + 32) ||
               (at > offsetof(struct channel, room_listeners) &&
                at < offsetof(struct channel, room_listeners) + 32);
    }
    if (world.scenario->listen || at < geo->participants_off || at >= geo->pins_off)
        return false;
    at = (at - geo->participants_off) % sizeof(struct participant);
    return at >= offsetof(struct participant, doorbell);
}

/* The first actor of its process. */
static inline uint32_t world_process(const struct actor *actor)
{
    uint8_t of = world.scenario->thread_of[actor->index];

    return of ? of - 1u : actor->index;
}

/* Whether it is in the arena at all. */
static inline bool world_shared(const void *word)
{
    const uint8_t *at = word;

    return at >= world.view.base && at < world.view.base + world.view.geo.total_bytes;
}

static inline bool world_field(const void *word, size_t field)
{
    const struct control *geo = &world.view.geo;
    uint64_t at = (uint64_t)((const uint8_t *)word - world.view.base);

    return at >= geo->records_off &&
           (at - geo->records_off) % sizeof(struct slot_record) == field;
}

/* The identity of a participant: here its incarnation, so that reading half of it is noticed. */
static inline bool world_pid(const void *word)
{
    const struct control *geo = &world.view.geo;
    uint64_t at = (uint64_t)((const uint8_t *)word - world.view.base);

    return at >= geo->participants_off && at < geo->pins_off &&
           (at - geo->participants_off) % sizeof(struct participant) ==
               offsetof(struct participant, pid);
}

/* It stands for all that a message says: its owner alone may touch it. */
static inline bool world_contents(const void *word)
{
    return world_field(word, offsetof(struct slot_record, correlation_id));
}

/* Not contents, although it is read as such: others look at it and check afterwards. */
static inline bool world_stepped(const void *word)
{
    return world_field(word, offsetof(struct slot_record, reply_to));
}

static inline uint64_t engine_mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

#endif
