/* SPDX-License-Identifier: MIT */
/* What the processes of a set do in a run. */
#include <time.h>

#include "harness/processes.h"

#define SPUN_GAP_NS UINT64_C(200000) /* longer ones are slept */

void round_trips(struct end *end, uint64_t count)
{
    const struct transport *t = end->transport;

    for (uint64_t i = 0; i < count; i++) {
        if (end->side == 0) {
            t->send(end);
            t->receive(end);
        } else {
            t->receive(end);
            t->send(end);
        }
    }
}

static void exchange(struct end *end, uint64_t count)
{
    const struct transport *t = end->transport;

    if (t->pingpong)
        t->pingpong(end, count);
    else
        round_trips(end, count);
}

/* What reading the clock adds to an interval. */
static uint64_t clock_cost_ns(void)
{
    uint64_t least = UINT64_MAX;

    for (unsigned i = 0; i < 16; i++) {
        const uint64_t start = clock_ns();
        for (unsigned j = 0; j < 8; j++)
            (void)clock_ns();
        const uint64_t cost = (clock_ns() - start) / 9;
        least = cost < least ? cost : least;
    }
    return least;
}

static void note(struct result *result, uint64_t took_ns, uint64_t clock_cost,
                 uint64_t parts)
{
    const uint64_t net = took_ns > clock_cost ? took_ns - clock_cost : 0;

    histogram_add(&result->times, net * 1000 / parts);
}

/* Round trips; a sample is half of one. */
void run_pingpong(struct end *end, const struct task *task, struct meeting *meeting,
                  struct result *result)
{
    (void)meeting;
    if (end->side == 1) {
        exchange(end, task->count);
        return;
    }
    const uint64_t cost = clock_cost_ns();
    uint64_t before = clock_ns();
    for (uint64_t done = 0; done < task->count; done += task->batch) {
        exchange(end, task->batch);
        const uint64_t now = clock_ns();
        note(result, now - before, cost, 2 * task->batch);
        before = now;
    }
}

/* One way; a sample is the time from a message to the next, at the receiver. */
void run_stream(struct end *end, const struct task *task, struct meeting *meeting,
                struct result *result)
{
    const struct transport *t = end->transport;

    (void)meeting;
    if (end->side == 0) {
        for (uint64_t i = 0; i < task->count; i++)
            t->send(end);
        return;
    }
    uint64_t before = clock_ns();
    for (uint64_t done = 0; done < task->count; done += task->batch) {
        for (uint64_t i = 0; i < task->batch; i++)
            t->receive(end);
        const uint64_t now = clock_ns();
        note(result, now - before, 0, task->batch);
        before = now;
    }
}

static void let_pass(uint64_t gap_ns)
{
    if (gap_ns <= SPUN_GAP_NS) {
        const uint64_t until = clock_ns() + gap_ns;
        while (clock_ns() < until)
            cpu_relax();
        return;
    }
    const struct timespec gap = {(time_t)(gap_ns / 1000000000u),
                                 (long)(gap_ns % 1000000000u)};
    nanosleep(&gap, NULL);
}

/* The receiver says that it is about to wait; the sender lets it sleep for the gap and
 * takes the time; the receiver takes it again when it is back. */
void run_wake(struct end *end, const struct task *task, struct meeting *meeting,
              struct result *result)
{
    const struct transport *t = end->transport;

    for (uint64_t i = 0; i < task->count; i++) {
        const uint64_t turn = (task->serial << 32) + i;
        if (end->side == 1) {
            atomic_store_explicit(&meeting->ready, turn, memory_order_release);
            t->receive(end);
            const uint64_t now = clock_ns();
            const uint64_t sent = atomic_load_explicit(&meeting->stamp,
                                                       memory_order_acquire);
            note(result, now > sent ? now - sent : 0, 0, 1);
            continue;
        }
        while (atomic_load_explicit(&meeting->ready, memory_order_acquire) != turn)
            cpu_relax();
        let_pass(task->gap_ns);
        atomic_store_explicit(&meeting->stamp, clock_ns(), memory_order_release);
        t->send(end);
    }
}

/* An open loop: messages are due at fixed times, however late those before were, and lateness
 * counts from when they were due, not from when they could be sent. */
void run_load(struct end *end, const struct task *task, struct meeting *meeting,
              struct result *result)
{
    const struct transport *t = end->transport;

    if (end->side == 1)
        atomic_store_explicit(&meeting->ready, task->serial << 32, memory_order_release);
    if (end->side == 0) { /* nothing is due before the receiver is there */
        while (atomic_load_explicit(&meeting->ready, memory_order_acquire) != task->serial
                                                                                  << 32)
            cpu_relax();
        const uint64_t start = clock_ns() + task->gap_ns;
        atomic_store_explicit(&meeting->stamp, start, memory_order_release);
        for (uint64_t i = 0; i < task->count; i++) {
            while (clock_ns() < start + i * task->gap_ns)
                cpu_relax();
            t->send(end);
        }
        return;
    }
    for (uint64_t i = 0; i < task->count; i++) {
        t->receive(end);
        const uint64_t due = atomic_load_explicit(&meeting->stamp, memory_order_acquire) +
                             i * task->gap_ns;
        const uint64_t now = clock_ns();
        note(result, now > due ? now - due : 0, 0, 1);
    }
}
