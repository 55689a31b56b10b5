/* SPDX-License-Identifier: MIT */
/* world.h - the small arena that a scenario plays in, its actors, and what has been noted of them. */
#ifndef TR_TESTS_WORLD_H
#define TR_TESTS_WORLD_H

#include "ipc/hooks.h"
#include "ipc/kernel/os.h"
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
    uint32_t spins;    /* bit set: before they sleep they spin for one look */
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

/* Elastic worlds have two classes. The first has one slot less than the records in a page, so
 * that the marks of the second are 1 and then more. */
#define ELASTIC_OTHERS 7
#define ELASTIC_CLASS  1
#define ELASTIC_STRIDE 2 /* pages that a slot may have */

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
    if (at < geo->participants_off && at >= ARENA_PAGE + offsetof(struct live, classes)) {
        at = (at - ARENA_PAGE - offsetof(struct live, classes)) %
             sizeof(struct class_words);
        return at > offsetof(struct class_words, freed_listeners) &&
               at < offsetof(struct class_words, freed_listeners) + 32;
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

static inline uint64_t hash_mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

#endif
