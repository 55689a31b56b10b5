/* SPDX-License-Identifier: MIT */
/* gather.h - what the arena has for the other side, into the window. */
#ifndef TR_BRIDGE_GATHER_H
#define TR_BRIDGE_GATHER_H

#include "bridge.h"

/* Receive what there is a place in the window for. */
void gather(struct bridge *bridge, struct channel *channel);

/* What the window got last is for this lane alone. */
struct held *gather_bind(struct lane *lane);

#endif
