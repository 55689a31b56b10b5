/* SPDX-License-Identifier: MIT */
/* arena.h - a handle: a view of the arena, and this process as a participant of it. */
#ifndef TR_SRC_ARENA_H
#define TR_SRC_ARENA_H

#include <tensoring/arena.h>

#include "ipc/liveness/monitor.h"
#include "ipc/view.h"
#include "src/base/handle.h"

/* On a page that a forked child sees as 0. */
struct here {
    _Atomic uint32_t joined; /* local: enum joined */
    _Atomic uint32_t joiner; /* local: the thread that joins, 0: none does */
    _Atomic uint64_t holder; /* local: holder_of() the participant; 0: none */
};

/* JOINED_LOST: others took this process for dead, and what it held. */
enum joined { NOT_JOINED, JOINED, JOINED_LOST = SELF_LOST };

struct tr_arena {
    struct handle handle;
    struct view view;
    struct self self;
    struct here *here;
    struct message_table *table; /* of handles, touched when first used */
    struct message *messages;    /* of it: one a slot, then one a pin */
    _Atomic uint32_t calls;      /* local: calls since the last check for the dead */
    struct inbox *_Atomic inbox; /* local: of its requests, NULL until the first */
    int huge_error;
    char name[TR_MAX_ARENA_NAME + 1]; /* "" if anonymous */
};

static inline struct tr_arena *arena_known(const tr_arena *given)
{
    return handle_known(given);
}

/* Which participant it is. */
static inline uint64_t holder_of(const struct self *me)
{
    return (uint64_t)me->who << 32 | me->inc;
}

/* A forked child becomes a participant. Elsewhere: say why not. */
int arena_join(struct tr_arena *arena);

/* First thing in every call that uses the arena: 0, or why it can't be used here. */
static inline int arena_enter(struct tr_arena *arena)
{
    /* acquire: who and inc were written by the thread that joined. */
    if (__builtin_expect(
            atomic_load_explicit(&arena->here->joined, memory_order_acquire) == JOINED,
            1))
        return 0;
    return arena_join(arena);
}

/* What a user gave, for @p step: into *@p out, which is NULL if it is invalid. 0, or why. */
static inline int arena_open(const tr_arena *given, const char *step,
                             struct tr_arena **out)
{
    *out = arena_known(given);
    return __builtin_expect(*out != NULL, 1) ? arena_enter(*out)
                                             : handle_fail(given, step, "arena");
}

/* Not in a child that has not used it yet or was taken for dead. */
static inline bool arena_is_joined(const struct tr_arena *arena)
{
    /* acquire: pairs with arena_join(). */
    return atomic_load_explicit(&arena->here->joined, memory_order_acquire) == JOINED;
}

/* Called now and then, at the beginning of a call: end here if the thread was cancelled, find out
 * whether others took us for dead, and look for the dead. */
void arena_check_liveness_now(struct tr_arena *arena);

/* On the data path: a busy process looks for the dead now and then, too. */
static inline void arena_check_liveness(struct tr_arena *arena)
{
    /* relaxed: losing a count is no harm. */
    uint32_t n = atomic_load_explicit(&arena->calls, memory_order_relaxed) + 1;

    atomic_store_explicit(&arena->calls, n, memory_order_relaxed);
    if (__builtin_expect((n & 255) == 0, 0))
        arena_check_liveness_now(arena);
}

/* Bytes that have memory by now. */
uint64_t arena_resident(const struct tr_arena *arena);

/* "; 8 queued, 0 shared, participant 3 (pid 4711, stopped) holds 12": which processes have the
 * slots of class @p c, with their @p states or without. Appended to the error detail. */
void arena_explain_holders(struct tr_arena *arena, uint32_t c, bool states);

/* The same for the memory of an elastic arena. */
void arena_explain_memory(struct tr_arena *arena, bool states);

#endif
