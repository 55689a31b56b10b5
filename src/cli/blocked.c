/* SPDX-License-Identifier: MIT */
#include "blocked.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { QUEUE = 1 };

/* Whether it stands still is what an operator asks first. */
const char *condition_of(const tr_participant_stats *one)
{
    if (!one->alive)
        return "dead";
    switch (one->state) {
    case 'T':
        return "stopped";
    case 't':
        return "traced";
    case 'Z':
        return "zombie";
    default:
        return "alive";
    }
}

/* Orphans lie in their slots, not in the ring. */
static bool is_full(const tr_channel_stats *one)
{
    return one->kind == QUEUE && one->depth >= (uint64_t)one->orphans + one->capacity;
}

/* What a broadcast keeps, and what is nobody's, a loan would take. */
static bool no_slot(const tr_stats *stats)
{
    return stats->slots_free + stats->slots_kept + stats->slots_retired == 0;
}

/* How many of the things that are waited for it has; @p queue NULL: slots. */
static uint32_t has(const tr_participant_stats *one, const tr_channel_stats *queue)
{
    if (!queue)
        return one->loaned + one->received + one->pinned;
    return strcmp(one->channel, queue->name) == 0 ? one->received : 0;
}

static void print_culprits(const struct findings *found, const tr_channel_stats *queue)
{
    bool any = false;

    for (size_t i = 0; i < found->people; i++) {
        const tr_participant_stats *one = &found->person[i];

        if (!has(one, queue))
            continue;
        printf("%s process %u %s (%s) has %u%s", any ? "," : "", one->pid,
               *one->command ? one->command : "n/a", condition_of(one), has(one, queue),
               any     ? ""
               : queue ? " of its messages in hand"
                       : " slots");
        any = true;
    }
    puts(any     ? ""
         : queue ? " no process has any of its messages in hand"
                 : " messages wait");
}

void print_blocked(const struct findings *found)
{
    for (size_t i = 0; i < found->channels; i++)
        if (is_full(&found->channel[i])) {
            printf("blocked by full queue %s, which %u process%s receive%s from:",
                   found->channel[i].name, found->channel[i].receivers,
                   found->channel[i].receivers == 1 ? "" : "es",
                   found->channel[i].receivers == 1 ? "s" : "");
            print_culprits(found, &found->channel[i]);
        }
    if (no_slot(&found->stats)) {
        printf("blocked by no free slot, %u are queued:",
               found->stats.slots_queued + found->stats.slots_orphaned);
        print_culprits(found, NULL);
    }
}

static cJSON *culprits_json(const struct findings *found, const tr_channel_stats *queue)
{
    cJSON *json = cJSON_CreateObject();
    cJSON *list;

    cJSON_AddItemToObject(json, "queue",
                          queue ? cJSON_CreateString(queue->name) : cJSON_CreateNull());
    list = cJSON_AddArrayToObject(json, "by");
    for (size_t i = 0; i < found->people; i++) {
        const tr_participant_stats *one = &found->person[i];
        cJSON *row;

        if (!has(one, queue))
            continue;
        row = cJSON_CreateObject();
        cJSON_AddNumberToObject(row, "index", one->index);
        cJSON_AddNumberToObject(row, "pid", one->pid);
        cJSON_AddStringToObject(row, "state", condition_of(one));
        cJSON_AddNumberToObject(row, "has", has(one, queue));
        cJSON_AddItemToArray(list, row);
    }
    return json;
}

cJSON *blocked_json(const struct findings *found)
{
    cJSON *list = cJSON_CreateArray();

    for (size_t i = 0; i < found->channels; i++)
        if (is_full(&found->channel[i]))
            cJSON_AddItemToArray(list, culprits_json(found, &found->channel[i]));
    if (no_slot(&found->stats))
        cJSON_AddItemToArray(list, culprits_json(found, NULL));
    return list;
}
