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

#include "ipc/mutant.h"
#include "tests/explore/world.h"

struct outcome {
    uint64_t runs, states, steps;
    uint64_t random; /* more runs, by chance, where the bound left some out */
    uint32_t deepest;
    bool complete;
    const char *failure; /* NULL: none */
};

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

#endif
