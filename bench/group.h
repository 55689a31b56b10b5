/* SPDX-License-Identifier: MIT */
/* group.h - cells that are measured in turn, round by round, in the same processes, so
 * that ratios between them are taken within a round.
 *
 * The floor (a cache-line ping-pong) is probed before and after each round. Virtual
 * processors move between caches without notice: a round in which they did is dropped, the
 * others are filed as near or far. */
#ifndef BENCH_GROUP_H
#define BENCH_GROUP_H

#include "stage.h"

#define GROUP_CELLS  64u
#define GROUP_ROUNDS 16u
#define NEAR_NS      130.0 /* one hop of a cache line */

enum placement { PLACE_NEAR, PLACE_FAR, PLACE_MIXED };
enum metric { METRIC_P50, METRIC_CPU, METRIC_RATE, METRIC_FAULTS };

struct cell {
    const char *name; /* the case */
    struct task task; /* lane, run, mode, touch, batch, gap; the count is found */
    double target_ns; /* how long a run takes */
    /* What came out, a round each. */
    double p50_ns[GROUP_ROUNDS];
    double cpu_s[GROUP_ROUNDS];  /* of all processes, a message */
    double rate[GROUP_ROUNDS];   /* messages a second */
    double faults[GROUP_ROUNDS]; /* a message */
    struct histogram *times;     /* of all of them */
    double messages;             /* of a round */
};

struct group {
    struct stage *stage;
    int floor_lane;
    unsigned count;
    unsigned rounds; /* kept so far */
    unsigned dropped;
    struct cell cell[GROUP_CELLS];
    enum placement place[GROUP_ROUNDS];
};

struct ratio {
    double value; /* the median of the placement that most rounds had */
    double other; /* of the other placement, 0 if there was none */
    enum placement place;
    unsigned rounds; /* behind value */
};

struct group *group_new(unsigned members);
/* Add a cell; -1 if the transport is not to be had here or cannot wait that way. */
int group_add(struct group *group, const char *name, const struct transport *transport,
              size_t bytes, const struct task *task, double target_ns);
void group_run(struct group *group, unsigned rounds);
void group_report(const struct group *group); /* a row a cell */
void group_end(struct group *group);

/* The best of the cells in @p subject over the best in @p reference (bit i is cell i), the
 * median of the rounds. Best by its own median: the least, but of METRIC_RATE the most. */
struct ratio group_ratio(const struct group *group, enum metric metric, uint64_t subject,
                         uint64_t reference);

#endif
