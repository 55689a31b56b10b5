/* SPDX-License-Identifier: MIT */
/* lookout.h - how often a process looks for the dead, so that they are found soon and many
 * that wait for long cost little. Paced by the clock, decided by the kernel's word
 * (reap.h).
 *
 *  passing by    one that is woken, has just begun to wait, runs out of slots, or calls
 *                often: if nobody has looked for 20 ms
 *  the watcher   of those asleep: every 20 ms; when it has slept for long, every 100 ms
 *  the deputy    every 60 ms, then every 250 ms, at the watcher
 *  the others    every 250 ms, later every 2 s, all at the same tick, whether anybody does
 *
 * Where the watcher has not come when it said it would (it was stopped, or went to work), the
 * next whose slice ends takes its place. */
#ifndef TR_IPC_LOOKOUT_H
#define TR_IPC_LOOKOUT_H

#include "ipc/view.h"

/* The first slice of a sleep, which most sleeps do not outlast. */
#define LOOKOUT_FIRST_NS INT64_C(20000000)

/* Where time passes anyway: look if nobody did of late. */
void lookout_pass(struct peer *me);

/* The @p naps-th slice of a sleep is over, in which nothing came: how long the next may be; no
 * less than @p least_ns, for a process that is told of deaths by watch_fd(). */
int64_t lookout_tick(struct peer *me, uint32_t naps, int64_t least_ns);

/* Whether our entry is still ours. Where it is not, others took this process for dead: the
 * handle is told (peer.standing becomes PEER_LOST), nothing that it held is touched any
 * more. */
bool lookout_stands(struct peer *me);

/* The caller sleeps no longer. */
void lookout_leave(struct peer *me);

/* A pidfd of watch.h is readable: look now. Whether that settled it. */
bool lookout_alarm(struct peer *me);

#endif
