/* SPDX-License-Identifier: MIT */
/* spin: a pool of processes that answer requests, which come at a rate of their own, at low,
 * medium and full load. Spin, block, or let the library decide: how late each request is,
 * and what it costs in CPU time. With more processes than processors, spinning takes the
 * processor from the process that would answer. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <tensoring/tensoring.h>
#include <time.h>
#include <unistd.h>

#include "harness/bench.h"
#include "harness/report.h"

#define WORK_NS UINT64_C(20000) /* what a request takes */
#define MOST    8u
#define STOP    UINT64_MAX

struct load {
    const char *name;
    double share; /* of what the processors can do */
};

struct scene {
    tr_arena *arena;
    tr_queue *queue;
    struct histogram *times; /* [MOST], shared: picoseconds from due to done */
};

static void work(uint64_t ns)
{
    const uint64_t end = clock_ns() + ns;

    while (clock_ns() < end)
        cpu_relax();
}

static _Noreturn void answer(struct scene *scene, unsigned member)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        tr_message *message;
        uint64_t due;

        if (tr_queue_receive(scene->queue, TR_FOREVER, &message) != 0)
            die("tr_queue_receive: %s", tr_error_detail());
        memcpy(&due, tr_message_tensor(message, 0)->data, sizeof due);
        tr_message_release(message);
        if (due == STOP)
            _exit(0);
        work(WORK_NS);
        histogram_add(&scene->times[member], (clock_ns() - due) * 1000);
    }
}

static void ask(struct scene *scene, uint64_t due)
{
    tr_message *message;

    if (tr_message_loan_bytes(scene->arena, sizeof due, TR_FOREVER, &message) != 0)
        die("tr_message_loan_bytes: %s", tr_error_detail());
    memcpy(tr_message_tensor(message, 0)->data, &due, sizeof due);
    if (tr_queue_send(scene->queue, message, TR_FOREVER) != 0)
        die("tr_queue_send: %s", tr_error_detail());
}

static void sleep_until(uint64_t when)
{
    const struct timespec until = {.tv_sec = (time_t)(when / 1000000000),
                                   .tv_nsec = (long)(when % 1000000000)};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        ;
}

/* Gaps between half and three halves of the mean, from a fixed seed. */
static uint64_t gap(uint64_t *seed, double mean_ns)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint64_t)(mean_ns * (0.5 + (double)(*seed >> 40) / (double)(1 << 24)));
}

static double cpu_s(const struct rusage *usage)
{
    return (double)usage->ru_utime.tv_sec + (double)usage->ru_stime.tv_sec +
           ((double)usage->ru_utime.tv_usec + (double)usage->ru_stime.tv_usec) / 1e6;
}

static void offer(struct scene *scene, const struct load *load, double seconds)
{
    const double processors = processes_processors() < 2 ? 1 : 2;
    const double mean = (double)WORK_NS / processors / load->share;
    uint64_t seed = 1, due = clock_ns();
    const uint64_t end = due + (uint64_t)(seconds * 1e9);

    while (due < end) {
        sleep_until(due);
        ask(scene, due);
        due += gap(&seed, mean);
    }
}

static void measure(unsigned members, const char *policy, int64_t spin_ns,
                    const struct load *load, double seconds)
{
    const tr_slot_class class = {64, 8192};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_queue_options wide = TR_QUEUE_OPTIONS_INIT;
    struct scene scene;
    struct histogram times = {0};
    char name[32], what[32];
    pid_t pids[MOST];
    double cpu = 0;

    options.classes = &class;
    options.class_count = 1;
    options.spin_ns = spin_ns;
    wide.capacity = 8192;
    if (tr_arena_create(NULL, &options, &scene.arena) != 0 ||
        tr_queue_open(scene.arena, "requests", &wide, &scene.queue) != 0)
        die("an arena: %s", tr_error_detail());
    scene.times = map_shared(MOST * sizeof *scene.times);
    for (unsigned i = 0; i < members; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            answer(&scene, i);
        if (pids[i] < 0)
            die("fork: %s", strerror(errno));
    }
    const uint64_t start = clock_ns();
    offer(&scene, load, seconds);
    for (unsigned i = 0; i < members; i++)
        ask(&scene, STOP);
    for (unsigned i = 0; i < members; i++) {
        struct rusage usage;

        if (wait4(pids[i], NULL, 0, &usage) != pids[i])
            die("wait4: %s", strerror(errno));
        cpu += cpu_s(&usage);
        histogram_merge(&times, &scene.times[i]);
    }
    snprintf(name, sizeof name, "pool-%u", members);
    snprintf(what, sizeof what, "%s-%s", policy, load->name);
    struct row row = {.name = name,
                      .transport = what,
                      .mode = spin_ns == 0 ? MODE_BLOCK : MODE_SPIN,
                      .bytes = sizeof(uint64_t),
                      .cpu_s = cpu,
                      .messages_per_s = (double)times.total * 1e9 /
                                        (double)(clock_ns() - start)};
    row_times(&row, &times);
    report_row(&row);
    unmap_shared(scene.times, MOST * sizeof *scene.times);
    tr_queue_close(scene.queue);
    tr_arena_close(scene.arena);
}

void case_spin(const struct options *options)
{
    static const struct load loads[] = {{"low", 0.05}, {"medium", 0.4}, {"full", 0.9}};
    static const struct {
        const char *name;
        int64_t spin_ns;
    } policies[] = {{"spin", INT64_C(1000000000)}, {"block", 0}, {"adapt", -1}};
    static const unsigned pools[] = {2, 8};

    for (size_t p = 0; p < 2; p++)
        for (size_t l = 0; l < 3; l++)
            for (size_t i = 0; i < 3; i++)
                measure(pools[p], policies[i].name, policies[i].spin_ns, &loads[l],
                        options->seconds / 18);
}
