/* SPDX-License-Identifier: MIT */
/* kinds.h - what is bridged in this arena, whatever its kind: where messages come from, and
 * where they go. */
#ifndef TR_BRIDGE_KINDS_H
#define TR_BRIDGE_KINDS_H

#include "bridge.h"

const char *kind_name(enum channel_kind kind);

/* Open it, as @p wanted. 0, or a TR_E code, and it has told why. */
int kind_open(struct bridge *bridge, struct channel *channel, const struct wanted *wanted,
              uint32_t index);
void kind_close(struct channel *channel);

/* In: give it to this arena; @p key is of a board. 0, TR_EAGAIN (no room now), ... */
int kind_publish(struct channel *channel, tr_message *message, const char *key);

/* What a lane needs of its channel. 0, or a TR_E code. */
int kind_open_lane(struct bridge *bridge, struct lane *lane);
void kind_close_lane(struct bridge *bridge, struct lane *lane);

/* Let the wait set tell what may go on, as far as it is not ready; and what it has told. */
void kind_watch(struct bridge *bridge);
void kind_woken(struct bridge *bridge, uint64_t token);

#endif
