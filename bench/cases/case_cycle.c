/* SPDX-License-Identifier: MIT */
/* cycle: loan, send, receive, release in one thread, in units of uncontended atomic
 * read-modify-writes. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/bench.h"
#include "harness/report.h"

#define BATCH 64u

struct cycle {
    double ratio[COMPARISON_ROUNDS];
    struct histogram ours, rmw; /* picoseconds */
    uint64_t messages, elapsed_ns, cpu_ns;
};

static void time_rmw(struct histogram *times)
{
    static _Alignas(128) _Atomic uint64_t word;
    const uint64_t start = clock_ns();

    for (unsigned i = 0; i < 16 * BATCH; i++)
        atomic_fetch_add_explicit(&word, 1, memory_order_acq_rel);
    histogram_add(times, (clock_ns() - start) * 1000 / (16 * BATCH));
}

static void time_cycle(struct end *there, struct end *back, struct histogram *times)
{
    const uint64_t start = clock_ns();

    for (unsigned i = 0; i < BATCH; i++) {
        there->transport->send(there);
        there->transport->receive(back);
    }
    histogram_add(times, (clock_ns() - start) * 1000 / BATCH);
}

static _Noreturn void measure(void *state, struct cycle *cycle, unsigned rounds,
                              double seconds)
{
    struct end there = {.transport = &transport_ours,
                        .state = state,
                        .bytes = 64,
                        .mode = MODE_SPIN,
                        .touch = TOUCH_NONE};
    (void)member_prepare(&there, 0, 2, 64);
    struct end back = there;
    back.side = 1;

    transport_ours.configure(&there);
    for (unsigned round = 0; round <= rounds; round++) { /* the first one warms up */
        struct histogram ours = {0}, rmw = {0};
        const uint64_t start = clock_ns();
        const uint64_t until = start + (uint64_t)(seconds * 1e9 / (rounds + 1));
        while (clock_ns() < until) {
            time_rmw(&rmw);
            time_cycle(&there, &back, &ours);
        }
        if (round == 0)
            continue;
        cycle->ratio[round - 1] = (double)histogram_percentile(&ours, 0.5) /
                                  (double)histogram_percentile(&rmw, 0.5);
        histogram_merge(&cycle->ours, &ours);
        histogram_merge(&cycle->rmw, &rmw);
        cycle->messages += ours.total * BATCH;
        cycle->elapsed_ns += clock_ns() - start;
    }
    _exit(0);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void report(const struct cycle *cycle)
{
    struct row row = {.name = "cycle",
                      .transport = "ours",
                      .mode = MODE_SPIN,
                      .touch = TOUCH_NONE,
                      .bytes = 64,
                      .cpu_s = (double)cycle->elapsed_ns / 1e9};

    row_times(&row, &cycle->ours);
    row.messages_per_s = 1e9 / row.p50_ns;
    row.bytes_per_s = 64 * row.messages_per_s;
    report_row(&row);
    row.transport = "rmw";
    row.bytes = 8;
    row_times(&row, &cycle->rmw);
    row.messages_per_s = 1e9 / row.p50_ns;
    row.bytes_per_s = 8 * row.messages_per_s;
    report_row(&row);
}

struct ratio cycle_ratio(unsigned rounds, double seconds)
{
    struct cycle *cycle = map_shared(sizeof *cycle);
    struct ratio answer = {.rounds = 0};
    void *state;
    int status;

    if (transport_ours.open(64, &state) != 0)
        return answer;
    const pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        measure(state, cycle, rounds, seconds);
    }
    if (pid > 0 && waitpid(pid, &status, 0) == pid && status == 0) {
        qsort(cycle->ratio, rounds, sizeof cycle->ratio[0], by_value);
        answer = (struct ratio){.value = cycle->ratio[rounds / 2], .rounds = rounds};
        report(cycle);
    }
    transport_ours.close(state);
    unmap_shared(cycle, sizeof *cycle);
    return answer;
}

void case_cycle(const struct options *options)
{
    if (cycle_ratio(7, options->seconds).rounds == 0)
        die("the cycle could not be measured");
    cycle_scrub(options->seconds);
}
