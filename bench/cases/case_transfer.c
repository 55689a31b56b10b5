/* SPDX-License-Identifier: MIT */
/* latency, stream, floor: one size after the other, all transports of a size in turn. */
#include <string.h>

#include "harness/bench.h"

#define ROUNDS       5u
#define SMALL_BYTES  4096u
#define LEAST_RUN_NS 2e5

static const size_t sizes[] = {
    64, 4096, 65536, 1 << 20, 1769472, 16 << 20, 64 << 20}; /* 1769472: (9,128,64,3) f8 */
#define SIZES (sizeof sizes / sizeof sizes[0])

static unsigned rounds_for(const struct options *options)
{
    return options->seconds < 1 ? 1 : ROUNDS;
}

static void add_all(struct comparison *comparison, const struct options *options,
                    const char *name, size_t bytes, struct task task, double target_ns)
{
    for (size_t i = 0; i < transport_count; i++) {
        const struct transport *t = transports[i];
        if (!wanted(options, t) || (task.run == run_stream && !t->streams) ||
            (task.run == run_pingpong && t == &transport_vyukov))
            continue;
        for (enum mode mode = MODE_SPIN; mode <= MODE_BLOCK; mode++) {
            task.mode = mode;
            if (options->modes & mode)
                (void)comparison_add(comparison, name, t, bytes, &task, target_ns);
        }
    }
}

static void each_size(const struct options *options, const char *name, struct task task,
                      bool batches)
{
    const size_t count = options->bytes ? 1 : SIZES;

    task.touch = options->touch;
    for (size_t i = 0; i < count; i++) {
        const size_t bytes = options->bytes ? options->bytes : sizes[i];
        struct comparison *comparison = comparison_new(2);
        task.batch = batches && bytes <= SMALL_BYTES ? 64 : 1;
        add_all(comparison, options, name, bytes, task, LEAST_RUN_NS);
        for (unsigned j = 0; j < comparison->count; j++) {
            const double share = options->seconds * 1e9 /
                                 (double)(count * comparison->count *
                                          rounds_for(options));
            if (share > LEAST_RUN_NS)
                comparison->cell[j].target_ns = share;
        }
        comparison_run(comparison, rounds_for(options));
        comparison_report(comparison);
        comparison_end(comparison);
    }
}

void case_latency(const struct options *options)
{
    each_size(options, "latency", (struct task){.run = run_pingpong}, false);
}

void case_stream(const struct options *options)
{
    each_size(options, "stream", (struct task){.run = run_stream}, true);
}

void case_floor(const struct options *options)
{
    static const struct transport *const floor[] = {&transport_flag, &transport_ring,
                                                    &transport_futex, &transport_eventfd,
                                                    &transport_loop};
    struct comparison *comparison = comparison_new(2);
    struct task task = {.run = run_pingpong, .touch = options->touch};
    const double target_ns = options->seconds * 1e9 / (6 * rounds_for(options));

    for (size_t i = 0; i < sizeof floor / sizeof floor[0]; i++) {
        for (enum mode mode = MODE_SPIN; mode <= MODE_BLOCK; mode++) {
            const size_t bytes = floor[i] == &transport_loop && options->bytes
                                     ? options->bytes
                                     : 64;
            task.mode = mode;
            if (options->modes & mode)
                (void)comparison_add(comparison, "floor", floor[i], bytes, &task,
                                     target_ns);
        }
    }
    comparison_run(comparison, rounds_for(options));
    comparison_report(comparison);
    comparison_end(comparison);
}
