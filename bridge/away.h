/* SPDX-License-Identifier: MIT */
/* away.h - to which arena a message may go. A listener that gives a queue out to several knows by
 * that what must wait for one that has no link now. */
#ifndef TR_BRIDGE_AWAY_H
#define TR_BRIDGE_AWAY_H

#include "bridge.h"

/* The lane of @p channel on @p link; NULL: it has none that is open. */
struct lane *away_lane(const struct link *link, const struct channel *channel);

/* What was sent to one arena is not sent to another, where it may be a second time; unless that
 * is the same place, and its arena was made again. Requests that may not run twice have failed. */
bool away_may_go(const struct bridge *bridge, const struct channel *channel,
                 const struct held *held, const struct link *link);

/* Whether it was sent to an arena that has no link now: nothing waits for it. */
bool away_is(const struct bridge *bridge, const struct channel *channel,
             const struct held *held);

/* How many of the window are so. @p bytes: of all these. */
uint32_t away_count(const struct bridge *bridge, const struct channel *channel,
                    uint64_t *bytes);

#endif
