/* SPDX-License-Identifier: MIT */
/* clock.h - sums of times. A span may be as long as a caller likes: a sum that would overflow
 * ends at INT64_MAX, which is never. */
#ifndef TR_IPC_CLOCK_H
#define TR_IPC_CLOCK_H

#include <stdint.h>

#define CLOCK_NEVER INT64_MAX

/* @p span_ns after @p at_ns. */
static inline int64_t clock_after(int64_t at_ns, int64_t span_ns)
{
    int64_t sum;

    if (__builtin_add_overflow(at_ns, span_ns, &sum))
        return span_ns > 0 ? CLOCK_NEVER : INT64_MIN;
    return sum;
}

/* When a call that began at @p now_ns has to end; never, for a negative timeout. */
static inline int64_t clock_deadline(int64_t now_ns, int64_t timeout_ns)
{
    return timeout_ns < 0 ? CLOCK_NEVER : clock_after(now_ns, timeout_ns);
}

#endif
