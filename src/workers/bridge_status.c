/* SPDX-License-Identifier: MIT */
/* bridge_status.c - what a bridge says of itself: a JSON text, on a board of its arena, that names
 * the process that keeps it. A quote in a string has a backslash before it, so the names of the
 * members are found as they stand. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tensoring/arena.h>
#include <tensoring/board.h>
#include <tensoring/stats.h>

#include "src/base/error.h"
#include "src/base/process.h"
#include "src/workers/bridge.h"

#define BOARD  "tensoring.bridge"
#define PREFIX "status."
#define TEXT   8192 /* what comes before the channels is shorter */

/* The value of a member, or "". */
static const char *value_of(const char *text, const char *name)
{
    char wanted[48];
    const char *found;

    snprintf(wanted, sizeof(wanted), "\"%s\":", name);
    found = strstr(text, wanted);
    return found ? found + strlen(wanted) : "";
}

static uint64_t number_of(const char *text, const char *name)
{
    double value = strtod(value_of(text, name), NULL);

    return value > 0 && value < 1e18 ? (uint64_t)value : 0;
}

/* A string, without its quotes and backslashes. */
static void text_of(const char *text, const char *name, char *out, size_t capacity)
{
    const char *at = value_of(text, name);
    size_t used = 0;

    if (*at++ != '"')
        return;
    for (; *at && *at != '"' && used + 1 < capacity; at++) {
        if (*at == '\\' && at[1])
            at++;
        out[used++] = *at;
    }
    out[used] = 0;
}

static void read_text(const char *text, tr_bridge_status *status)
{
    status->pid = (int32_t)number_of(text, "pid");
    status->connected = strncmp(value_of(text, "link"), "\"up\"", 4) == 0;
    status->link_ns = (int64_t)(strtod(value_of(text, "link_seconds"), NULL) * 1e9);
    status->in_flight = number_of(text, "in_flight");
    status->confirmed = number_of(text, "confirmed");
    status->published = number_of(text, "published");
    status->repeated = number_of(text, "repeated");
    status->doubled = number_of(text, "doubled");
    text_of(text, "endpoint", status->endpoint, sizeof(status->endpoint));
    text_of(text, "why", status->why, sizeof(status->why));
}

/* Whether it is of the bridge that @p keeper keeps, or has kept, and that bridge lives. Nobody may
 * wait for one whose keeper was killed. */
static bool is_of(const char *text, pid_t keeper)
{
    uint32_t pid = (uint32_t)number_of(text, "pid");
    struct process process;

    return keeper && number_of(text, "keeper") == (uint64_t)keeper && pid > 0 &&
           process_read(pid, &process) == 0 && process.state != 'Z';
}

/* When it was written, -1: there is none. */
static int64_t get(tr_board *board, const char *key, char text[TEXT])
{
    tr_header header = TR_HEADER_INIT;
    const tr_tensor *tensor;
    tr_message *message;
    int64_t when = -1;

    if (tr_board_get(board, key, &message, NULL))
        return -1;
    tensor = tr_message_tensor(message, 0);
    if (tensor && tr_message_header_get(message, &header) == 0) {
        size_t length = tensor->nbytes < TEXT - 1 ? tensor->nbytes : TEXT - 1;

        memcpy(text, tensor->data, length);
        text[length] = 0;
        when = header.published_ns;
    }
    (void)tr_message_release(message);
    return when;
}

/* Open the board if it is there: a bridge makes it as large as it needs it. */
static int open_board(struct tr_bridge *bridge)
{
    tr_arena_info info = TR_ARENA_INFO_INIT;
    tr_channel_stats *channels;
    size_t count = 0;
    int result = tr_arena_info_get(bridge->arena, &info);

    if (result)
        return result;
    channels = calloc(info.max_channels, sizeof(*channels));
    if (!channels)
        return tr_fail(TR_ENOMEM, "bridge status: no memory for %u channels",
                       info.max_channels);
    result = tr_stats_channels(bridge->arena, channels, sizeof(channels[0]),
                               info.max_channels, &count);
    for (size_t i = 0; !result && i < count && !bridge->board; i++)
        if (strcmp(channels[i].name, BOARD) == 0)
            result = tr_board_open(bridge->arena, BOARD, NULL, &bridge->board);
    free(channels);
    return result;
}

int bridge_read(struct tr_bridge *bridge, tr_bridge_status *status)
{
    char key[TR_MAX_KEY_BYTES + 1], text[TEXT];
    int64_t when, newest = -1;
    uint32_t cursor = 0;
    int result = 0;

    if (!bridge->board)
        result = open_board(bridge);
    if (result || !bridge->board)
        return result;
    while (tr_board_next(bridge->board, &cursor, key, NULL) == 0) {
        if (strncmp(key, PREFIX, strlen(PREFIX)) != 0)
            continue;
        when = get(bridge->board, key, text);
        if (when > newest && is_of(text, bridge->pid)) {
            *status = (tr_bridge_status){.struct_size = status->struct_size};
            read_text(text, status);
            newest = when;
        }
    }
    return 0;
}
