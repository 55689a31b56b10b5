/* SPDX-License-Identifier: MIT */
/* coroutine.h - a stack of its own for each participant, so that the explorer can stop real
 * code before any of its accesses to shared memory. */
#ifndef TR_TESTS_COROUTINE_H
#define TR_TESTS_COROUTINE_H

#include <stdint.h>

#if !defined(__x86_64__) && !defined(__aarch64__)
#include <ucontext.h>
#endif

#define COROUTINE_STACK 65536

struct coroutine {
    void *sp;
    uint8_t *stack; /* COROUTINE_STACK bytes, or NULL: the thread's own */
#if !defined(__x86_64__) && !defined(__aarch64__)
    ucontext_t context;
#endif
};

/* Prepare @p c to run @p body, which never returns, from its beginning. May be called again
 * at any time: what ran there before is forgotten. */
void coroutine_start(struct coroutine *c, void (*body)(void));

/* Leave @p from, go on with @p to. */
void coroutine_switch(struct coroutine *from, struct coroutine *to);

#endif
