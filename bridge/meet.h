/* SPDX-License-Identifier: MIT */
/* meet.h - what is agreed when two bridges meet: which channels go over the link, and how much. */
#ifndef TR_BRIDGE_MEET_H
#define TR_BRIDGE_MEET_H

#include "bridge.h"

/* Connector: our hello, in bridge->out. */
void meet_say_hello(struct bridge *bridge);

/* Listener: read a hello; our welcome is in bridge->out. False: there can be no link, and why. */
bool meet_hello(struct bridge *bridge, struct link *link, struct wire_in *in,
                char why[WHY_TEXT]);

/* Connector: read the welcome. False: there can be no link, and why. */
bool meet_welcome(struct bridge *bridge, struct link *link, struct wire_in *in,
                  char why[WHY_TEXT]);

#endif
