/* SPDX-License-Identifier: MIT */
/* timens.h - one clock for all that share an arena: CLOCK_MONOTONIC of the initial time namespace.
 *
 * In another time namespace (unshare --time, a restored container) the clocks of a process are
 * shifted. Times in shared memory are those of the initial one: os.h adds and takes away the
 * shift where it asks the kernel. */
#ifndef TR_IPC_TIMENS_H
#define TR_IPC_TIMENS_H

#include <stdint.h>

/* Find out how this process's clocks are shifted: when it joins an arena, since a forked child
 * may be in another time namespace than its parent. */
void timens_settle(void);

/* What CLOCK_MONOTONIC says here beyond the initial namespace's, in ns. */
int64_t timens_shift_ns(void);

/* The same of CLOCK_BOOTTIME, in which /proc/PID/stat counts. */
int64_t timens_boot_shift_ns(void);

/* A time of the user's clock (CLOCK_MONOTONIC here) from one of the arena's, and the other way;
 * 0 stays 0. */
int64_t timens_here(int64_t shared_ns);
int64_t timens_shared(int64_t here_ns);

#endif
