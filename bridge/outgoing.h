/* SPDX-License-Identifier: MIT */
/* outgoing.h - from a channel of this arena to the other side. */
#ifndef TR_BRIDGE_OUTGOING_H
#define TR_BRIDGE_OUTGOING_H

#include "bridge.h"

/* Receive what there is a place in the window for, and send what there is room for. */
void outgoing_pump(struct bridge *bridge, struct channel *channel);

/* The other side has answered. False: it broke the rules. */
bool outgoing_receipt(struct lane *lane, uint64_t number);
bool outgoing_declined(struct bridge *bridge, struct lane *lane, uint64_t number,
                       const char *why);

/* The lane ends: what it had in flight waits for another one. */
void outgoing_unlink(struct lane *lane);

#endif
