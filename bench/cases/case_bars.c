/* SPDX-License-Identifier: MIT */
/* bars: the ratios that we promise, each taken between neighbours of one round. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/bench.h"
#include "harness/report.h"

#define ROUNDS 7u
#define PACED  0.02 /* a message: work paced by the clock, not by messages, takes less */

static const char *place_name(const struct ratio *ratio)
{
    static const char *const names[] = {"near", "far", "mixed"};

    return names[ratio->place];
}

/* Names and descriptions live as long as the program. */
static const char *keep(const char *a, const char *b)
{
    char *text = malloc(strlen(a) + strlen(b) + 1);

    if (!text)
        die("no memory");
    strcpy(text, a);
    strcat(text, b);
    return text;
}

static struct bar bar_of(const char *name, const char *what, struct ratio ratio,
                         double target, double goal, bool at_least)
{
    return (struct bar){.name = name,
                        .what = what,
                        .measured = ratio.value,
                        .other = ratio.other,
                        .place = place_name(&ratio),
                        .rounds = ratio.rounds,
                        .target = target,
                        .goal = goal,
                        .at_least = at_least};
}

static void bar(const char *name, const char *what, struct ratio ratio, double target,
                double goal, bool at_least)
{
    const struct bar result = bar_of(name, what, ratio, target, goal, at_least);

    report_bar(&result);
}

static uint64_t bit(int cell)
{
    return cell < 0 ? 0 : UINT64_C(1) << cell;
}

static struct ratio inverse(struct ratio ratio)
{
    ratio.value = ratio.value > 0 ? 1 / ratio.value : 0;
    ratio.other = ratio.other > 0 ? 1 / ratio.other : 0;
    return ratio;
}

static const char *size_name(size_t bytes)
{
    static char text[8][32];
    static unsigned next;
    char *to = text[next++ % 8];

    if (bytes >= 1 << 20 && bytes % (1 << 20) == 0)
        snprintf(to, sizeof text[0], "%zu MiB", bytes >> 20);
    else if (bytes >= 1024 && bytes % 1024 == 0 && bytes < 1 << 20)
        snprintf(to, sizeof text[0], "%zu KiB", bytes >> 10);
    else if (bytes == 1769472)
        snprintf(to, sizeof text[0], "1.77 MB");
    else
        snprintf(to, sizeof text[0], "%zu B", bytes);
    return to;
}

/* ---- small messages, asleep, no touch ---- */

static void bars_small(double unit)
{
    struct comparison *comparison = comparison_new(2);
    struct task task = {
        .run = run_pingpong, .mode = MODE_SPIN, .touch = TOUCH_READWRITE, .batch = 64};
    const double target = 2e7 * unit;
    const int ours = comparison_add(comparison, "latency", &transport_ours, 64, &task,
                                    target);
    const int loan = comparison_add(comparison, "latency", &transport_ours_loan, 64,
                                    &task, target);
    const int flag = comparison_add(comparison, "floor", &transport_flag, 64, &task,
                                    target);
    (void)comparison_add(comparison, "floor", &transport_ring, 64, &task, target);

    task.touch = TOUCH_NONE;
    const int none = comparison_add(comparison, "latency", &transport_ours, 64, &task,
                                    target);
    const size_t large = (size_t)64 << 20;
    const int big = comparison_add(comparison, "latency", &transport_ours, large, &task,
                                   target);
    comparison_run(comparison, ROUNDS);
    comparison_report(comparison);
    bar("one way 64 B", "ours / flag ping-pong, spin",
        comparison_ratio(comparison, METRIC_P50, bit(ours), bit(flag)), 2.0, 1.5, false);
    bar("one way 64 B, loan", "ours-loan / flag ping-pong, spin",
        comparison_ratio(comparison, METRIC_P50, bit(loan), bit(flag)), 2.0, 1.5, false);
    bar("hand-over", "64 MiB / 64 B, untouched, spin",
        comparison_ratio(comparison, METRIC_P50, bit(big), bit(none)), 1.1, 0, false);
    comparison_end(comparison);
}

static void bars_wake(double unit, const char *name, uint64_t gap_ns)
{
    struct comparison *comparison = comparison_new(2);
    const struct task task = {
        .run = run_wake, .mode = MODE_BLOCK, .touch = TOUCH_NONE, .gap_ns = gap_ns};
    const double target = unit * (gap_ns < 100000 ? 3e7 : 3e8);
    const int ours = comparison_add(comparison, "wake", &transport_ours, 64, &task,
                                    target);
    const int futex = comparison_add(comparison, "wake", &transport_futex, 64, &task,
                                     target);
    (void)comparison_add(comparison, "wake", &transport_eventfd, 64, &task, target);

    comparison_run(comparison, ROUNDS);
    comparison_report(comparison);
    bar(name, "ours / raw futex, same sleep",
        comparison_ratio(comparison, METRIC_P50, bit(ours), bit(futex)), 1.1, 0, false);
    comparison_end(comparison);
}

/* ---- against loops by hand ---- */

static void bars_loop(double unit, size_t bytes)
{
    struct comparison *comparison = comparison_new(2);
    struct task task = {.run = run_pingpong,
                        .mode = MODE_SPIN,
                        .touch = TOUCH_READWRITE,
                        .batch = bytes <= 4096 ? 16 : 1};
    const double target = unit * 1.5e7;
    const int copy = comparison_add(comparison, "latency", &transport_ours, bytes, &task,
                                    target);
    const int loop = comparison_add(comparison, "floor", &transport_loop, bytes, &task,
                                    target);
    const int loan = comparison_add(comparison, "latency", &transport_ours_loan, bytes,
                                    &task, target);
    const int fill = comparison_add(comparison, "latency", &transport_loop_fill, bytes,
                                    &task, target);
    const bool small = bytes <= 4096;

    comparison_run(comparison, ROUNDS);
    comparison_report(comparison);
    bar(keep("one copy ", size_name(bytes)), "ours / memcpy + flag + read, spin",
        comparison_ratio(comparison, METRIC_P50, bit(copy), bit(loop)), small ? 1.5 : 1.1,
        bytes >= 1 << 20 ? 0.85 : 0, false);
    if (!small)
        bar(keep("loan ", size_name(bytes)), "ours-loan / fill + flag + read, spin",
            comparison_ratio(comparison, METRIC_P50, bit(loan), bit(fill)), 1.05, 0,
            false);
    comparison_end(comparison);
}

/* ---- against sockets ---- */

struct targets {
    size_t bytes;
    double spin_copy, block_copy; /* 0: no promise */
    double best_copy, best_loan;  /* both in their best mode */
    bool cpu;                     /* seconds a MiB, asleep: 0.8 and 0.5 */
};

static const struct targets sockets[] = {
    {64, 15, 1, 0, 0, false},       {4096, 0, 1, 0, 0, false},
    {65536, 3, 1.25, 0, 0, false},  {1 << 20, 0, 1, 1.2, 1.4, true},
    {16 << 20, 0, 1, 1.5, 2, true},
};

/* What takes part, by mode: spinning and asleep. */
struct sides {
    uint64_t copy[2], loan[2], socket[2];
    uint64_t hand_copy[2],
        hand_fill[2]; /* the loops by hand: the best that is possible */
};

static void faster(const struct comparison *comparison, const char *name,
                   const char *what, uint64_t subject, uint64_t reference,
                   uint64_t by_hand, double target)
{
    const struct ratio ours = inverse(
        comparison_ratio(comparison, METRIC_P50, subject, reference));
    struct bar result = bar_of(name, what, ours, target, 0, true);

    result.by_hand = inverse(comparison_ratio(comparison, METRIC_P50, by_hand, reference))
                         .value;
    if (target > 0)
        report_bar(&result);
}

static void cheaper(const struct comparison *comparison, const char *name,
                    const char *what, uint64_t subject, uint64_t reference,
                    uint64_t by_hand, double target)
{
    const struct ratio ours = comparison_ratio(comparison, METRIC_CPU, subject,
                                               reference);
    struct bar result = bar_of(name, what, ours, target, 0, false);

    result.by_hand = comparison_ratio(comparison, METRIC_CPU, by_hand, reference).value;
    report_bar(&result);
}

static void report_sockets(const struct comparison *comparison, const struct targets *t,
                           const struct sides *s)
{
    const char *size = size_name(t->bytes);
    const uint64_t any = s->socket[0] | s->socket[1];

    faster(comparison, keep("spinning ", size), "best socket / ours", s->copy[0], any,
           s->hand_copy[0], t->spin_copy);
    faster(comparison, keep("asleep ", size), "best socket / ours, both asleep",
           s->copy[1], s->socket[1], s->hand_copy[1], t->block_copy);
    faster(comparison, keep("best mode ", size), "best socket / ours",
           s->copy[0] | s->copy[1], any, s->hand_copy[0] | s->hand_copy[1], t->best_copy);
    faster(comparison, keep("best mode, loan ", size), "best socket / ours-loan",
           s->loan[0] | s->loan[1], any, s->hand_fill[0] | s->hand_fill[1], t->best_loan);
    if (!t->cpu)
        return;
    /* The socket that is fastest is not the one that is cheapest: take the cheapest. */
    cheaper(comparison, keep("CPU a MiB ", size), "ours / cheapest socket, both asleep",
            s->copy[1], s->socket[1], s->hand_copy[1], 0.8);
    cheaper(comparison, keep("CPU a MiB, loan ", size),
            "ours-loan / cheapest socket, both asleep", s->loan[1], s->socket[1],
            s->hand_fill[1], 0.5);
}

static uint64_t *set_of(struct sides *sides, const struct transport *transport)
{
    return transport == &transport_ours        ? sides->copy
           : transport == &transport_ours_loan ? sides->loan
           : transport == &transport_loop      ? sides->hand_copy
           : transport == &transport_loop_fill ? sides->hand_fill
           : is_socket(transport)              ? sides->socket
                                               : NULL;
}

static void bars_sockets(double unit, const struct targets *t)
{
    struct comparison *comparison = comparison_new(2);
    struct sides sides = {{0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}};

    for (size_t i = 0; i < transport_count; i++) {
        uint64_t *set = set_of(&sides, transports[i]);
        for (enum mode mode = MODE_SPIN; set && mode <= MODE_BLOCK; mode++) {
            const struct task task = {.run = run_pingpong,
                                      .mode = mode,
                                      .touch = TOUCH_FILLREAD,
                                      .batch = t->bytes <= 4096 ? 16 : 1};
            set[mode - MODE_SPIN] |= bit(comparison_add(
                comparison, "latency", transports[i], t->bytes, &task, unit * 1e7));
        }
    }
    comparison_run(comparison, ROUNDS);
    comparison_report(comparison);
    report_sockets(comparison, t, &sides);
    comparison_end(comparison);
}

/* ---- messages a second ---- */

static void bars_rate(double unit, const char *name, unsigned members)
{
    struct comparison *comparison = comparison_new(members);
    const struct task task = {
        .run = run_stream, .mode = MODE_SPIN, .touch = TOUCH_READWRITE, .batch = 64};
    const double target = unit * (members > 2 ? 1e8 : 3e7);
    const int ours = comparison_add(comparison, members > 2 ? "rate-2x2" : "rate",
                                    &transport_ours, 64, &task, target);
    const int vyukov = comparison_add(comparison, members > 2 ? "rate-2x2" : "rate",
                                      &transport_vyukov, 64, &task, target);

    comparison_run(comparison, ROUNDS);
    comparison_report(comparison);
    bar(name, "ours / Vyukov queue, messages a second",
        comparison_ratio(comparison, METRIC_RATE, bit(ours), bit(vyukov)), 0.4, 0, true);
    comparison_end(comparison);
}

static void bars_counted(double unit)
{
    static const size_t sizes[] = {64, 1 << 20};

    bar("cycle", "loan-send-receive-release / atomic RMW",
        cycle_ratio(ROUNDS, 0.5 * unit), 10, 7, false);
    bar("attach 128 MiB", "attach / MAP_POPULATE, all pages read",
        attach_ratio((size_t)128 << 20, ROUNDS), 1.3, 0, false);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        double faults, syscalls;
        faults_of(&transport_ours, sizes[i], MODE_SPIN, 2000, &faults, &syscalls);
        const unsigned rounds = faults >= 0;
        bar(keep("faults ", size_name(sizes[i])), "page faults a message",
            (struct ratio){.value = faults, .rounds = rounds}, PACED, 0, false);
        bar(keep("system calls ", size_name(sizes[i])), "system calls a message",
            (struct ratio){.value = syscalls, .rounds = rounds}, PACED, 0, false);
    }
}

static void bars_shared(double unit)
{
    const struct options options = {.seconds = 6 * unit, .modes = MODE_SPIN};

    bars_request(&options);
    bars_board(&options);
    bars_broadcast(&options);
}

void case_bars(const struct options *options)
{
    static const size_t sizes[] = {4096, 65536, 1 << 20, 1769472, 16 << 20, 64 << 20};
    const double unit = options->seconds / 30; /* the default is 30 s, for about 45 */

    report_quiet(true);
    bars_small(unit);
    bars_wake(unit, "wake after 30 us", 30000);
    bars_wake(unit, "wake after 3 ms", 3000000);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        bars_loop(unit, sizes[i]);
    for (size_t i = 0; i < sizeof sockets / sizeof sockets[0]; i++)
        bars_sockets(unit, &sockets[i]);
    bars_rate(unit, "messages/s 1 to 1", 2);
    bars_rate(unit, "messages/s 2 to 2", 4);
    bars_counted(unit);
    bars_shared(unit);
    report_bars_table();
}
