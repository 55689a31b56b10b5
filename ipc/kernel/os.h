/* SPDX-License-Identifier: MIT */
/* os.h - what the protocol asks of the kernel, behind a table that tests replace: so "wake
 * exactly at the timeout" and "EINTR storm" need no luck. */
#ifndef TR_IPC_OS_H
#define TR_IPC_OS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define OS_WORDS 16

struct os_word {
    const _Atomic uint32_t *at;
    uint32_t seen;
};

struct os_calls {
    /* CLOCK_MONOTONIC of the initial time namespace; all times here are: see timens.h. */
    int64_t (*now_ns)(void);
    /* Sleep while *word == seen, until the absolute time. 0, -EAGAIN (another value),
     * -EINTR, -ETIMEDOUT. Shared, not private: the waker is another process. */
    int (*futex_wait)(const _Atomic uint32_t *word, uint32_t seen, int64_t until_ns);
    /* The same for several words: which one woke it, or one of the codes above; -ENOSYS if
     * the kernel can't. At most OS_WORDS. */
    int (*futex_waitv)(const struct os_word *words, uint32_t count, int64_t until_ns);
    /* Wake at most @p count; how many woke. */
    int (*futex_wake)(_Atomic uint32_t *word, int count);
    /* Processors that a process (0: the calling thread) may use, folded into 64 bits: bit n
     * stands for n, n + 64, ... All of them if the kernel won't say. */
    uint64_t (*processors)(uint32_t pid);
    /* Threads that run or want to, on the whole machine; 0: not known. */
    unsigned long (*runnable)(void);
};

/* The clock as it was at the last tick, at most 10 ms ago: a fraction of the price. */
int64_t os_lately_ns(void);

extern const struct os_calls os_kernel; /* the real ones */
extern const struct os_calls *os;       /* in use; changed by tests alone */

#endif
