/* SPDX-License-Identifier: MIT */
/* steps.h - the actor that runs: it stops before each access to shared memory and before each call
 * of the kernel's, and what it has read is noted. Operations speak to the engine by these calls. */
#ifndef TR_TESTS_STEPS_H
#define TR_TESTS_STEPS_H

#include <stdio.h>

#include "tests/explore/memory.h"
#include "tests/explore/world.h"

/* The run of a schedule. */
struct current {
    struct coroutine scheduler;
    struct actor *running; /* NULL: none */
    FILE *trace;           /* NULL: none is wanted */
    const char *failure;
    uint64_t steps;
    uint64_t changes; /* calls of engine_changed() in this run */
    uint32_t lags;    /* old values that may still be read */
};
extern struct current current;

/* Accesses of ipc/ without an order are steps, too: others come, or a death, between them. */
extern bool engine_bare;

/* How an actor chooses among old values. */
extern memory_pick *steps_pick;

void steps_pause(void);

/* The hooks of shm.h and owned.h. */
void steps_step(const char *site, const void *at, enum shm_kind kind);
bool steps_remember(const struct shm_access *shm);
void steps_not_its_own(const char *sentence);

/* Called inside an operation: the promise is broken. */
_Noreturn void engine_fail(const char *why);

/* Wait until there is something to reap. */
void engine_watch(struct actor *me);

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

/* A local value that decides what comes next. */
void engine_note(struct actor *me, uint64_t value);

#endif
