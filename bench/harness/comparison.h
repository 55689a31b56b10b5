/* SPDX-License-Identifier: MIT */
/* comparison.h - cells that are measured in turn, round by round, in the same processes, so
 * that ratios between them are taken within a round.
 *
 * The floor (a cache-line ping-pong) is probed before and after each round. Virtual
 * processors move between caches without notice: a round in which they did is dropped, the
 * others are filed as near or far. */
#ifndef BENCH_COMPARISON_H
#define BENCH_COMPARISON_H

#include "harness/processes.h"

#define COMPARISON_CELLS  64u
#define COMPARISON_ROUNDS 16u
#define NEAR_NS           130.0 /* one hop of a cache line */

enum placement { PLACE_NEAR, PLACE_FAR, PLACE_MIXED };
enum metric { METRIC_P50, METRIC_CPU, METRIC_RATE, METRIC_FAULTS };

struct cell {
    const char *name; /* the case */
    struct task task; /* lane, run, mode, touch, batch, gap; the count is found */
    double target_ns; /* how long a run takes */
    /* What came out, a round each. */
    double p50_ns[COMPARISON_ROUNDS];
    double cpu_s[COMPARISON_ROUNDS];  /* of all processes, a message */
    double rate[COMPARISON_ROUNDS];   /* messages a second */
    double faults[COMPARISON_ROUNDS]; /* a message */
    struct histogram *times;          /* of all of them */
    double messages;                  /* of a round */
};

struct comparison {
    struct processes *processes;
    int floor_lane;
    unsigned count;
    unsigned rounds; /* kept so far */
    unsigned dropped;
    struct cell cell[COMPARISON_CELLS];
    enum placement place[COMPARISON_ROUNDS];
};

struct ratio {
    double value; /* the median of the placement that most rounds had */
    double other; /* of the other placement, 0 if there was none */
    enum placement place;
    unsigned rounds; /* behind value */
};

struct comparison *comparison_new(unsigned members);
/* Add a cell; -1 if the transport is not available here or cannot wait that way. */
int comparison_add(struct comparison *comparison, const char *name,
                   const struct transport *transport, size_t bytes,
                   const struct task *task, double target_ns);
void comparison_run(struct comparison *comparison, unsigned rounds);
void comparison_report(const struct comparison *comparison); /* a row a cell */
void comparison_end(struct comparison *comparison);

/* The best of the cells in @p subject over the best in @p reference (bit i is cell i), the
 * median of the rounds. Best by its own median: the least, but of METRIC_RATE the most. */
struct ratio comparison_ratio(const struct comparison *comparison, enum metric metric,
                              uint64_t subject, uint64_t reference);

#endif
