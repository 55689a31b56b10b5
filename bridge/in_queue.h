/* SPDX-License-Identifier: MIT */
/* in_queue.h - from the other side to a queue of this arena. */
#ifndef TR_BRIDGE_IN_QUEUE_H
#define TR_BRIDGE_IN_QUEUE_H

#include "bridge.h"

/* A message has come, or a piece of one; the frame is taken over. False: the other side broke
 * the rules. */
bool in_queue_message(struct bridge *bridge, struct lane *lane, struct wire_in *in,
                      struct frame *frame);
bool in_queue_chunk(struct bridge *bridge, struct lane *lane, struct wire_in *in,
                    struct frame *frame);

/* Publish what there is room for. */
void in_queue_pump(struct bridge *bridge, struct lane *lane);

/* The lane ends: what has not been published will be offered again. */
void in_queue_unlink(struct bridge *bridge, struct lane *lane);

#endif
