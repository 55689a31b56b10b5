/* SPDX-License-Identifier: MIT */
/* blocked.h - what is blocked in an arena, and which processes hold what it waits for. */
#ifndef TR_CLI_BLOCKED_H
#define TR_CLI_BLOCKED_H

#include <tensoring/arena.h>
#include <tensoring/histogram.h>
#include <tensoring/stats.h>

#include "cli.h"

/* Some figures of one histogram. */
struct figures {
    uint64_t count;     /* 0: nothing was counted */
    uint64_t half, p99; /* what half of the values, and 99 % of them, do not exceed */
};

#define HISTOGRAM_KINDS 3 /* of tr_histogram_kind */

/* What one look has found. */
struct findings {
    tr_stats stats;
    tr_channel_stats channel[TR_MAX_CHANNELS];
    struct figures counted[TR_MAX_CHANNELS][HISTOGRAM_KINDS];
    size_t channels;
    tr_participant_stats person[TR_MAX_PARTICIPANTS];
    size_t people;
    tr_class_stats size[TR_MAX_CLASSES];
    size_t sizes;
    tr_arena_info info;
};

/* "alive", "stopped", "dead", ... */
const char *condition_of(const tr_participant_stats *one);

/* A line for each queue and broadcast that is full, and for each size that has no free slot and a
 * waiter; one for the limit of memory. */
void print_blocked(const struct findings *found);

/* The same as a list. */
cJSON *blocked_json(const struct findings *found);

#endif
