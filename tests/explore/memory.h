/* SPDX-License-Identifier: MIT */
/* memory.h - shared words as C11 sees them: not one value each, but all that were stored.
 *
 * Each word has the list of its stores in modification order; each actor a *view*: for each word
 * the oldest store that it may still read. A load reads any store from there on. A release store
 * carries the view of its actor, an acquire load that reads it (or the read-modify-writes that go
 * on from it) joins that view to its own. A read-modify-write stands right behind the store that
 * it read. A store goes to the end of the list, or before stores that its actor has not seen.
 * Bounded: an actor can make only `lags` loads of old values and stores into the past, in one
 * run.
 *
 * seq_cst: acquire and release, and one order of all of them, S, that includes
 * happens-before, modification order and from-reads (a load before the stores behind the one
 * that it read), as C11 with what C++20 made of it. Only what S must contain is kept: for
 * each store and actor the seq_cst stores that come before it in S; a load or store that
 * would close a circle can't be chosen. So nothing is decided earlier than it must be.
 *
 * Contents (what the payload stands for) are not atomic in the model, though they are in the
 * code: two accesses, one of them a write, that happens-before does not order are a race.
 *
 * Left out: values out of thin air and loads that see stores which come later in a cycle of
 * program order and reads-from (load buffering): what is read was written before. */
#ifndef TR_TESTS_MEMORY_H
#define TR_TESTS_MEMORY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "ipc/shm.h"

#define WORDS 192 /* at most, contents too */

/* For each word an index into its list. */
struct snapshot {
    uint8_t at[WORDS];
};

struct access {
    uint32_t thread;
    uint32_t lags; /* how many old values it may still choose */
    const struct shm_access *shm;
    memory_order order; /* perhaps weaker than that of the source */
};

struct answer {
    uint64_t value;
    bool swapped;
    bool lagged;                 /* an old value, or a store into the past */
    uint32_t read, wrote, count; /* where in the list, which is now so long */
    const char *broken;          /* NULL: it's sound */
};

/* Which of @p count possibilities: 0 is the newest. */
typedef uint32_t memory_pick(uint32_t count);

/* The model broken on purpose, one way at a time: a litmus test must notice each. */
#define FLAWS(X)                                                             \
    X(NEWEST, "a load reads the newest store only")                          \
    X(AT_END, "a store goes to the end only")                                \
    X(BACK, "a load may read what its actor has seen replaced")              \
    X(PAST, "a store may go before one that its actor has seen")             \
    X(UNREAD, "what was read is not remembered")                             \
    X(ACQUIRE, "an acquire load learns nothing")                             \
    X(RELEASE, "a release store tells nothing")                              \
    X(RELAXED, "a relaxed store tells what a release store tells")           \
    X(CHAIN, "a read-modify-write ends a release sequence")                  \
    X(CHAIN_ON, "a store goes on with a release sequence")                   \
    X(GAP, "a store may come between a change and what that read")           \
    X(FAILED, "a compare-and-swap that fails acquires")                      \
    X(S_LOADS, "seq_cst loads are not in S")                                 \
    X(S_STORES, "seq_cst stores are not in S")                               \
    X(S_HAPPENS, "S does not contain happens-before")                        \
    X(S_READERS, "S does not put a load before the stores that replace it")  \
    X(S_LATER, "S does not put what comes in between before what was there") \
    X(S_PASSES, "S is not transitive")                                       \
    X(LOOKS, "looks at contents do not race")                                \
    X(FILLS, "writes of contents do not race with looks")                    \
    X(DEATH, "nothing is learned from the dead")

enum flaw {
    FLAW_NONE,
#define FLAW_NAME(name, what) FLAW_##name,
    FLAWS(FLAW_NAME)
#undef FLAW_NAME
        FLAW_COUNT
};
extern enum flaw memory_flaw;

void memory_start(uint32_t threads);
void memory_access(const struct access *access, memory_pick *pick, struct answer *answer);

/* What is not atomic. NULL, or what is wrong. */
const char *memory_touch(uint32_t thread, const void *at, bool write);

/* All that @p from did happened before what @p to does next. */
void memory_join(uint32_t to, uint32_t from);

/* What can still matter to the actors of @p living, a set of bits. */
uint64_t memory_hash(uint64_t hash, uint32_t living);

#endif
