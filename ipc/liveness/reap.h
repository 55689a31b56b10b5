/* SPDX-License-Identifier: MIT */
/* reap.h - take over what the dead held. One function, which may be interrupted by death
 * itself: the entry stays REAPING until a whole sweep is done, and the next starts over.
 *
 *  LOANED(dead)                        -> FREE
 *  QUEUED(dead), a cell names it       stays: it is published
 *  QUEUED(dead), no cell names it      -> ORPHAN of the channel: the send is finished; or, if
 *                                      the channel is sealed, back to where it came from
 *  RECEIVED(dead)                      -> ORPHAN, one delivery more; or FREE, by the policy
 *  PUTTING(dead), no cell names it     back to where it came from
 *  PUTTING(dead), SHARED, RETIRED      cells and the pins of others decide: see shared.h
 *  ORPHAN                              is announced: the reaper that made it may be dead
 *  QUEUED, ORPHAN in a dead inbox      -> FREE
 *  LOANED, RECEIVED, and marked        stays while the device of the dead one may write: the
 *                                      entry is DRAINING then, and swept again (device.h)
 *  pins of the dead                    are erased
 *  places in broadcasts, channels      are free; are for others to make
 *  that it was making
 *  all that sleep on anything          are woken, once: the dead may have owed it
 *
 * A process that was taken for dead and lives may go on for some calls before it finds out. The
 * words of what it takes then name its incarnation, which no reaper sweeps any more: it gives
 * that back itself when it leaves.
 */
#ifndef TR_IPC_REAP_H
#define TR_IPC_REAP_H

#include "ipc/view.h"

struct reap_report {
    uint32_t dead, freed, redelivered, dropped;
};

/* Look at every entry and sweep those that are dead. 0, -EBADMSG. */
int reap_all(struct self *me, struct reap_report *report);

/* Sweep what @p me holds itself, and free its entry, if it has it still: the last step of
 * leaving. */
void reap_self(struct self *me);

#endif
