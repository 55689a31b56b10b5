/* SPDX-License-Identifier: MIT */
#include "gather.h"

#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include <tensoring/request.h>

#include "away.h"
#include "speak.h"
#include "step.h"

static bool has_lane(const struct bridge *bridge, const struct channel *channel)
{
    for (const struct link *link = bridge->links; link; link = link->next)
        if (away_lane(link, channel))
            return true;
    return false;
}

/* A request must have its answer: a queue over a bridge has none. */
static bool refuse_request(struct bridge *bridge, struct channel *channel,
                           tr_message *message)
{
    char why[WHY_TEXT];

    if (!tr_message_is_request(message))
        return false;
    snprintf(why, sizeof(why),
             "the queue '%s' is bridged as a queue, which carries no answers back",
             channel->name);
    if (tr_request_fail(message, TR_ENOTSUP, why) < 0)
        tr_message_release(message);
    speak_of(bridge, channel, why);
    return true;
}

/* A message that nobody waits for an answer to is none for a service. */
static bool refuse_plain(struct bridge *bridge, struct channel *channel,
                         tr_message *message)
{
    char why[WHY_TEXT];

    if (tr_message_is_request(message))
        return false;
    snprintf(why, sizeof(why),
             "'%s' is bridged as a service: a message that is no request was given up",
             channel->name);
    tr_message_release(message);
    speak_of(bridge, channel, why);
    return true;
}

/* Keep what was received. Without the memory for that this process ends, so that nothing is lost:
 * the arena gives all that it holds to the next bridge. */
static void keep(struct channel *channel, tr_message *message)
{
    if (step_memory() && window_add(&channel->window, message))
        return;
    say("out of memory at '%s': this bridge ends, the next one gets what it holds",
        channel->name);
    _exit(EX_OSERR);
}

/* Nothing was received, and why. True: the next call may receive something. */
static bool goes_on(struct bridge *bridge, struct channel *channel, bool *ready,
                    int result)
{
    char text[WHY_TEXT];

    if (result == TR_ELAGGED)
        return true;
    if (result == TR_EAGAIN || result == TR_ECLOSED) {
        *ready = false;
        return false;
    }
    speak_of(bridge, channel, say_failure(text, channel->name, result));
    /* A corrupted one was freed; the channel goes on. */
    return result == TR_ECHECKSUM || result == TR_ECORRUPT;
}

static bool receive_one(struct bridge *bridge, struct channel *channel)
{
    tr_message *message;
    int result = tr_queue_receive(channel->queue, TR_NOWAIT, &message);

    if (result < 0)
        return goes_on(bridge, channel, &channel->ready, result);
    step("received");
    if (!(channel->kind == KIND_SERVICE ? refuse_plain(bridge, channel, message)
                                        : refuse_request(bridge, channel, message)))
        keep(channel, message);
    return true;
}

static uint32_t most(const struct bridge *bridge)
{
    return bridge->options->window ? bridge->options->window : 16;
}

/* What the queue has, as far as the window goes; messages for arenas that are away do not count in
 * that. Without a link it stays where it is. */
static void fill_queue(struct bridge *bridge, struct channel *channel)
{
    const struct window *window = &channel->window;
    uint64_t bytes;
    uint32_t away;

    if (!has_lane(bridge, channel))
        return;
    away = away_count(bridge, channel, &bytes);
    while (
        channel->ready && window->count - away < most(bridge) &&
        window->count < MOST_UNCONFIRMED &&
        (window->count == away || window->bytes - bytes < bridge->options->window_bytes))
        if (!receive_one(bridge, channel))
            return;
}

struct held *gather_bind(struct lane *lane)
{
    struct window *window = &lane->channel->window;
    struct held *held = window->held[window->count - 1];

    held->only = lane;
    lane->bound++;
    return held;
}

static bool subscribe_one(struct bridge *bridge, struct lane *lane)
{
    tr_message *message;
    int result = tr_subscription_receive(lane->subscription, TR_NOWAIT, &message);
    struct held *held;

    if (result < 0)
        return goes_on(bridge, lane->channel, &lane->ready, result);
    keep(lane->channel, message);
    held = gather_bind(lane);
    if (lane->last_sequence && held->header.sequence > lane->last_sequence)
        lane->channel->counts.missed += held->header.sequence - lane->last_sequence;
    lane->last_sequence = held->header.sequence + 1;
    return true;
}

/* The newest value of key @p i, or that it has none, if that is news. 0, or a TR_E code. */
static int mirror_one(struct bridge *bridge, struct lane *lane, uint32_t i)
{
    struct channel *channel = lane->channel;
    tr_message *message;
    struct held *held;
    char text[WHY_TEXT];
    int result = mirror_next(&lane->mirror, i, channel->board, &message);

    if (result < 0 && result != TR_EAGAIN && result != TR_EPINS)
        speak_of(bridge, channel, say_failure(text, channel->name, result));
    if (result < 0)
        return result;
    if (message) {
        keep(channel, message);
    } else if (!window_add_blank(&channel->window)) {
        mirror_drop(&lane->mirror, i);
        return TR_ENOMEM;
    }
    held = gather_bind(lane);
    held->key = lane->mirror.keys[i].key;
    held->key_index = i;
    held->header.sequence = ++channel->numbers; /* versions are of one key */
    return 0;
}

/* All keys in turn, as far as the window goes, and the views that a process may hold. */
static void fill_from_board(struct bridge *bridge, struct lane *lane)
{
    struct mirror *mirror = &lane->mirror;
    int result = 0;

    mirror_look(mirror, lane->channel->board, now_ns());
    for (uint32_t i = 0;
         i < mirror->count && lane->bound < most(bridge) && result != TR_EPINS; i++) {
        result = mirror_one(bridge, lane, mirror_turn(mirror));
    }
}

static void fill_lane(struct bridge *bridge, struct lane *lane)
{
    if (lane->channel->kind == KIND_BROADCAST) {
        while (lane->ready && lane->bound < most(bridge) && subscribe_one(bridge, lane))
            ;
        return;
    }
    fill_from_board(bridge, lane);
}

void gather(struct bridge *bridge, struct channel *channel)
{
    if (bridge->stops ||
        (channel->kind == KIND_SERVICE && channel->direction == DIRECTION_IN))
        return;
    if (channel->queue) {
        fill_queue(bridge, channel);
        return;
    }
    for (struct link *link = bridge->links; link; link = link->next) {
        struct lane *lane = away_lane(link, channel);

        if (lane)
            fill_lane(bridge, lane);
    }
}
