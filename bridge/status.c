/* SPDX-License-Identifier: MIT */
#include "status.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "away.h"
#include "kinds.h"

#define MOST_BRIDGES 256

/* Some of it comes from the other side, and may have been cut. */
static void add_text(cJSON *to, const char *name, const char *text)
{
    char copy[2 * WHY_TEXT];

    snprintf(copy, sizeof(copy), "%s", text);
    cJSON_AddStringToObject(to, name, make_printable(copy));
}

static void add(cJSON *to, const char *name, uint64_t number)
{
    cJSON_AddNumberToObject(to, name, (double)number);
}

static void add_counts(cJSON *to, const struct counts *counts, uint64_t in_flight)
{
    add(to, "in_flight", in_flight);
    add(to, "confirmed", counts->confirmed);
    add(to, "published", counts->published);
    add(to, "repeated", counts->repeated);
    add(to, "doubled", counts->doubled);
    add(to, "missed", counts->missed);
}

/* The lane of @p channel that stands, else one that was refused; NULL: none. */
static const struct lane *lane_of(const struct bridge *bridge,
                                  const struct channel *channel)
{
    const struct lane *found = NULL;

    for (const struct link *link = bridge->links; link; link = link->next)
        for (uint32_t i = 0; link->up && i < link->lane_count; i++)
            if (link->lanes[i].channel == channel && (!found || link->lanes[i].open))
                found = &link->lanes[i];
    return found;
}

static uint64_t held_back(const struct channel *channel)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < channel->window.count; i++)
        count += channel->window.held[i]->state == HELD_BACK;
    return count;
}

static cJSON *channel_json(const struct bridge *bridge, const struct channel *channel)
{
    const struct lane *lane = lane_of(bridge, channel);
    cJSON *json = cJSON_CreateObject();
    bool refused = lane && !lane->open;
    uint64_t bytes;

    add_text(json, "kind", kind_name(channel->kind));
    add_text(json, "name", channel->name);
    add_text(json, "direction", channel->direction == DIRECTION_OUT ? "out" : "in");
    add_text(json, "state", refused ? "refused" : lane ? "open" : "waiting");
    add_text(json, "why", refused ? lane->why : channel->why);
    add_counts(json, &channel->counts, channel->window.count - channel->window.done);
    add(json, "held", held_back(channel));
    add(json, "away", away_count(bridge, channel, &bytes));
    add(json, "window", lane && lane->open ? lane->window : 0);
    return json;
}

static bool any_up(const struct bridge *bridge)
{
    for (const struct link *link = bridge->links; link; link = link->next)
        if (link->up)
            return true;
    return false;
}

static const char *peer(const struct bridge *bridge)
{
    for (const struct link *link = bridge->links; link; link = link->next)
        if (link->up)
            return link->where;
    return bridge->last_where;
}

static void add_link(cJSON *json, const struct bridge *bridge)
{
    bool up = any_up(bridge);

    add_text(json, "role", bridge->options->listens ? "listen" : "connect");
    add_text(json, "endpoint", bridge->engine->address);
    add_text(json, "engine", bridge->calls->name);
    add_text(json, "security", bridge->options->plain ? "plain" : "curve");
    add_text(json, "link", up ? "up" : "down");
    add_text(json, "peer", peer(bridge));
    cJSON_AddNumberToObject(json, "link_seconds",
                            (double)(now_ns() - bridge->changed_ns) / 1e9);
    add_text(json, "why", up ? "" : bridge->why);
    add_text(json, "stranger", bridge->stranger);
    add(json, "strangers", bridge->strangers);
    add(json, "reconnects", bridge->reconnects);
    add(json, "other_arena", bridge->other_arena);
}

static char *make(const struct bridge *bridge, bool channels)
{
    cJSON *json = cJSON_CreateObject(), *list;
    struct counts all = {0};
    uint64_t in_flight = 0;
    char *text;

    add(json, "pid", (uint64_t)getpid());
    add(json, "keeper", (uint64_t)bridge->kept.keeper);
    add(json, "participant", bridge->participant);
    add_link(json, bridge);
    for (uint32_t i = 0; i < bridge->count; i++) {
        const struct channel *channel = &bridge->channels[i];

        all.confirmed += channel->counts.confirmed;
        all.published += channel->counts.published;
        all.repeated += channel->counts.repeated;
        all.doubled += channel->counts.doubled;
        all.missed += channel->counts.missed;
        in_flight += channel->window.count - channel->window.done;
    }
    add_counts(json, &all, in_flight);
    list = cJSON_AddArrayToObject(json, "channels");
    for (uint32_t i = 0; channels && i < bridge->count; i++)
        cJSON_AddItemToArray(list, channel_json(bridge, &bridge->channels[i]));
    text = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    return text;
}

/* 0, or a TR_E code. */
static int put_text(struct bridge *bridge, const char *text)
{
    tr_message *message;
    size_t length = strlen(text);
    int result = tr_message_loan_bytes(bridge->arena, length, TR_NOWAIT, &message);

    if (result < 0)
        return result;
    memcpy(tr_message_tensor(message, 0)->data, text, length);
    result = tr_board_put_if(bridge->board, bridge->status_key, message,
                             bridge->status_version, &bridge->status_version);
    if (result < 0)
        tr_message_release(message);
    return result;
}

/* A key that no living bridge uses. Another bridge may take it first, or later if this one was
 * stopped for long: then the put fails, and the next one looks for another key. */
static void choose_key(struct bridge *bridge)
{
    for (unsigned i = 0; i < MOST_BRIDGES; i++) {
        tr_header header = TR_HEADER_INIT;
        tr_message *message;
        int64_t age_ns = INT64_MAX;

        snprintf(bridge->status_key, sizeof(bridge->status_key), "status.%u", i);
        bridge->status_version = TR_BOARD_NO_VERSION;
        if (tr_board_get(bridge->board, bridge->status_key, &message,
                         &bridge->status_version) < 0)
            return;
        if (tr_message_header_get(message, &header) == 0)
            age_ns = now_ns() - header.published_ns;
        tr_message_release(message);
        if (age_ns > STATUS_STALE_S * INT64_C(1000000000))
            return;
    }
}

/* It grows with whatever is done. */
static uint64_t work(const struct bridge *bridge)
{
    uint64_t sum = bridge->strangers;

    for (uint32_t i = 0; i < bridge->count; i++) {
        const struct counts *counts = &bridge->channels[i].counts;

        sum += counts->confirmed + counts->published + counts->repeated + counts->missed +
               bridge->channels[i].window.count;
    }
    return sum;
}

int64_t status_next_ns(const struct bridge *bridge)
{
    if (bridge->tell)
        return 0;
    return bridge->status_ns +
           (work(bridge) == bridge->status_work ? STATUS_IDLE_NS : STATUS_NS);
}

bool status_is_due(const struct bridge *bridge, int64_t now)
{
    int64_t next = status_next_ns(bridge), since = now - bridge->status_ns;

    return (now >= next && since >= STATUS_PACE_NS) ||
           (now >= next - EARLY_NS && since >= STATUS_NS);
}

void status_put(struct bridge *bridge)
{
    char *text;
    int result;

    bridge->status_ns = now_ns();
    bridge->status_work = work(bridge);
    if (!*bridge->status_key)
        choose_key(bridge);
    text = make(bridge, true);
    result = text ? put_text(bridge, text) : TR_ENOMEM;
    free(text);
    if (result == TR_EMSGSIZE) {
        text = make(bridge, false);
        result = text ? put_text(bridge, text) : TR_ENOMEM;
        free(text);
    }
    if (result == TR_ESTALE)
        *bridge->status_key = 0;
    bridge->tell = result < 0;
}

void status_remove(struct bridge *bridge)
{
    if (*bridge->status_key &&
        tr_board_delete(bridge->board, bridge->status_key, bridge->status_version) < 0)
        *bridge->status_key = 0; /* another bridge has it */
}
