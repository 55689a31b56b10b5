/* SPDX-License-Identifier: MIT */
#include "harness/comparison.h"

#include <stdlib.h>

#include "harness/report.h"

#define PROBE_TRIPS 1000u
#define FEWEST      2u /* batches a run */

struct comparison *comparison_new(unsigned members)
{
    struct comparison *comparison = calloc(1, sizeof *comparison);

    if (!comparison)
        die("no memory");
    comparison->processes = processes_new(members);
    comparison->floor_lane = processes_add(comparison->processes, &transport_flag, 64);
    return comparison;
}

/* Cells of one transport and size share a lane. */
static int lane_for(struct comparison *comparison, const struct transport *transport,
                    size_t bytes)
{
    for (unsigned i = 0; i < comparison->count; i++) {
        const unsigned lane = comparison->cell[i].task.lane;
        if (processes_transport(comparison->processes, lane) == transport &&
            processes_bytes(comparison->processes, lane) == bytes)
            return (int)lane;
    }
    return processes_add(comparison->processes, transport, bytes);
}

int comparison_add(struct comparison *comparison, const char *name,
                   const struct transport *transport, size_t bytes,
                   const struct task *task, double target_ns)
{
    if (!(transport->modes & task->mode) ||
        (processes_members(comparison->processes) > 2 && !transport->many) ||
        (task->mode == MODE_SPIN && processes_processors() < 2))
        return -1;
    const int lane = lane_for(comparison, transport, bytes);
    if (lane < 0)
        return -1;
    if (comparison->count == COMPARISON_CELLS)
        die("more than %u cells in a comparison", COMPARISON_CELLS);

    struct cell *cell = &comparison->cell[comparison->count];
    *cell = (struct cell){.name = name, .task = *task, .target_ns = target_ns};
    cell->task.lane = (unsigned)lane;
    if (!cell->task.batch)
        cell->task.batch = 1;
    cell->times = calloc(1, sizeof *cell->times);
    if (!cell->times)
        die("no memory");
    return (int)comparison->count++;
}

/* ---- a run ---- */

static uint64_t longest_ns(const struct comparison *comparison)
{
    uint64_t longest = 0;

    for (unsigned i = 0; i < processes_members(comparison->processes); i++) {
        const uint64_t elapsed = processes_result(comparison->processes, i)->elapsed_ns;
        longest = elapsed > longest ? elapsed : longest;
    }
    return longest;
}

/* Double the count until a run is long enough to tell; this warms up too. */
static void find_count(struct comparison *comparison, struct cell *cell)
{
    const double fewest = (double)(FEWEST * cell->task.batch);

    cell->task.count = FEWEST * cell->task.batch;
    processes_run(comparison->processes,
                  &cell->task); /* page tables, caches, connections */
    for (;;) {
        processes_run(comparison->processes, &cell->task);
        const double took = (double)longest_ns(comparison) + 1;
        double wanted = (double)cell->task.count * cell->target_ns / took;
        if (took < cell->target_ns / 8 && wanted > 8 * (double)cell->task.count)
            wanted = 8 * (double)cell->task.count;
        wanted = wanted < fewest ? fewest : wanted;
        cell->task.count = (uint64_t)wanted / cell->task.batch * cell->task.batch;
        if (took >= cell->target_ns / 8 || wanted <= fewest)
            return;
    }
}

static double probe_ns(struct comparison *comparison)
{
    const struct task task = {.run = run_pingpong,
                              .lane = (unsigned)comparison->floor_lane,
                              .mode = MODE_SPIN,
                              .count = PROBE_TRIPS,
                              .batch = PROBE_TRIPS / 10};

    if (processes_processors() < 2 || processes_members(comparison->processes) > 2)
        return 0;
    processes_run(comparison->processes, &task);
    return (double)histogram_percentile(
               &processes_result(comparison->processes, 0)->times, 0.5) /
           1000;
}

static void keep(struct comparison *comparison, struct cell *cell, unsigned round)
{
    const unsigned members = processes_members(comparison->processes);
    const bool both_ways = cell->task.run == run_pingpong;
    const double messages = (double)cell->task.count * (both_ways     ? 2
                                                        : members > 2 ? members / 2
                                                                      : 1);
    const double elapsed = (double)longest_ns(comparison) / 1e9;
    struct histogram times = {0};
    double cpu = 0, faults = 0;

    for (unsigned i = 0; i < members; i++) {
        const struct result *result = processes_result(comparison->processes, i);
        histogram_merge(&times, &result->times);
        cpu += (double)result->cpu_ns / 1e9;
        faults += (double)result->faults;
    }
    cell->p50_ns[round] = (double)histogram_percentile(&times, 0.5) / 1000;
    cell->cpu_s[round] = cpu / messages;
    cell->rate[round] = messages / elapsed;
    cell->faults[round] = faults / messages;
    cell->messages = messages;
    /* These keep what every round has seen: only ratios need pure rounds. */
    histogram_merge(cell->times, &times);
}

static void one_round(struct comparison *comparison, bool last_chance)
{
    const unsigned round = comparison->rounds;
    const double first = probe_ns(comparison);

    /* Start elsewhere each time, so that no cell always follows the same neighbour. */
    for (unsigned i = 0; i < comparison->count; i++) {
        struct cell *cell = &comparison->cell[(i + round) % comparison->count];
        processes_run(comparison->processes, &cell->task);
        keep(comparison, cell, round);
    }
    const double second = probe_ns(comparison);
    const bool near = first < NEAR_NS && second < NEAR_NS;
    const bool far = first >= NEAR_NS && second >= NEAR_NS;
    if (!near && !far && !last_chance) {
        comparison->dropped++;
        return; /* the next round writes over this one */
    }
    comparison->place[round] = near ? PLACE_NEAR : far ? PLACE_FAR : PLACE_MIXED;
    comparison->rounds++;
}

void comparison_run(struct comparison *comparison, unsigned rounds)
{
    if (comparison->count == 0)
        return;
    rounds = rounds > COMPARISON_ROUNDS ? COMPARISON_ROUNDS : rounds;
    processes_start(comparison->processes);
    for (unsigned i = 0; i < comparison->count; i++)
        find_count(comparison, &comparison->cell[i]);
    for (unsigned tries = 0; comparison->rounds < rounds; tries++)
        one_round(comparison, tries >= 2 * rounds);
}

/* ---- what came out ---- */

static double value_of(const struct cell *cell, enum metric metric, unsigned round)
{
    switch (metric) {
    case METRIC_P50:
        return cell->p50_ns[round];
    case METRIC_CPU:
        return cell->cpu_s[round];
    case METRIC_RATE:
        return cell->rate[round];
    case METRIC_FAULTS:
        return cell->faults[round];
    }
    return 0;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values, unsigned count)
{
    if (count == 0)
        return 0;
    qsort(values, count, sizeof *values, by_value);
    return count % 2 ? values[count / 2]
                     : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static enum placement usual_place(const struct comparison *comparison)
{
    unsigned count[3] = {0, 0, 0};
    enum placement most = PLACE_NEAR;

    for (unsigned round = 0; round < comparison->rounds; round++)
        count[comparison->place[round]]++;
    for (unsigned place = 1; place < 3; place++)
        if (count[place] > count[most])
            most = (enum placement)place;
    return most;
}

/* The cell whose median over the rounds in @p place is best. The best of each round would be the
 * luckiest. */
static const struct cell *best_of(const struct comparison *comparison, enum metric metric,
                                  uint64_t cells, enum placement place)
{
    const struct cell *best = NULL;
    double best_value = 0;

    for (unsigned i = 0; i < comparison->count; i++) {
        double values[COMPARISON_ROUNDS];
        unsigned count = 0;
        if (!(cells >> i & 1))
            continue;
        for (unsigned round = 0; round < comparison->rounds; round++)
            if (comparison->place[round] == place)
                values[count++] = value_of(&comparison->cell[i], metric, round);
        const double value = median(values, count);
        if (!best || (metric == METRIC_RATE ? value > best_value : value < best_value)) {
            best = &comparison->cell[i];
            best_value = value;
        }
    }
    return best;
}

static double ratio_in(const struct comparison *comparison, enum metric metric,
                       uint64_t subject, uint64_t reference, enum placement place,
                       unsigned *count)
{
    const struct cell *above = best_of(comparison, metric, subject, place);
    const struct cell *below = best_of(comparison, metric, reference, place);
    double values[COMPARISON_ROUNDS];

    *count = 0;
    for (unsigned round = 0; above && below && round < comparison->rounds; round++) {
        const double divisor = value_of(below, metric, round);
        if (comparison->place[round] == place && divisor > 0)
            values[(*count)++] = value_of(above, metric, round) / divisor;
    }
    return median(values, *count);
}

struct ratio comparison_ratio(const struct comparison *comparison, enum metric metric,
                              uint64_t subject, uint64_t reference)
{
    struct ratio ratio = {.place = usual_place(comparison)};
    const enum placement other = ratio.place == PLACE_NEAR ? PLACE_FAR : PLACE_NEAR;
    unsigned others;

    ratio.value = ratio_in(comparison, metric, subject, reference, ratio.place,
                           &ratio.rounds);
    ratio.other = ratio_in(comparison, metric, subject, reference, other, &others);
    return ratio;
}

void comparison_report(const struct comparison *comparison)
{
    for (unsigned i = 0; i < comparison->count; i++) {
        const struct cell *cell = &comparison->cell[i];
        const struct transport *t = processes_transport(comparison->processes,
                                                        cell->task.lane);
        const double bytes = (double)processes_bytes(comparison->processes,
                                                     cell->task.lane);
        double rates[COMPARISON_ROUNDS], cpu = 0;
        for (unsigned round = 0; round < comparison->rounds; round++) {
            rates[round] = cell->rate[round];
            cpu += cell->cpu_s[round] * cell->messages;
        }
        struct row row = {.name = cell->name,
                          .transport = t->name,
                          .mode = cell->task.mode,
                          .touch = cell->task.touch,
                          .bytes = bytes,
                          .cpu_s = cpu};
        row_times(&row, cell->times);
        row.messages_per_s = median(rates, comparison->rounds);
        row.bytes_per_s = row.messages_per_s * bytes;
        report_row(&row);
    }
}

void comparison_end(struct comparison *comparison)
{
    processes_end(comparison->processes);
    for (unsigned i = 0; i < comparison->count; i++)
        free(comparison->cell[i].times);
    free(comparison);
}
