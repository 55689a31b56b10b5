/* SPDX-License-Identifier: MIT */
/* real_pool KIND PATH: a real library in real forked processes. What it says of itself and
 * how many threads it runs, when it was loaded before the fork and after it; and that a
 * child of a master that has used it does not hang. 77: the library is not here. */
#include <dirent.h>
#include <dlfcn.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tensoring/workers.h>

#include "src/workers/plan_bytes.h" /* it changes a plan */

enum { SKIP = 77, SIDE = 512, TASKS = 256, PATIENCE_S = 60 };

static tr_plan plan;
static tr_worker_report report;
static const char *kind, *path;
static bool openmp;
static _Atomic int ran; /* local: threads that took part in a region */

#define WANT(condition)                                                                \
    do {                                                                               \
        if (!(condition)) {                                                            \
            fprintf(stderr, "%s:%d: %s; ran %d, before %d, after %d (%s)\n", __FILE__, \
                    __LINE__, #condition, atomic_load(&ran), before(), after(),        \
                    tr_error_detail());                                                \
            _exit(1);                                                                  \
        }                                                                              \
    } while (0)

static const tr_thread_library *mine(void)
{
    for (uint32_t i = 0; i < report.library_count; i++)
        if (!strcmp(report.libraries[i].kind, kind))
            return &report.libraries[i];
    return NULL;
}

static int before(void)
{
    return mine() ? mine()->before : -2;
}

static int after(void)
{
    return mine() ? mine()->after : -2;
}

static void *symbol(const char *name)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *found = library ? dlsym(library, name) : NULL;

    if (!found) {
        fprintf(stderr, "%s has no %s\n", path, name);
        _exit(1);
    }
    return found;
}

/* Run time of each thread, ns, as the scheduler counts it; by index in *count places. */
static void run_times(uint64_t *ns, int *count)
{
    DIR *folder = opendir("/proc/self/task");
    struct dirent *entry;

    *count = 0;
    while (folder && (entry = readdir(folder)) && *count < TASKS) {
        char file[512];
        FILE *stat;

        if (entry->d_name[0] == '.')
            continue;
        snprintf(file, sizeof(file), "/proc/self/task/%s/schedstat", entry->d_name);
        stat = fopen(file, "re");
        if (stat && fscanf(stat, "%" SCNu64, &ns[*count]) == 1)
            ++*count;
        if (stat)
            fclose(stat);
    }
    if (folder)
        closedir(folder);
}

static void take_part(void *unused)
{
    (void)unused;
    atomic_fetch_add(&ran, 1);
}

/* One parallel region, as the compiler would call it. */
static void region(void)
{
    void (*parallel)(void (*)(void *), void *, unsigned, unsigned);
    void *at = symbol("GOMP_parallel");

    memcpy(&parallel, &at, sizeof(parallel));
    atomic_store(&ran, 0);
    parallel(take_part, NULL, 0, 0);
}

/* Matrix products. A thread took part if it ran for a quarter as long as the busiest one. Idle
 * threads of OpenBLAS spin for some 30 ms after their start, and then sleep: let them. */
static void product(void)
{
    enum { TIMES = 40 };
    static float a[SIDE * SIDE], b[SIDE * SIDE];
    uint64_t first[TASKS], last[TASKS], most = 0;
    void (*gemm)(int, int, int, int, int, int, float, const float *, int, const float *,
                 int, float, float *, int);
    void *at = symbol("cblas_sgemm");
    int old = 0, new = 0;

    memcpy(&gemm, &at, sizeof(gemm));
    for (int i = 0; i < TIMES; i++)
        gemm(101, 111, 111, SIDE, SIDE, SIDE, 1, a, SIDE, a, SIDE, 0, b, SIDE);
    run_times(first, &old);
    for (int i = 0; i < TIMES; i++)
        gemm(101, 111, 111, SIDE, SIDE, SIDE, 1, a, SIDE, a, SIDE, 0, b, SIDE);
    run_times(last, &new);
    atomic_store(&ran, 0);
    for (int i = 0; i < new &&i < old; i++)
        most = last[i] - first[i] > most ? last[i] - first[i] : most;
    for (int i = 0; i < new &&i < old; i++)
        if (last[i] - first[i] > most / 4)
            atomic_fetch_add(&ran, 1);
}

static void work(void)
{
    if (openmp)
        region();
    else
        product();
}

static void in_child(void (*body)(void), int expected_signal)
{
    int status;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        alarm(expected_signal ? 2 : PATIENCE_S);
        body();
        _exit(0);
    }
    waitpid(pid, &status, 0);
    if (expected_signal ? !WIFSIGNALED(status) || WTERMSIG(status) != expected_signal
                        : status != 0) {
        fprintf(stderr, "child: status %#x\n", status);
        _exit(1);
    }
}

static void enter(uint32_t threads)
{
    plan.worker[0].threads = threads;
    report = (tr_worker_report)TR_WORKER_REPORT_INIT;
    if (tr_worker_enter(&plan, 0, 0, &report) || report.bind_error)
        _exit(2);
}

/* Every thread lies within the worker's cores. */
static bool all_bound(void)
{
    DIR *folder = opendir("/proc/self/task");
    struct dirent *entry;
    bool bound = true;

    while (folder && (entry = readdir(folder))) {
        cpu_set_t set;
        tr_cpuset mask;

        if (entry->d_name[0] == '.' ||
            sched_getaffinity(atoi(entry->d_name), sizeof(set), &set))
            continue;
        memcpy(&mask, &set, sizeof(mask));
        for (size_t i = 0; i < TR_MAX_CPUS / 64; i++)
            bound &= (mask.bits[i] & ~plan.worker[0].cpus.bits[i]) == 0;
    }
    if (folder)
        closedir(folder);
    return bound;
}

static void loaded_after(void)
{
    enter(1);
    work();
    WANT(atomic_load(&ran) == 1);
    enter(1);
    WANT(mine() && after() == 1);
}

static void loaded_before(void)
{
    int at_first;

    enter(1);
    at_first = before();
    WANT(mine() && after() == 1);
    work();
    WANT(atomic_load(&ran) == 1);
    enter(3); /* more than before: the pool grows */
    WANT(before() == 1 && after() == 3);
    work();
    WANT(atomic_load(&ran) == 3);
    WANT(all_bound());
    enter(1);
    tr_worker_leave();
    enter(2);
    WANT(before() == at_first);
}

static void *thread_body(void *entered)
{
    if (entered && tr_worker_thread_enter())
        _exit(3);
    work();
    return NULL;
}

/* OpenMP counts for each thread: a new one has the default until it enters. */
static void threads_enter(void)
{
    pthread_t thread;

    enter(3);
    pthread_create(&thread, NULL, thread_body, &plan);
    pthread_join(thread, NULL);
    WANT(atomic_load(&ran) == 3);
}

static void just_work(void)
{
    work();
}

static bool hangs_without_prefork(void)
{
    return !strcmp(kind, "libgomp");
}

int main(int argc, char **argv)
{
    uint32_t paused;

    if (argc != 3)
        return 2;
    kind = argv[1];
    path = argv[2];
    openmp = strcmp(kind, "openblas") != 0;
    if (access(path, R_OK)) {
        printf("no %s here\n", path);
        return SKIP;
    }
    alarm(3 * PATIENCE_S);
    if (tr_plan_create(2, NULL, &plan))
        return 1;
    in_child(loaded_after, 0);
    symbol(openmp ? "GOMP_parallel" : "cblas_sgemm"); /* loads it, starts nothing */
    in_child(loaded_before, 0);
    if (openmp)
        in_child(threads_enter, 0);
    /* The master becomes a user of it, with threads of its own even on one core. */
    enter(2);
    work();
    if (hangs_without_prefork())
        in_child(just_work, SIGALRM); /* the hang that tr_worker_prefork() prevents */
    tr_worker_leave();
    if (tr_worker_prefork(&paused))
        return 1;
    in_child(loaded_before, 0);
    work(); /* the master's pool comes back */
    printf("%s: %s, %u paused before the fork\n", kind, path, paused);
    return 0;
}
