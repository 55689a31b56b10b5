/* SPDX-License-Identifier: MIT */
#include "speak.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

bool speak(struct bridge *bridge, struct link *link)
{
    int result = bridge->out.failed
                     ? -EAGAIN
                     : bridge->calls->send(bridge->engine, link->number,
                                           bridge->out.bytes, bridge->out.used, NULL);

    /* A link that is lost is found by the next ping: not here, where others use it. */
    if (result < 0)
        link->blocked = true;
    return result == 0;
}

void speak_of(struct bridge *bridge, struct channel *channel, const char *why)
{
    if (strcmp(channel->why, why) == 0)
        return;
    snprintf(channel->why, sizeof(channel->why), "%s", why);
    say("%s", why);
    bridge->tell = true;
}
