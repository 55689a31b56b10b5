/* SPDX-License-Identifier: MIT */
/* spin.h - whether, and for how long, to try again and again before going to sleep.
 *
 * Spinning pays when what we wait for comes within about the cost of a sleep and a wake-up,
 * and when the thread that brings it does not need our processor. So
 *  - a spin is limited to about twice what a sleep and a wake-up take: as in the ski-rental
 *    argument, a wrong guess costs at most twice what the right one would have;
 *  - waits teach the next ones. After a spin in vain the next wait sleeps at once, after
 *    another one the next three, and so on up to 255; one that was interrupted (the clock
 *    jumped) counts for several. A spin that was not in vain ends that,
 *    and so do four sleeps in a row that a spin would have saved (after an idle time the waits
 *    are short again). If the next spin is in vain nevertheless (the thread that brings it needs
 *    our processor), it takes 8 such sleeps, then 16, and so on up to 256;
 *  - nobody spins, or asks how busy the machine is, after 100 ms in which nothing came;
 *  - nobody spins while more threads of the machine are runnable than it has processors, or
 *    where the participants may use less than two processors between them, by affinity or
 *    by the quota of their cgroup. */
#ifndef TR_IPC_SPIN_H
#define TR_IPC_SPIN_H

#include "ipc/attempt.h"
#include "ipc/view.h"

/* How long this wait may spin, in ns; 0 not at all. */
int64_t spin_budget(struct self *me, int64_t now_ns);

/* A wait that did not spin, or span in vain, got what it waited for after so long. */
void spin_slept(struct self *me, int64_t slept_ns);

/* Try until done, or until the time is over; then -EAGAIN. A spin of more than 100 us (a fixed
 * spin_ns) looks for the dead every 20 ms, and for signals every ms: -EINTR, if the participant
 * wants it. @p idle may be NULL. @p now_ns is the time before, and after the last that was looked
 * at: a call that is done should not have to look. */
int spin(struct self *me, wait_try *attempt, wait_idle *idle, void *context,
         int64_t *now_ns, int64_t until_ns);

#endif
