/* SPDX-License-Identifier: MIT */
/* reap.h - take over what the dead held. One function, which may be interrupted by death
 * itself: the entry stays REAPING until a whole sweep is done, and the next starts over.
 *
 *  LOANED(dead)                        -> FREE
 *  QUEUED(dead), a cell names it       stays: it is published
 *  QUEUED(dead), no cell names it      -> ORPHAN of the channel: the send is finished
 *  RECEIVED(dead)                      -> ORPHAN, one delivery more; or FREE, by the policy
 *  PUTTING(dead), SHARED, RETIRED      cells and the pins of others decide: see shared.h
 *  pins of the dead                    are erased
 *  everybody who sleeps on anything    is woken, once: the dead may have owed it
 */
#ifndef TR_IPC_REAP_H
#define TR_IPC_REAP_H

#include "ipc/view.h"

struct reap_report {
    uint32_t dead, freed, redelivered, dropped;
};

/* Look at every entry and sweep those that are dead. 0, -EBADMSG. */
int reap_all(struct peer *me, struct reap_report *report);

/* Sweep what @p me holds itself, and free its entry: the last step of leaving. */
void reap_self(struct peer *me);

/* Called where time passes anyway: look for the dead if nobody did in the last 20 ms, and
 * see that our own lock is still ours. */
void reap_watch(struct peer *me);

/* The first slice of a sleep, which most sleeps do not outlast: who watches is settled when
 * it is over. */
#define REAP_FIRST_NS INT64_C(20000000)

/* The same for who comes by at a pace of its own: if nobody did in the last 240 ms. Whether
 * it was done. */
bool reap_watch_seldom(struct peer *me);

/* How long the caller may sleep before it should call reap_watch() again: 20 ms for one
 * process of those that wait, 250 ms for the others; 1 s for them while that one is seen to
 * watch and they have slept through @p naps slices, more than a few. */
int64_t reap_slice_ns(struct peer *me, uint32_t naps);

/* The caller sleeps no longer: let another one take the short slices. */
void reap_unwatch(struct peer *me);

#endif
