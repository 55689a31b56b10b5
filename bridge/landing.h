/* SPDX-License-Identifier: MIT */
/* landing.h - data that an engine writes where it shall lie: into the slot of its message.
 *
 * While it does, the slot is not given back, whatever becomes of the message and of its link: in
 * a slot that was given back, it would write over the message of somebody else. */
#ifndef TR_BRIDGE_LANDING_H
#define TR_BRIDGE_LANDING_H

#include "bridge.h"

struct wire_in;

/* A place for @p bytes of the chunk that @p in tells of. False: there is no slot for it yet, or
 * the chunk is not the next one. */
bool landing_place(struct lane *lane, struct wire_in *in, size_t bytes,
                   struct landing *landing);

/* Nobody waits for @p arrival any more: free it with its slot, now or after the last landing. */
void landing_leave(struct arrival *arrival);

#endif
