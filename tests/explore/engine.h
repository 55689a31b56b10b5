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
#include "tests/explore/kernel_model.h"
#include "tests/explore/steps.h"

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

/* Print the last failing schedule, step by step. */
void engine_explain(FILE *to, const struct scenario *scenario);

/* Die inside an operation, by no choice of the engine's. */
_Noreturn void engine_die(void);

#endif
