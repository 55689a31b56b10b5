/* SPDX-License-Identifier: MIT */
/* link.h - a connection to another bridge, from the first word to the last. */
#ifndef TR_BRIDGE_LINK_H
#define TR_BRIDGE_LINK_H

#include "bridge.h"

/* What has happened in the engine, as long as there is something. */
void link_events(struct bridge *bridge);

/* An engine_place() of a bridge: a chunk may lie in its slot. */
bool link_place(void *owner, uint64_t number, const void *head, size_t head_bytes,
                size_t bytes, struct landing *landing);

/* Connector: begin to connect, now or after a pause. */
void link_connect(struct bridge *bridge);

/* What is due by now: pings, a new try, a welcome that did not come. */
void link_due(struct bridge *bridge, int64_t now);

/* When link_due() has something to do next. */
int64_t link_next_ns(const struct bridge *bridge);

/* The link is of no use any more, and why: what it has in flight waits for another one. */
void link_lose(struct bridge *bridge, struct link *link, const char *why);

/* Say goodbye on all links, and forget them. */
void link_leave(struct bridge *bridge, const char *why);

/* The allow list has changed: links of keys that are not on it go down. */
void link_check_keys(struct bridge *bridge);

#endif
