/* SPDX-License-Identifier: MIT */
/* place.h - the arena of this host, and what the bridge has opened in it. */
#ifndef TR_BRIDGE_PLACE_H
#define TR_BRIDGE_PLACE_H

#include "bridge.h"

/* Attach, and open board, queues and wait set. @p timeout_ns: how long to wait for an arena of
 * that name. 0, or a TR_E code; it has told why, unless there is no such arena. */
int place_open(struct bridge *bridge, int64_t timeout_ns);

/* Whether the name still stands for the arena that is open. */
bool place_stands(const struct bridge *bridge);

/* Leave the arena. What was received and not confirmed goes to others. */
void place_close(struct bridge *bridge);

#endif
