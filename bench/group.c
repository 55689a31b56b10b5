/* SPDX-License-Identifier: MIT */
#include "group.h"

#include <stdlib.h>

#include "report.h"

#define PROBE_TRIPS 1000u
#define FEWEST      2u /* batches a run */

struct group *group_new(unsigned members)
{
    struct group *group = calloc(1, sizeof *group);

    if (!group)
        die("no memory");
    group->stage = stage_new(members);
    group->floor_lane = stage_add(group->stage, &transport_flag, 64);
    return group;
}

/* Cells of one transport and size share a lane. */
static int lane_for(struct group *group, const struct transport *transport, size_t bytes)
{
    for (unsigned i = 0; i < group->count; i++) {
        const unsigned lane = group->cell[i].task.lane;
        if (stage_transport(group->stage, lane) == transport &&
            stage_bytes(group->stage, lane) == bytes)
            return (int)lane;
    }
    return stage_add(group->stage, transport, bytes);
}

int group_add(struct group *group, const char *name, const struct transport *transport,
              size_t bytes, const struct task *task, double target_ns)
{
    if (!(transport->modes & task->mode) ||
        (stage_members(group->stage) > 2 && !transport->many) ||
        (task->mode == MODE_SPIN && stage_processors() < 2))
        return -1;
    const int lane = lane_for(group, transport, bytes);
    if (lane < 0)
        return -1;
    if (group->count == GROUP_CELLS)
        die("more than %u cells in a group", GROUP_CELLS);

    struct cell *cell = &group->cell[group->count];
    *cell = (struct cell){.name = name, .task = *task, .target_ns = target_ns};
    cell->task.lane = (unsigned)lane;
    if (!cell->task.batch)
        cell->task.batch = 1;
    cell->times = calloc(1, sizeof *cell->times);
    if (!cell->times)
        die("no memory");
    return (int)group->count++;
}

/* ---- a run ---- */

static uint64_t longest_ns(const struct group *group)
{
    uint64_t longest = 0;

    for (unsigned i = 0; i < stage_members(group->stage); i++) {
        const uint64_t elapsed = stage_result(group->stage, i)->elapsed_ns;
        longest = elapsed > longest ? elapsed : longest;
    }
    return longest;
}

/* Double the count until a run is long enough to tell; this warms up too. */
static void find_count(struct group *group, struct cell *cell)
{
    const double fewest = (double)(FEWEST * cell->task.batch);

    cell->task.count = FEWEST * cell->task.batch;
    stage_run(group->stage, &cell->task); /* page tables, caches, connections */
    for (;;) {
        stage_run(group->stage, &cell->task);
        const double took = (double)longest_ns(group) + 1;
        double wanted = (double)cell->task.count * cell->target_ns / took;
        if (took < cell->target_ns / 8 && wanted > 8 * (double)cell->task.count)
            wanted = 8 * (double)cell->task.count;
        wanted = wanted < fewest ? fewest : wanted;
        cell->task.count = (uint64_t)wanted / cell->task.batch * cell->task.batch;
        if (took >= cell->target_ns / 8 || wanted <= fewest)
            return;
    }
}

static double probe_ns(struct group *group)
{
    const struct task task = {.run = run_pingpong,
                              .lane = (unsigned)group->floor_lane,
                              .mode = MODE_SPIN,
                              .count = PROBE_TRIPS,
                              .batch = PROBE_TRIPS / 10};

    if (stage_processors() < 2 || stage_members(group->stage) > 2)
        return 0;
    stage_run(group->stage, &task);
    return (double)histogram_percentile(&stage_result(group->stage, 0)->times, 0.5) /
           1000;
}

static void keep(struct group *group, struct cell *cell, unsigned round)
{
    const unsigned members = stage_members(group->stage);
    const bool both_ways = cell->task.run == run_pingpong;
    const double messages = (double)cell->task.count * (both_ways     ? 2
                                                        : members > 2 ? members / 2
                                                                      : 1);
    const double elapsed = (double)longest_ns(group) / 1e9;
    struct histogram times = {0};
    double cpu = 0, faults = 0;

    for (unsigned i = 0; i < members; i++) {
        const struct result *result = stage_result(group->stage, i);
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

static void one_round(struct group *group, bool last_chance)
{
    const unsigned round = group->rounds;
    const double first = probe_ns(group);

    /* Start elsewhere each time, so that nobody always follows the same neighbour. */
    for (unsigned i = 0; i < group->count; i++) {
        struct cell *cell = &group->cell[(i + round) % group->count];
        stage_run(group->stage, &cell->task);
        keep(group, cell, round);
    }
    const double second = probe_ns(group);
    const bool near = first < NEAR_NS && second < NEAR_NS;
    const bool far = first >= NEAR_NS && second >= NEAR_NS;
    if (!near && !far && !last_chance) {
        group->dropped++;
        return; /* the next round writes over this one */
    }
    group->place[round] = near ? PLACE_NEAR : far ? PLACE_FAR : PLACE_MIXED;
    group->rounds++;
}

void group_run(struct group *group, unsigned rounds)
{
    if (group->count == 0)
        return;
    rounds = rounds > GROUP_ROUNDS ? GROUP_ROUNDS : rounds;
    stage_start(group->stage);
    for (unsigned i = 0; i < group->count; i++)
        find_count(group, &group->cell[i]);
    for (unsigned tries = 0; group->rounds < rounds; tries++)
        one_round(group, tries >= 2 * rounds);
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

static enum placement usual_place(const struct group *group)
{
    unsigned count[3] = {0, 0, 0};
    enum placement most = PLACE_NEAR;

    for (unsigned round = 0; round < group->rounds; round++)
        count[group->place[round]]++;
    for (unsigned place = 1; place < 3; place++)
        if (count[place] > count[most])
            most = (enum placement)place;
    return most;
}

/* The cell whose median over the rounds in @p place is best. The best of each single round
 * would be the luckiest instead. */
static const struct cell *best_of(const struct group *group, enum metric metric,
                                  uint64_t cells, enum placement place)
{
    const struct cell *best = NULL;
    double best_value = 0;

    for (unsigned i = 0; i < group->count; i++) {
        double values[GROUP_ROUNDS];
        unsigned count = 0;
        if (!(cells >> i & 1))
            continue;
        for (unsigned round = 0; round < group->rounds; round++)
            if (group->place[round] == place)
                values[count++] = value_of(&group->cell[i], metric, round);
        const double value = median(values, count);
        if (!best || (metric == METRIC_RATE ? value > best_value : value < best_value)) {
            best = &group->cell[i];
            best_value = value;
        }
    }
    return best;
}

static double ratio_in(const struct group *group, enum metric metric, uint64_t subject,
                       uint64_t reference, enum placement place, unsigned *count)
{
    const struct cell *above = best_of(group, metric, subject, place);
    const struct cell *below = best_of(group, metric, reference, place);
    double values[GROUP_ROUNDS];

    *count = 0;
    for (unsigned round = 0; above && below && round < group->rounds; round++) {
        const double divisor = value_of(below, metric, round);
        if (group->place[round] == place && divisor > 0)
            values[(*count)++] = value_of(above, metric, round) / divisor;
    }
    return median(values, *count);
}

struct ratio group_ratio(const struct group *group, enum metric metric, uint64_t subject,
                         uint64_t reference)
{
    struct ratio ratio = {.place = usual_place(group)};
    const enum placement other = ratio.place == PLACE_NEAR ? PLACE_FAR : PLACE_NEAR;
    unsigned others;

    ratio.value = ratio_in(group, metric, subject, reference, ratio.place, &ratio.rounds);
    ratio.other = ratio_in(group, metric, subject, reference, other, &others);
    return ratio;
}

void group_report(const struct group *group)
{
    for (unsigned i = 0; i < group->count; i++) {
        const struct cell *cell = &group->cell[i];
        const struct transport *t = stage_transport(group->stage, cell->task.lane);
        const double bytes = (double)stage_bytes(group->stage, cell->task.lane);
        double rates[GROUP_ROUNDS], cpu = 0;
        for (unsigned round = 0; round < group->rounds; round++) {
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
        row.messages_per_s = median(rates, group->rounds);
        row.bytes_per_s = row.messages_per_s * bytes;
        report_row(&row);
    }
}

void group_end(struct group *group)
{
    stage_end(group->stage);
    for (unsigned i = 0; i < group->count; i++)
        free(group->cell[i].times);
    free(group);
}
