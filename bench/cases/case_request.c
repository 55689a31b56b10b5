/* SPDX-License-Identifier: MIT */
/* request: a round trip with a reply in place, over one way of the queue. */
#include "harness/bench.h"
#include "harness/report.h"

#define ROUNDS 9u

extern const struct transport transport_request;

static void measure(const struct options *options, enum mode mode, size_t bytes)
{
    struct comparison *comparison = comparison_new(2);
    const struct task task = {.run = run_pingpong,
                              .mode = mode,
                              .touch = TOUCH_READWRITE,
                              .batch = mode == MODE_SPIN ? 16 : 1};
    const double target = options->seconds * 1e9 / 4 / (2 * ROUNDS);
    const int request = comparison_add(comparison, "request", &transport_request, bytes,
                                       &task, target);
    const int queue = comparison_add(comparison, "request", &transport_ours, bytes, &task,
                                     target);

    if (request >= 0 && queue >= 0) {
        comparison_run(comparison, options->seconds < 1 ? 1 : ROUNDS);
        comparison_report(comparison);
        const struct ratio ratio = comparison_ratio(
            comparison, METRIC_P50, UINT64_C(1) << request, UINT64_C(1) << queue);
        /* Samples are halves of round trips. */
        const struct bar bar = {.name = mode == MODE_SPIN ? "request" : "request, asleep",
                                .what = "request with reply in place / queue, one way",
                                .measured = 2 * ratio.value,
                                .other = 2 * ratio.other,
                                .place = ratio.place == PLACE_NEAR ? "near" : "far",
                                .rounds = ratio.rounds,
                                .target = 2.3};
        if (mode == MODE_SPIN)
            report_bar(&bar);
    }
    comparison_end(comparison);
}

void bars_request(const struct options *options)
{
    for (enum mode mode = MODE_SPIN; mode <= MODE_BLOCK; mode++)
        if (options->modes & mode)
            measure(options, mode, options->bytes ? options->bytes : 64);
}

void case_request(const struct options *options)
{
    bars_request(options);
    report_bars_table();
}
