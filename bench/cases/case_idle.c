/* SPDX-License-Identifier: MIT */
/* idle: processes that wait and do nothing else. Their CPU time, as a share of one processor, by
 * the kernel's count. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <tensoring/tensoring.h>
#include <time.h>
#include <unistd.h>

#include "harness/bench.h"
#include "harness/report.h"

#define PROCESSES 64u
#define TARGET    0.2 /* % of one processor, all together */
#define SETTLE    3.0 /* seconds */

enum way { WAY_RECEIVE, WAY_DESCRIPTOR };

static uint64_t cpu_ns(pid_t pid)
{
    struct timespec used;
    clockid_t clock;

    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) != 0)
        die("the CPU clock of process %d: %s", (int)pid, strerror(errno));
    return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

static _Noreturn void wait_by_descriptor(tr_arena *arena, tr_queue *queue)
{
    struct epoll_event interest = {.events = EPOLLIN}, ready;
    int fd, epoll = epoll_create1(EPOLL_CLOEXEC);
    tr_waitset *set;
    tr_event event;
    size_t count;

    if (tr_waitset_open(arena, &set) != 0 ||
        tr_waitset_add_queue(set, queue, TR_WAIT_READABLE, 0) != 0 ||
        tr_waitset_fd(set, &fd) != 0 ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &interest) != 0)
        die("wait set: %s", tr_error_detail());
    while (tr_waitset_wait(set, &event, 1, TR_NOWAIT, &count) != 0)
        (void)epoll_wait(epoll, &ready, 1, -1);
    _exit(0);
}

static _Noreturn void wait_here(tr_arena *arena, enum way way)
{
    tr_message *message;
    tr_queue *queue;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (tr_queue_open(arena, "jobs", NULL, &queue) != 0)
        die("tr_queue_open: %s", tr_error_detail());
    if (way == WAY_DESCRIPTOR)
        wait_by_descriptor(arena, queue);
    _exit(tr_queue_receive(queue, TR_FOREVER, &message) != 0);
}

static void let_pass(double seconds)
{
    const struct timespec pause = {
        .tv_sec = (time_t)seconds,
        .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};

    (void)nanosleep(&pause, NULL);
}

static void measure(enum way way, const char *what, double seconds)
{
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    pid_t pids[PROCESSES];
    uint64_t used = 0;
    tr_arena *arena;

    options.max_participants = PROCESSES + 8;
    if (tr_arena_create(NULL, &options, &arena) != 0)
        die("tr_arena_create: %s", tr_error_detail());
    for (unsigned i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            wait_here(arena, way);
        if (pids[i] < 0)
            die("fork: %s", strerror(errno));
    }
    let_pass(SETTLE); /* slices grow with the sleep */
    const uint64_t start = clock_ns();
    for (unsigned i = 0; i < PROCESSES; i++)
        used -= cpu_ns(pids[i]);
    let_pass(seconds);
    for (unsigned i = 0; i < PROCESSES; i++)
        used += cpu_ns(pids[i]);
    const double share = (double)used / (double)(clock_ns() - start);
    for (unsigned i = 0; i < PROCESSES; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    tr_arena_close(arena);
    report_bar(&(struct bar){.name = "64 idle processes",
                             .what = what,
                             .measured = 100 * share,
                             .place = "any",
                             .rounds = 1,
                             .target = TARGET});
}

void case_idle(const struct options *options)
{
    measure(WAY_RECEIVE, "% of one processor, in tr_queue_receive()",
            options->seconds / 2);
    measure(WAY_DESCRIPTOR, "% of one processor, in epoll_wait()", options->seconds / 2);
    report_bars_table();
}
