/* SPDX-License-Identifier: MIT */
/* rate, wake and load: what matters when messages are small. */
#include "harness/bench.h"

#define ROUNDS      5u
#define LOAD_GAP_NS 20000u /* 50,000 messages a second */

static unsigned rounds_for(const struct options *options)
{
    return options->seconds < 1 ? 1 : ROUNDS;
}

static void rate(const struct options *options, const char *name, unsigned members)
{
    struct comparison *comparison = comparison_new(members);
    const struct task task = {
        .run = run_stream, .mode = MODE_SPIN, .touch = options->touch, .batch = 64};

    for (size_t i = 0; i < transport_count; i++)
        if (wanted(options, transports[i]) && transports[i]->streams)
            (void)comparison_add(comparison, name, transports[i],
                                 options->bytes ? options->bytes : 64, &task, 0);
    for (unsigned i = 0; i < comparison->count; i++)
        comparison->cell[i].target_ns = options->seconds * 5e8 /
                                        (comparison->count * rounds_for(options));
    comparison_run(comparison, rounds_for(options));
    comparison_report(comparison);
    comparison_end(comparison);
}

void case_rate(const struct options *options)
{
    rate(options, "rate", 2);
    rate(options, "rate-2x2", 4);
}

void case_wake(const struct options *options)
{
    static const struct {
        const char *name;
        uint64_t gap_ns;
    } naps[] = {{"wake", 30000}, {"wake-300us", 300000}, {"wake-3ms", 3000000}};

    for (size_t n = 0; n < sizeof naps / sizeof naps[0]; n++) {
        struct comparison *comparison = comparison_new(2);
        const struct task task = {.run = run_wake,
                                  .mode = MODE_BLOCK,
                                  .touch = TOUCH_NONE,
                                  .gap_ns = naps[n].gap_ns};
        for (size_t i = 0; i < transport_count; i++)
            if (wanted(options, transports[i]) && transports[i] != &transport_loop &&
                transports[i] != &transport_loop_fill)
                (void)comparison_add(comparison, naps[n].name, transports[i],
                                     options->bytes ? options->bytes : 64, &task, 0);
        for (unsigned i = 0; i < comparison->count; i++)
            comparison->cell[i].target_ns = options->seconds * 1e9 / 3 /
                                            (comparison->count * rounds_for(options));
        comparison_run(comparison, rounds_for(options));
        comparison_report(comparison);
        comparison_end(comparison);
    }
}

void case_load(const struct options *options)
{
    struct comparison *comparison = comparison_new(2);
    struct task task = {.run = run_load, .touch = options->touch, .gap_ns = LOAD_GAP_NS};

    for (size_t i = 0; i < transport_count; i++) {
        for (enum mode mode = MODE_SPIN; mode <= MODE_BLOCK; mode++) {
            task.mode = mode;
            if (wanted(options, transports[i]) && transports[i]->streams &&
                (options->modes & mode))
                (void)comparison_add(comparison, "load", transports[i],
                                     options->bytes ? options->bytes : 64, &task, 0);
        }
    }
    for (unsigned i = 0; i < comparison->count; i++)
        comparison->cell[i].target_ns = options->seconds * 1e9 /
                                        (comparison->count * rounds_for(options));
    comparison_run(comparison, rounds_for(options));
    comparison_report(comparison);
    comparison_end(comparison);
}
