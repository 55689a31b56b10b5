/* SPDX-License-Identifier: MIT */
/* histogram_scenarios.c - processes that count at the same time, and die of it. */
#include "ipc/exchange/histogram.h"
#include "tests/explore/families.h"
#include "tests/explore/queue_ops.h"
#include "tests/explore/scenario_words.h"

#define CELLS  16 /* a whole line */
#define BEHIND (sizeof(struct histogram) / 8)

/* One, behind the cells of the only channel. */
static struct histogram *counted(void)
{
    uint64_t bytes;

    for (uint32_t i = 0; i < world.view.geo.channel_count; i++)
        if (CHANNEL_STATE(channel_word(&world.view, i)) == CHANNEL_READY)
            return (struct histogram *)(void *)(channel_bytes(&world.view, i, &bytes) +
                                                8 * CELLS);
    engine_fail("there is no channel");
    return NULL;
}

static void do_count(struct actor *me, const struct op *op)
{
    (void)me;
    world.notes.sent[op->a] = 1;
    histogram_add(counted(), op->b);
    world.notes.sent[op->a] = 2;
}

/* What operation @p message counts, if there is one. */
static const struct op *op_of(const struct scenario *scenario, uint32_t message)
{
    for (uint32_t a = 0; a < ACTORS; a++)
        for (uint32_t i = 0; i < OPS; i++)
            if (scenario->programs[a][i].run == do_count &&
                scenario->programs[a][i].a == message)
                return &scenario->programs[a][i];
    return NULL;
}

/* How many values a bucket has at least and at most, and what all add up to. */
struct expected {
    uint64_t least, most, sum_least, sum_most;
};

static struct expected expect(const struct scenario *scenario, uint32_t bucket)
{
    struct expected found = {0};

    for (uint32_t m = 0; m < MESSAGES; m++) {
        const struct op *op = op_of(scenario, m);
        bool here = op && histogram_bucket(op->b) == bucket;

        if (!op)
            continue;
        found.least += here && world.notes.sent[m] == 2;
        found.most += here && world.notes.sent[m] != 0;
        found.sum_least += world.notes.sent[m] == 2 ? op->b : 0;
        found.sum_most += world.notes.sent[m] != 0 ? op->b : 0;
    }
    return found;
}

static const char *histogram_check(const struct scenario *scenario)
{
    struct histogram *all = counted();

    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        struct expected expected = expect(scenario, i);
        uint64_t count = shm_get(&all->buckets[i]), sum = shm_get(&all->sum);

        if (count < expected.least)
            return "a value was not counted";
        if (count > expected.most)
            return "a value was counted twice";
        if (sum < expected.sum_least || sum > expected.sum_most)
            return "the sum is not that of the values";
    }
    return NULL;
}

/* clang-format off */
#define COUNTING    .channels = 1, .capacity = CELLS, .tickets = BEHIND, .slots = 1, \
                    .build = queue_build, .check = histogram_check
#define COUNT(m, v) {do_count, (m), (v)}

static const struct scenario histograms[] = {
    {.name = "2 count one value", COUNTING,
     .programs = {{COUNT(0, 5), END}, {COUNT(1, 5), END}}},
    {.name = "2 count values of one bucket, kill 1", COUNTING, KILLS(1, 2, 0),
     .programs = {{COUNT(0, 20), COUNT(1, 17), END}, {COUNT(2, 19), COUNT(3, 18), END}, LAST}},
    {.name = "3 count, kill 2", COUNTING, KILLS(2, 3, 0),
     .programs = {{COUNT(0, 1), COUNT(1, 9), END}, {COUNT(2, 9), COUNT(3, 1), END},
                  {COUNT(4, 1), END}, LAST}},
};
/* clang-format on */

const struct family histogram_family = {FAMILY("histogram", histograms)};
