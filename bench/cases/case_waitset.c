/* SPDX-License-Identifier: MIT */
/* waitset: what it costs to be woken in a set, and by a descriptor, beside a plain receive
 * and an eventfd in epoll; asleep for 30 us and for 3 ms. */
#include <stdio.h>

#include "harness/bench.h"
#include "harness/report.h"
#include "transports/waits.h"

#define ROUNDS 7u

static void compare(const struct comparison *comparison, const char *what, int subject,
                    int reference, double target)
{
    static const char *const places[] = {"near", "far", "mixed"};
    struct ratio ratio;

    if (subject < 0 || reference < 0)
        return;
    ratio = comparison_ratio(comparison, METRIC_P50, UINT64_C(1) << subject,
                             UINT64_C(1) << reference);
    report_bar(&(struct bar){.name = comparison->cell[0].name,
                             .what = what,
                             .measured = ratio.value,
                             .other = ratio.other,
                             .place = places[ratio.place],
                             .rounds = ratio.rounds,
                             .target = target});
}

static void asleep(const struct options *options, const char *name, uint64_t gap_ns)
{
    struct comparison *comparison = comparison_new(2);
    const unsigned rounds = options->seconds < 1 ? 1 : ROUNDS;
    const struct task task = {
        .run = run_wake, .mode = MODE_BLOCK, .touch = TOUCH_NONE, .gap_ns = gap_ns};
    const double target = options->seconds * 1e9 / 2 / (7 * rounds);
    const int plain = comparison_add(comparison, name, &transport_ours, 64, &task,
                                     target);
    const int one = comparison_add(comparison, name, &transport_waitset, 64, &task,
                                   target);
    const int many = comparison_add(comparison, name, &transport_waitset_100, 64, &task,
                                    target);
    const int raw = comparison_add(comparison, name, &transport_eventfd, 64, &task,
                                   target);
    const int eventfd = comparison_add(comparison, name, &transport_fd_eventfd, 64, &task,
                                       target);
    const int uring = comparison_add(comparison, name, &transport_fd_uring, 64, &task,
                                     target);
    const int fifo = comparison_add(comparison, name, &transport_fd_fifo, 64, &task,
                                    target);

    comparison_run(comparison, rounds);
    comparison_report(comparison);
    compare(comparison, "wait set of one / plain receive", one, plain, 1.1);
    compare(comparison, "wait set of 101 / of one", many, one, 1.5);
    compare(comparison, "descriptor, eventfd / eventfd and epoll", eventfd, raw, 1.15);
    compare(comparison, "descriptor, io_uring / eventfd and epoll", uring, raw, 1.15);
    compare(comparison, "descriptor, FIFO / eventfd and epoll", fifo, raw, 1.15);
    comparison_end(comparison);
}

void case_waitset(const struct options *options)
{
    asleep(options, "asleep 30 us", 30000);
    asleep(options, "asleep 3 ms", 3000000);
    report_bars_table();
}
