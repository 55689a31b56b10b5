/* SPDX-License-Identifier: MIT */
#include "kinds.h"

#include <stdio.h>
#include <stdlib.h>

#include "service.h"

enum { DELIVERIES = 255 };

const char *kind_name(enum channel_kind kind)
{
    static const char *const names[] = {"", "queue", "broadcast", "board", "service"};

    return names[kind];
}

static int failed(const struct channel *channel, int result)
{
    char what[WHY_TEXT], text[WHY_TEXT];

    snprintf(what, sizeof(what), "%s '%s'", kind_name(channel->kind), channel->name);
    say("%s", say_failure(text, what, result));
    return result;
}

/* Each kill of a bridge that holds a message counts as a delivery: a queue that gives messages up
 * soon would lose them. 0, or TR_EINVAL, and it has told why. */
static int check_deliveries(const struct channel *channel)
{
    tr_queue_options options = TR_QUEUE_OPTIONS_INIT;
    int result = tr_queue_options_get(channel->queue, &options);

    if (result < 0)
        return failed(channel, result);
    if (options.policy == TR_QUEUE_REDELIVER && options.max_deliveries == DELIVERIES)
        return 0;
    say("queue '%s' gives a message up %s, and each kill of a bridge counts: make it "
        "with "
        "max_deliveries=%d, or let the bridge make it",
        channel->name,
        options.policy == TR_QUEUE_REDELIVER ? "after a few deliveries"
                                             : "when its receiver dies",
        DELIVERIES);
    return TR_EINVAL;
}

static int open_queue(struct bridge *bridge, struct channel *channel)
{
    tr_queue_options options = TR_QUEUE_OPTIONS_INIT;
    int result;

    options.max_deliveries = DELIVERIES;
    result = tr_queue_open(bridge->arena, channel->name, &options, &channel->queue);
    if (result < 0)
        return failed(channel, result);
    return channel->kind == KIND_QUEUE && channel->direction == DIRECTION_OUT
               ? check_deliveries(channel)
               : 0;
}

static int open_broadcast(struct bridge *bridge, struct channel *channel)
{
    int result = tr_broadcast_open(bridge->arena, channel->name, NULL,
                                   &channel->broadcast);

    return result < 0 ? failed(channel, result) : 0;
}

static int open_board(struct bridge *bridge, struct channel *channel)
{
    int result = tr_board_open(bridge->arena, channel->name, NULL, &channel->board);

    return result < 0 ? failed(channel, result) : 0;
}

static int open_it(struct bridge *bridge, struct channel *channel)
{
    switch (channel->kind) {
    case KIND_BROADCAST:
        return open_broadcast(bridge, channel);
    case KIND_BOARD:
        return open_board(bridge, channel);
    default:
        return open_queue(bridge, channel);
    }
}

int kind_open(struct bridge *bridge, struct channel *channel, const struct wanted *wanted,
              uint32_t index)
{
    *channel = (struct channel){.kind = wanted->kind,
                                .direction = wanted->direction,
                                .name = wanted->name,
                                .index = index,
                                .retries = wanted->retries,
                                .ready = true};
    if (channel->direction == DIRECTION_OUT)
        channel->source = identity_make(bridge->nonce, kind_name(channel->kind),
                                        channel->name);
    return open_it(bridge, channel);
}

void kind_close(struct channel *channel)
{
    window_abandon(&channel->window);
    tr_broadcast_close(channel->broadcast);
    tr_board_close(channel->board);
    tr_queue_close(channel->queue);
}

int kind_publish(struct channel *channel, tr_message *message, const char *key)
{
    switch (channel->kind) {
    case KIND_BROADCAST:
        return tr_broadcast_publish(channel->broadcast, message, TR_NOWAIT);
    case KIND_BOARD:
        return tr_board_put(channel->board, key, message, NULL);
    default:
        return tr_queue_send(channel->queue, message, TR_NOWAIT);
    }
}

/* A queue is in the wait set while it is not ready. */
static void watch_queue(struct bridge *bridge, struct channel *channel)
{
    uint32_t want = channel->direction == DIRECTION_OUT ? TR_WAIT_READABLE
                                                        : TR_WAIT_WRITABLE;
    bool wanted = !channel->ready;

    if (wanted == channel->watched)
        return;
    if (!wanted && tr_waitset_remove(bridge->waitset, channel->index) < 0)
        return;
    if (wanted &&
        tr_waitset_add_queue(bridge->waitset, channel->queue, want, channel->index) < 0) {
        channel->ready = true;
        return;
    }
    channel->watched = wanted;
}

/* Above the numbers of channels: 2^20 keys for each lane. */
static uint64_t token_of(const struct lane *lane)
{
    return (uint64_t)(lane->id + 1) << 24;
}

static void watch_lane(struct bridge *bridge, struct lane *lane)
{
    bool wanted = lane->subscription && !lane->ready;

    if (lane->channel->kind == KIND_BOARD)
        mirror_watch(&lane->mirror, lane->channel->board, bridge->waitset,
                     token_of(lane));
    if (wanted == lane->watched)
        return;
    if (!wanted && tr_waitset_remove(bridge->waitset, token_of(lane)) < 0)
        return;
    if (wanted && tr_waitset_add_subscription(bridge->waitset, lane->subscription,
                                              token_of(lane)) < 0) {
        lane->ready = true;
        return;
    }
    lane->watched = wanted;
}

void kind_watch(struct bridge *bridge)
{
    for (uint32_t i = 0; i < bridge->count; i++)
        if (bridge->channels[i].queue)
            watch_queue(bridge, &bridge->channels[i]);
    for (struct link *link = bridge->links; link; link = link->next)
        for (uint32_t i = 0; link->up && i < link->lane_count; i++)
            if (link->lanes[i].open && !link->lanes[i].channel->queue &&
                link->lanes[i].channel->direction == DIRECTION_OUT)
                watch_lane(bridge, &link->lanes[i]);
}

void kind_woken(struct bridge *bridge, uint64_t token)
{
    uint64_t id = (token >> 24) - 1, key = token & 0xffffff;

    if (token == SERVICE_TOKEN) {
        bridge->answers = true;
        return;
    }
    if (token < bridge->count) {
        bridge->channels[token].ready = true;
        return;
    }
    for (struct link *link = bridge->links; link; link = link->next)
        for (uint32_t i = 0; i < link->lane_count; i++) {
            struct lane *lane = &link->lanes[i];

            if (!lane->open || lane->id != id)
                continue;
            if (lane->subscription)
                lane->ready = true;
            else if (key < lane->mirror.count)
                mirror_woken(&lane->mirror, (uint32_t)key);
        }
}

int kind_open_lane(struct bridge *bridge, struct lane *lane)
{
    lane->id = bridge->lanes_made++;
    lane->ready = true;
    if (lane->channel->direction == DIRECTION_IN || lane->channel->kind != KIND_BROADCAST)
        return 0;
    /* The oldest messages are dropped while the bridge is behind. */
    return tr_subscription_open(lane->channel->broadcast, NULL, &lane->subscription);
}

void kind_close_lane(struct bridge *bridge, struct lane *lane)
{
    if (lane->watched && tr_waitset_remove(bridge->waitset, token_of(lane)) == 0)
        lane->watched = false;
    mirror_close(&lane->mirror, bridge->waitset, token_of(lane));
    tr_subscription_close(lane->subscription);
    lane->subscription = NULL;
    free(lane->key);
    lane->key = NULL;
}
