/* SPDX-License-Identifier: MIT */
/* out_queue.h - from a queue of this arena to the other side. */
#ifndef TR_BRIDGE_OUT_QUEUE_H
#define TR_BRIDGE_OUT_QUEUE_H

#include "bridge.h"

/* Receive what there is a place in the window for, and send what there is room for. */
void out_queue_pump(struct bridge *bridge, struct channel *channel);

/* The other side has answered. False: it broke the rules. */
bool out_queue_receipt(struct bridge *bridge, struct lane *lane, uint64_t number);
bool out_queue_declined(struct bridge *bridge, struct lane *lane, uint64_t number,
                        const char *why);

/* The lane ends: what it had in flight waits for another one. */
void out_queue_unlink(struct lane *lane);

#endif
