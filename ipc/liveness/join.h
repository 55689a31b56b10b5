/* SPDX-License-Identifier: MIT */
/* join.h - become a participant: take the lock of a free entry, fill it, and be counted, as
 * participant.h says. */
#ifndef TR_IPC_JOIN_H
#define TR_IPC_JOIN_H

#include "ipc/view.h"

/* Fills who, inc and life of @p me, whose view is set. 0; -EUSERS: all entries are taken; -EBUSY:
 * all are, or change hands; -ESTALE: the arena is closed; -errno. */
int participant_join(struct self *me);

#endif
