/* SPDX-License-Identifier: MIT */
/* speak.h - say something: to the other side of a link, and to people. */
#ifndef TR_BRIDGE_SPEAK_H
#define TR_BRIDGE_SPEAK_H

#include "bridge.h"

/* Send the frame in bridge->out. False: there is no room now, or the link is lost. */
bool speak(struct bridge *bridge, struct link *link);

/* Remember why @p channel does not go on, and say it once. */
void speak_of(struct bridge *bridge, struct channel *channel, const char *why);

#endif
