/* SPDX-License-Identifier: MIT */
/* monitor.h - which process checks for dead participants, and how often: a death is noticed within
 * 20 ms, and processes that wait for long cost almost nothing. The clock sets the pace; the
 * kernel's answer decides (reap.h).
 *
 *  passing by    a process that is woken, has just begun to wait, runs out of slots, or calls
 *                often: if nobody has checked for 20 ms
 *  the primary   one of the sleepers: every 20 ms; after a long sleep, every 100 ms
 *  the backup    checks the primary: every 60 ms, then every 250 ms
 *  the others    check that somebody does: every 250 ms, later every 2 s, all at the same tick
 *
 * If the primary is late (it was stopped, or went to work), the next process whose slice ends
 * takes its place. */
#ifndef TR_IPC_MONITOR_H
#define TR_IPC_MONITOR_H

#include "ipc/view.h"

/* The first slice of a sleep, which most sleeps do not outlast. */
#define MONITOR_FIRST_NS INT64_C(20000000)

/* The first slice of a sleep after so many in which nothing came. */
int64_t monitor_first_ns(uint32_t idle_slices);

/* Check, if nobody has checked lately: for calls that take time anyway. */
void monitor_pass(struct self *me);

/* The @p idle_slices-th slice of a sleep is over, in which nothing came: how long the next may
 * be; no less than @p least_ns, for a process that is told of deaths by pidfds_fd(). */
int64_t monitor_tick(struct self *me, uint32_t idle_slices, int64_t least_ns);

/* Whether our entry is still ours. Where it is not, others took this process for dead: the
 * handle is told (self.standing becomes SELF_LOST), nothing that it held is touched any
 * more. */
bool monitor_stands(struct self *me);

/* The caller no longer sleeps. */
void monitor_leave(struct self *me);

/* A pidfd of pidfds.h is readable: check now. Whether that was done. */
bool monitor_alarm(struct self *me);

#endif
