/* SPDX-License-Identifier: MIT */
/* waitset: what it costs to be woken in a set, and by a descriptor, beside a plain receive
 * and an eventfd in epoll; asleep for 30 us and for 3 ms. */
#include <stdio.h>

#include "bench.h"
#include "report.h"
#include "waits.h"

#define ROUNDS 7u

static void compare(const struct group *group, const char *what, int subject,
                    int reference, double target)
{
    static const char *const places[] = {"near", "far", "mixed"};
    struct ratio ratio;

    if (subject < 0 || reference < 0)
        return;
    ratio = group_ratio(group, METRIC_P50, UINT64_C(1) << subject,
                        UINT64_C(1) << reference);
    report_bar(&(struct bar){.name = group->cell[0].name,
                             .what = what,
                             .measured = ratio.value,
                             .other = ratio.other,
                             .place = places[ratio.place],
                             .rounds = ratio.rounds,
                             .target = target});
}

static void asleep(const struct options *options, const char *name, uint64_t gap_ns)
{
    struct group *group = group_new(2);
    const unsigned rounds = options->seconds < 1 ? 1 : ROUNDS;
    const struct task task = {
        .run = run_wake, .mode = MODE_BLOCK, .touch = TOUCH_NONE, .gap_ns = gap_ns};
    const double target = options->seconds * 1e9 / 2 / (7 * rounds);
    const int plain = group_add(group, name, &transport_ours, 64, &task, target);
    const int one = group_add(group, name, &transport_waitset, 64, &task, target);
    const int many = group_add(group, name, &transport_waitset_100, 64, &task, target);
    const int raw = group_add(group, name, &transport_eventfd, 64, &task, target);
    const int eventfd = group_add(group, name, &transport_fd_eventfd, 64, &task, target);
    const int uring = group_add(group, name, &transport_fd_uring, 64, &task, target);
    const int fifo = group_add(group, name, &transport_fd_fifo, 64, &task, target);

    group_run(group, rounds);
    group_report(group);
    compare(group, "wait set of one / plain receive", one, plain, 1.1);
    compare(group, "wait set of 101 / of one", many, one, 1.5);
    compare(group, "descriptor, eventfd / eventfd and epoll", eventfd, raw, 1.15);
    compare(group, "descriptor, io_uring / eventfd and epoll", uring, raw, 1.15);
    compare(group, "descriptor, FIFO / eventfd and epoll", fifo, raw, 1.15);
    group_end(group);
}

void case_waitset(const struct options *options)
{
    asleep(options, "asleep 30 us", 30000);
    asleep(options, "asleep 3 ms", 3000000);
    report_bars_table();
}
