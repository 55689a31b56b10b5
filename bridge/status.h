/* SPDX-License-Identifier: MIT */
/* status.h - what a bridge does, on a board of its arena, for `tensoring bridge status`. */
#ifndef TR_BRIDGE_STATUS_H
#define TR_BRIDGE_STATUS_H

#include "bridge.h"

#define STATUS_NS \
    INT64_C(1000000000) /* how often it is written, while something happens */
#define STATUS_IDLE_NS INT64_C(3000000000) /* and while nothing does */
#define STATUS_PACE_NS INT64_C(20000000)   /* and not more often, whatever happens */
#define STATUS_STALE_S 5 /* without news for that long, status doubts them */

/* When it is due next. */
int64_t status_next_ns(const struct bridge *bridge);

/* Whether to write it now. */
bool status_is_due(const struct bridge *bridge, int64_t now);

/* Write it. Without a free slot the old one stays, and it is tried again. */
void status_put(struct bridge *bridge);

/* Take it away: the bridge ends. */
void status_remove(struct bridge *bridge);

/* `tensoring bridge status`: the exit status. */
int status_main(int argc, char **argv);

#endif
