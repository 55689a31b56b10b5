/* SPDX-License-Identifier: MIT */
/* kernel_model.h - what the kernel does for actors: futex words, descriptors, locks of processes, pages. */
#ifndef TR_TESTS_KERNEL_MODEL_H
#define TR_TESTS_KERNEL_MODEL_H

#include "ipc/hooks.h"
#include "ipc/kernel/os.h"
#include "tests/explore/world.h"

extern const struct os_calls kernel_model;
extern const struct hooks kernel_hooks;

/* Nobody sleeps. */
void kernel_reset(void);

/* The actor is dead: it sleeps no more. */
void kernel_forget(const struct actor *actor);

/* Which actors sleep, and in which order. */
uint64_t kernel_hash(uint64_t hash);

/* Sleep until the actor's descriptor is readable; it stays so until it is cleared. */
void engine_poll(struct actor *me);

/* As an io_uring does: make the descriptor readable when @p word is woken, or is not
 * @p seen any more. One wait at a time. */
void engine_submit(struct actor *me, const _Atomic uint32_t *word, uint32_t seen);

/* Whether an entry is taken and no living process has its lock. */
bool engine_something_dead(void);

#endif
