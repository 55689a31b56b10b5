/* SPDX-License-Identifier: MIT */
#include "blocked.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Operators ask first whether it is stopped. */
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
    return one->kind == TR_CHANNEL_QUEUE &&
           one->depth >= (uint64_t)one->orphans + one->capacity;
}

static bool is_held_up(const tr_channel_stats *one)
{
    return one->kind == TR_CHANNEL_BROADCAST && one->behind &&
           one->behind >= one->capacity;
}

/* A loan would take what a broadcast keeps and what nobody holds. */
static bool no_slot(const struct findings *found, const tr_class_stats *one)
{
    const tr_stats *all = &found->stats;

    return one->free + one->kept + one->retired == 0 &&
           (one->waiting || all->slots_free + all->slots_kept + all->slots_retired == 0);
}

/* There are free slots of the size that a loan waits for, so it waits for memory. Its mark may be
 * old: a little memory in use says nothing. */
static bool no_memory(const struct findings *found)
{
    const tr_arena_info *info = &found->info;
    bool waits = false;

    for (size_t i = 0; i < found->sizes; i++)
        waits |= found->size[i].waiting && found->size[i].free;
    return waits && info->slots_bytes > info->warm_bytes &&
           info->slots_bytes - info->warm_bytes > info->memory_bytes / 4 &&
           info->memory_bytes;
}

static const tr_participant_stats *person_of(const struct findings *found, uint32_t index)
{
    for (size_t i = 0; i < found->people; i++)
        if (found->person[i].index == index)
            return &found->person[i];
    return NULL;
}

/* How many of what is waited for it holds; @p queue NULL: slots. */
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
               any                ? ""
               : queue            ? " of its messages in hand"
               : found->sizes > 1 ? " slots of any size"
                                  : " slots");
        any = true;
    }
    puts(any     ? ""
         : queue ? " no process has any of its messages in hand"
                 : " messages wait");
}

static void print_full(const struct findings *found, const tr_channel_stats *one)
{
    printf("blocked by full queue %s, which %u process%s receive%s from:", one->name,
           one->receivers, one->receivers == 1 ? "" : "es",
           one->receivers == 1 ? "s" : "");
    print_culprits(found, one);
}

static void print_held_up(const struct findings *found, const tr_channel_stats *one)
{
    const tr_participant_stats *laggard = person_of(found, one->laggard);

    printf("blocked by broadcast %s, whose publishers wait for", one->name);
    if (laggard)
        printf(" process %u %s (%s)", laggard->pid,
               *laggard->command ? laggard->command : "n/a", condition_of(laggard));
    else
        printf(" participant %u", one->laggard);
    printf(", which is %" PRIu64 " messages behind\n", one->behind);
}

void print_blocked(const struct findings *found)
{
    for (size_t i = 0; i < found->channels; i++)
        if (is_full(&found->channel[i]))
            print_full(found, &found->channel[i]);
        else if (is_held_up(&found->channel[i]))
            print_held_up(found, &found->channel[i]);
    for (size_t i = 0; i < found->sizes; i++)
        if (no_slot(found, &found->size[i])) {
            printf("blocked by no free slot of %" PRIu64 " bytes, %u are queued:",
                   found->size[i].slot_bytes,
                   found->size[i].queued + found->size[i].orphaned);
            print_culprits(found, NULL);
        }
    if (no_memory(found)) {
        printf("blocked by the limit of memory, %" PRIu64 " bytes, %u slots are queued:",
               found->info.memory_bytes, found->stats.slots_queued);
        print_culprits(found, NULL);
    }
}

static cJSON *culprit_json(const tr_participant_stats *one, uint64_t count)
{
    cJSON *row = cJSON_CreateObject();

    cJSON_AddNumberToObject(row, "index", one->index);
    cJSON_AddNumberToObject(row, "pid", one->pid);
    cJSON_AddStringToObject(row, "state", condition_of(one));
    cJSON_AddNumberToObject(row, "has", (double)count);
    return row;
}

static void add_culprits(const struct findings *found, const tr_channel_stats *channel,
                         cJSON *list)
{
    bool lags = channel && channel->kind == TR_CHANNEL_BROADCAST;

    for (size_t i = 0; i < found->people; i++) {
        const tr_participant_stats *one = &found->person[i];

        if (lags && one->index == channel->laggard)
            cJSON_AddItemToArray(list, culprit_json(one, channel->behind));
        else if (!lags && has(one, channel))
            cJSON_AddItemToArray(list, culprit_json(one, has(one, channel)));
    }
}

static void add_name(cJSON *json, const char *key, const tr_channel_stats *one,
                     uint32_t kind)
{
    bool is = one && one->kind == kind;

    cJSON_AddItemToObject(json, key,
                          is ? cJSON_CreateString(one->name) : cJSON_CreateNull());
}

/* One of @p channel and @p size is NULL, or both: then it is the limit of memory. */
static cJSON *reason_json(const struct findings *found, const tr_channel_stats *channel,
                          const tr_class_stats *size)
{
    cJSON *json = cJSON_CreateObject();

    add_name(json, "queue", channel, TR_CHANNEL_QUEUE);
    add_name(json, "broadcast", channel, TR_CHANNEL_BROADCAST);
    cJSON_AddItemToObject(json, "slot_bytes",
                          size ? cJSON_CreateNumber((double)size->slot_bytes)
                               : cJSON_CreateNull());
    cJSON_AddItemToObject(json, "memory_bytes",
                          channel || size
                              ? cJSON_CreateNull()
                              : cJSON_CreateNumber((double)found->info.memory_bytes));
    add_culprits(found, channel, cJSON_AddArrayToObject(json, "by"));
    return json;
}

cJSON *blocked_json(const struct findings *found)
{
    cJSON *list = cJSON_CreateArray();

    for (size_t i = 0; i < found->channels; i++)
        if (is_full(&found->channel[i]) || is_held_up(&found->channel[i]))
            cJSON_AddItemToArray(list, reason_json(found, &found->channel[i], NULL));
    for (size_t i = 0; i < found->sizes; i++)
        if (no_slot(found, &found->size[i]))
            cJSON_AddItemToArray(list, reason_json(found, NULL, &found->size[i]));
    if (no_memory(found))
        cJSON_AddItemToArray(list, reason_json(found, NULL, NULL));
    return list;
}
