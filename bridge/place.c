/* SPDX-License-Identifier: MIT */
#include "place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tensoring/request.h>
#include <tensoring/stats.h>

#include "kinds.h"
#include "service.h"

enum { LEAST_KEYS = 256, USUAL_KEYS = 1024 };

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
    struct stat file;
    int result = tr_arena_info_get(bridge->arena, &info);

    if (result == 0)
        result = tr_stats_classes(bridge->arena, classes, sizeof(classes[0]),
                                  TR_MAX_CLASSES, &count);
    if (result < 0)
        return result;
    if (fstat(info.fd, &file) < 0)
        return TR_EIO;
    bridge->device = file.st_dev;
    bridge->inode = file.st_ino;
    bridge->participant = info.self;
    bridge->layout = info.layout;
    bridge->nonce = info.nonce;
    bridge->identity = identity_make(info.nonce, "", "");
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

static int open_board_of(struct bridge *bridge, uint32_t keys)
{
    tr_board_options options = TR_BOARD_OPTIONS_INIT;

    options.capacity = keys;
    return tr_board_open(bridge->arena, OWN_BOARD, &options, &bridge->board);
}

/* The board as another bridge has made it. 0, or a TR_E code. */
static int take_board(struct bridge *bridge, uint32_t least)
{
    int result = open_board_of(bridge, 0);

    if (result < 0 || tr_board_capacity(bridge->board) >= least)
        return result;
    say("the board '" OWN_BOARD
        "' of arena '%s' has %u keys, %u channels need %u: make the "
        "arena again, and start the bridge that has the most channels first",
        bridge->options->arena, tr_board_capacity(bridge->board), bridge->count, least);
    return TR_ENOSPC;
}

static int open_board(struct bridge *bridge)
{
    uint32_t least = 4 * bridge->count > LEAST_KEYS ? 4 * bridge->count : LEAST_KEYS;
    int result = open_board_of(bridge, least > USUAL_KEYS ? least : USUAL_KEYS);

    if (result == TR_ENOSPC)
        result = open_board_of(bridge, least);
    if (result == TR_EINVAL)
        result = take_board(bridge, 4 * bridge->count);
    return result;
}

static int open_channels(struct bridge *bridge)
{
    int result = 0;

    bridge->channels = calloc(bridge->options->count, sizeof(*bridge->channels));
    if (!bridge->channels)
        return failed("channels", TR_ENOMEM);
    for (uint32_t i = 0; i < bridge->count && result == 0; i++)
        result = kind_open(bridge, &bridge->channels[i], &bridge->options->wanted[i], i);
    return result;
}

/* Whether requests of the other side are asked here. */
static bool serves(const struct options *options)
{
    for (size_t i = 0; i < options->count; i++)
        if (options->wanted[i].kind == KIND_SERVICE &&
            options->wanted[i].direction == DIRECTION_IN)
            return true;
    return false;
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
    if (result == 0 && serves(bridge->options))
        result = tr_waitset_add_replies(bridge->waitset, SERVICE_TOKEN);
    return result < 0 ? failed(bridge->options->arena, result) : open_channels(bridge);
}

bool place_stands(const struct bridge *bridge)
{
    char path[64 + TR_MAX_ARENA_NAME];
    struct stat named;

    snprintf(path, sizeof(path), "/dev/shm/tensoring.%s", bridge->options->arena);
    return stat(path, &named) == 0 && named.st_dev == bridge->device &&
           named.st_ino == bridge->inode;
}

void place_close(struct bridge *bridge)
{
    for (uint32_t i = 0; bridge->channels && i < bridge->count; i++)
        kind_close(&bridge->channels[i]);
    free(bridge->channels);
    bridge->channels = NULL;
    tr_waitset_close(bridge->waitset);
    tr_board_close(bridge->board);
    tr_arena_close(bridge->arena);
    bridge->waitset = NULL;
    bridge->board = NULL;
    bridge->arena = NULL;
}
