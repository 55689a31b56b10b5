/* SPDX-License-Identifier: MIT */
/* incoming.h - from the other side to a channel of this arena. */
#ifndef TR_BRIDGE_INCOMING_H
#define TR_BRIDGE_INCOMING_H

#include "bridge.h"

/* A message has come, or a piece of one; the frame is taken over. False: the other side broke
 * the rules. */
bool incoming_message(struct bridge *bridge, struct lane *lane, struct wire_in *in,
                      struct frame *frame);
bool incoming_chunk(struct bridge *bridge, struct lane *lane, struct wire_in *in,
                    struct frame *frame);

/* The key of a board whose value follows, or that has none any more. False: as above. */
bool incoming_key(struct lane *lane, struct wire_in *in);

/* Tell the other side the keys that a board has here, so that it can delete those that are gone. */
void incoming_tell_keys(struct bridge *bridge, struct lane *lane);

/* Publish what there is room for. */
void incoming_pump(struct bridge *bridge, struct lane *lane);

/* The lane ends: what has not been published will be offered again. */
void incoming_unlink(struct bridge *bridge, struct lane *lane);

#endif
