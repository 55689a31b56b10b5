/* SPDX-License-Identifier: MIT */
#include "meet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kinds.h"

#define IN_WINDOW MOST_UNCONFIRMED /* what a side takes that was not told a window */

/* A channel of ours as we offer it. */
static struct hello_channel offer(const struct bridge *bridge,
                                  const struct channel *channel)
{
    uint32_t window = bridge->options->window;
    bool out = channel->direction == DIRECTION_OUT;

    return (struct hello_channel){.kind = (uint8_t)channel->kind,
                                  .direction = (uint8_t)channel->direction,
                                  .window = window ? window
                                            : out  ? 16
                                                   : IN_WINDOW,
                                  .window_bytes = bridge->options->window_bytes,
                                  .source = channel->source,
                                  .name = channel->name};
}

static struct hello about_us(const struct bridge *bridge)
{
    return (struct hello){.arena = bridge->identity,
                          .layout = bridge->layout,
                          .flags = bridge->flags,
                          .largest = bridge->largest,
                          .where = bridge->where};
}

void meet_say_hello(struct bridge *bridge)
{
    struct hello hello = about_us(bridge);

    hello.channels = calloc(bridge->count, sizeof(*hello.channels));
    hello.count = hello.channels ? bridge->count : 0;
    for (uint32_t i = 0; i < hello.count; i++)
        hello.channels[i] = offer(bridge, &bridge->channels[i]);
    wire_put_hello(&bridge->out, WIRE_HELLO, &hello);
    hello_free(&hello);
}

static struct channel *find(const struct bridge *bridge,
                            const struct hello_channel *theirs)
{
    for (uint32_t i = 0; i < bridge->count; i++)
        if (bridge->channels[i].kind == (enum channel_kind)theirs->kind &&
            strcmp(bridge->channels[i].name, theirs->name) == 0)
            return &bridge->channels[i];
    return NULL;
}

static uint32_t smaller(uint32_t one, uint32_t other)
{
    return one < other ? one : other;
}

/* Lane @p i of @p link is @p channel. False: it cannot be, and lane->why says why. */
static bool open_lane(struct bridge *bridge, struct link *link, uint32_t i,
                      struct channel *channel, const struct hello_channel *theirs)
{
    struct lane *lane = &link->lanes[i];
    struct hello_channel ours = offer(bridge, channel);
    int result = 0;

    lane->channel = channel;
    lane->window = smaller(smaller(ours.window, theirs->window), MOST_UNCONFIRMED);
    lane->window_bytes = ours.window_bytes < theirs->window_bytes ? ours.window_bytes
                                                                  : theirs->window_bytes;
    if (channel->direction == DIRECTION_IN && channel->kind == KIND_QUEUE)
        result = note_open(&lane->note, bridge->board, &theirs->source,
                           *link->key ? link->key : bridge->keys.peer);
    if (result == 0)
        result = kind_open_lane(bridge, lane);
    if (result < 0)
        say_failure(lane->why, channel->name, result);
    lane->open = result == 0 && lane->window > 0;
    return lane->open;
}

static void refuse_lane(struct bridge *bridge, struct lane *lane, struct channel *channel,
                        const char *why)
{
    if (why != lane->why)
        snprintf(lane->why, sizeof(lane->why), "%s", why);
    say("%s: %s", lane->link->where, why);
    if (channel)
        snprintf(channel->why, sizeof(channel->why), "%s", why);
    bridge->tell = true;
}

/* Whether one of the first @p count lanes of @p link is @p channel. */
static bool is_open(const struct link *link, uint32_t count,
                    const struct channel *channel)
{
    for (uint32_t i = 0; i < count; i++)
        if (link->lanes[i].channel == channel && link->lanes[i].open)
            return true;
    return false;
}

/* Listener: what becomes of the channel that the other side wants. */
static void judge(struct bridge *bridge, struct link *link, uint32_t i,
                  struct hello_channel *theirs)
{
    struct channel *channel = find(bridge, theirs);
    struct lane *lane = &link->lanes[i];
    bool out = theirs->direction == DIRECTION_OUT;
    char why[WHY_TEXT];

    *lane = (struct lane){.link = link, .number = i, .last = &lane->first};
    lane->channel = channel;
    if (!channel)
        snprintf(why, sizeof(why), "no %s '%.63s' is bridged by %s",
                 theirs->kind <= KIND_SERVICE ? kind_name(theirs->kind) : "channel",
                 theirs->name, bridge->where);
    else if (is_open(link, i, channel))
        snprintf(why, sizeof(why), "'%s' is asked for twice", theirs->name);
    else if (theirs->direction == (uint8_t)channel->direction)
        snprintf(why, sizeof(why), "'%s' %s both sides: say in: or out: on one of them",
                 theirs->name, out ? "goes out on" : "comes in on");
    else if (open_lane(bridge, link, i, channel, theirs))
        *why = 0;
    else
        snprintf(why, sizeof(why), "%s", lane->why);
    theirs->verdict = lane->open;
    if (!lane->open)
        refuse_lane(bridge, lane, channel, why);
}

static bool take_peer(struct bridge *bridge, struct link *link, const struct hello *hello,
                      char why[WHY_TEXT])
{
    if (identity_same(&hello->arena, &bridge->identity)) {
        snprintf(why, WHY_TEXT,
                 "both bridges are of the arena %s: messages would go round",
                 bridge->where);
        return false;
    }
    link->arena = hello->arena;
    link->flags = hello->flags;
    link->largest = hello->largest;
    snprintf(link->where, sizeof(link->where), "%s", hello->where);
    link->lanes = calloc(hello->count + 1, sizeof(*link->lanes));
    link->lane_count = link->lanes ? hello->count : 0;
    if (!link->lanes)
        snprintf(why, WHY_TEXT, "out of private memory");
    return link->lanes;
}

static void put_welcome(struct bridge *bridge, const struct link *link,
                        const struct hello *theirs)
{
    struct hello hello = about_us(bridge);

    hello.channels = theirs->channels;
    hello.count = theirs->count;
    for (uint32_t i = 0; i < hello.count; i++) {
        const struct lane *lane = &link->lanes[i];
        struct hello_channel mine = hello.channels[i];

        if (lane->open)
            mine = offer(bridge, lane->channel);
        mine.verdict = lane->open;
        mine.why = lane->why;
        hello.channels[i] = mine;
    }
    wire_put_hello(&bridge->out, WIRE_WELCOME, &hello);
}

bool meet_hello(struct bridge *bridge, struct link *link, struct wire_in *in,
                char why[WHY_TEXT])
{
    struct hello hello;
    bool good;

    if (!wire_get_hello(in, &hello)) {
        snprintf(why, WHY_TEXT, "the hello is garbled");
        return false;
    }
    good = take_peer(bridge, link, &hello, why);
    for (uint32_t i = 0; good && i < hello.count; i++)
        judge(bridge, link, i, &hello.channels[i]);
    if (good)
        put_welcome(bridge, link, &hello);
    hello_free(&hello);
    return good;
}

static void accept_verdict(struct bridge *bridge, struct link *link, uint32_t i,
                           const struct hello_channel *theirs)
{
    struct channel *channel = &bridge->channels[i];
    struct lane *lane = &link->lanes[i];
    char why[WHY_TEXT];

    *lane = (struct lane){.link = link, .number = i, .last = &lane->first};
    lane->channel = channel;
    if (!theirs->verdict)
        refuse_lane(bridge, lane, channel, theirs->why);
    else if (!open_lane(bridge, link, i, channel, theirs)) {
        memcpy(why, lane->why, sizeof(why));
        refuse_lane(bridge, lane, channel, why);
    } else
        *channel->why = 0;
}

bool meet_welcome(struct bridge *bridge, struct link *link, struct wire_in *in,
                  char why[WHY_TEXT])
{
    struct hello hello;
    bool good;

    if (!wire_get_hello(in, &hello)) {
        snprintf(why, WHY_TEXT, "the welcome is garbled");
        return false;
    }
    good = hello.count == bridge->count;
    if (!good)
        snprintf(why, WHY_TEXT, "the welcome is for other channels");
    good = good && take_peer(bridge, link, &hello, why);
    for (uint32_t i = 0; good && i < hello.count; i++)
        accept_verdict(bridge, link, i, &hello.channels[i]);
    hello_free(&hello);
    return good;
}
