/* SPDX-License-Identifier: MIT */
#include "place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tensoring/stats.h>

enum { LEAST_KEYS = 256, DELIVERIES = 255 };

static int failed(const char *what, int result)
{
    char text[WHY_TEXT];

    say("%s", say_failure(text, what, result));
    return result;
}

static int read_arena(struct bridge *bridge)
{
    tr_arena_info info = TR_ARENA_INFO_INIT;
    tr_class_stats classes[TR_MAX_CLASSES];
    size_t count = 0;
    char host[65] = "";
    int result = tr_arena_info_get(bridge->arena, &info);

    if (result == 0)
        result = tr_stats_classes(bridge->arena, classes, sizeof(classes[0]),
                                  TR_MAX_CLASSES, &count);
    if (result < 0)
        return result;
    bridge->layout = info.layout;
    bridge->largest = 0;
    for (size_t i = 0; i < count; i++)
        if (classes[i].slot_bytes > bridge->largest)
            bridge->largest = classes[i].slot_bytes;
    bridge->flags = bridge->options->allow_pickle && info.flags & TR_ARENA_ALLOW_PICKLE
                        ? HELLO_PICKLE
                        : 0;
    gethostname(host, sizeof(host) - 1);
    snprintf(bridge->where, sizeof(bridge->where), "%.90s@%s", bridge->options->arena,
             host);
    return 0;
}

static int open_board(struct bridge *bridge)
{
    tr_board_options options = TR_BOARD_OPTIONS_INIT;
    int result;

    options.capacity = 4 * bridge->count > LEAST_KEYS ? 4 * bridge->count : LEAST_KEYS;
    result = tr_board_open(bridge->arena, OWN_BOARD, &options, &bridge->board);
    if (result == 0)
        result = identity_get(bridge->board, "arena", &bridge->identity);
    return result;
}

/* Each kill of a bridge that holds a message counts as a delivery: a queue that gives messages up
 * soon would lose them. 0, or TR_EINVAL, and it has told why. */
static int check_deliveries(const struct channel *channel)
{
    tr_queue_options options = TR_QUEUE_OPTIONS_INIT;
    int result = tr_queue_options_get(channel->queue, &options);

    if (result < 0)
        return result;
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
    char key[TR_MAX_CHANNEL_NAME + 16];
    int result;

    options.max_deliveries = DELIVERIES;
    result = tr_queue_open(bridge->arena, channel->name, &options, &channel->queue);
    if (result < 0)
        return failed(channel->name, result);
    if (channel->direction == DIRECTION_IN)
        return 0;
    result = check_deliveries(channel);
    if (result < 0)
        return result;
    snprintf(key, sizeof(key), "queue.%s", channel->name);
    result = identity_get(bridge->board, key, &channel->source);
    return result < 0 ? failed(channel->name, result) : 0;
}

static int open_channels(struct bridge *bridge)
{
    bridge->channels = calloc(bridge->options->count, sizeof(*bridge->channels));
    if (!bridge->channels)
        return failed("channels", TR_ENOMEM);
    for (uint32_t i = 0; i < bridge->count; i++) {
        const struct wanted *wanted = &bridge->options->wanted[i];
        struct channel *channel = &bridge->channels[i];
        int result;

        *channel = (struct channel){.kind = wanted->kind,
                                    .direction = wanted->direction,
                                    .name = wanted->name,
                                    .index = i,
                                    .ready = true};
        result = open_queue(bridge, channel);
        if (result < 0)
            return result;
    }
    return 0;
}

int place_open(struct bridge *bridge, int64_t timeout_ns)
{
    tr_attach_options options = TR_ATTACH_OPTIONS_INIT;
    int result;

    options.timeout_ns = timeout_ns;
    bridge->count = (uint32_t)bridge->options->count;
    result = tr_arena_attach(bridge->options->arena, &options, &bridge->arena);
    if (result == TR_ENOENT || result == TR_ETIMEDOUT || result == TR_EAGAIN ||
        result == TR_EABANDONED)
        return TR_ENOENT;
    if (result == 0)
        result = read_arena(bridge);
    if (result == 0)
        result = open_board(bridge);
    if (result == 0)
        result = tr_waitset_open(bridge->arena, &bridge->waitset);
    return result < 0 ? failed(bridge->options->arena, result) : open_channels(bridge);
}

bool place_stands(const struct bridge *bridge)
{
    tr_arena_info info = TR_ARENA_INFO_INIT;
    char path[64 + TR_MAX_ARENA_NAME];
    struct stat ours, named;

    snprintf(path, sizeof(path), "/dev/shm/tensoring.%s", bridge->options->arena);
    return tr_arena_info_get(bridge->arena, &info) == 0 && fstat(info.fd, &ours) == 0 &&
           stat(path, &named) == 0 && ours.st_ino == named.st_ino &&
           ours.st_dev == named.st_dev;
}

void place_close(struct bridge *bridge)
{
    for (uint32_t i = 0; bridge->channels && i < bridge->count; i++) {
        window_abandon(&bridge->channels[i].window);
        tr_queue_close(bridge->channels[i].queue);
    }
    free(bridge->channels);
    bridge->channels = NULL;
    tr_waitset_close(bridge->waitset);
    tr_board_close(bridge->board);
    tr_arena_close(bridge->arena);
    bridge->waitset = NULL;
    bridge->board = NULL;
    bridge->arena = NULL;
}
