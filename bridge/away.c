/* SPDX-License-Identifier: MIT */
#include "away.h"

#include <string.h>

#include "identity.h"

struct lane *away_lane(const struct link *link, const struct channel *channel)
{
    for (uint32_t i = 0; link->up && i < link->lane_count; i++)
        if (link->lanes[i].channel == channel && link->lanes[i].open)
            return &link->lanes[i];
    return NULL;
}

bool away_may_go(const struct bridge *bridge, const struct channel *channel,
                 const struct held *held, const struct link *link)
{
    return identity_none(&held->arena) || !bridge->options->listens ||
           channel->kind == KIND_SERVICE || identity_same(&held->arena, &link->arena) ||
           strcmp(held->where, link->where) == 0;
}

bool away_is(const struct bridge *bridge, const struct channel *channel,
             const struct held *held)
{
    if (!bridge->options->listens || held->state != HELD_WAITS || held->only ||
        identity_none(&held->arena))
        return false;
    for (const struct link *link = bridge->links; link; link = link->next)
        if (away_lane(link, channel) && away_may_go(bridge, channel, held, link))
            return false;
    return true;
}

uint32_t away_count(const struct bridge *bridge, const struct channel *channel,
                    uint64_t *bytes)
{
    uint32_t count = 0;

    *bytes = 0;
    for (uint32_t i = 0; i < channel->window.count; i++)
        if (away_is(bridge, channel, channel->window.held[i])) {
            count++;
            *bytes += channel->window.held[i]->bytes;
        }
    return count;
}
