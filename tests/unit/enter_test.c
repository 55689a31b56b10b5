/* SPDX-License-Identifier: MIT */
/* Libraries are the matter of tests/e2e/workers; here are masks, environment, bookkeeping.
 * Each case changes its process, so each runs in a child of its own. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <tensoring/enter.h>

#include "src/workers/enter_bind.h"
#include "src/workers/plan_bytes.h"

static tr_plan plan;
static tr_worker_report report;

/* Assertions of cmocka may not leave a child: print and end. */
#define WANT(condition)                                                         \
    do {                                                                        \
        if (!(condition)) {                                                     \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition, \
                    tr_error_detail());                                         \
            _exit(1);                                                           \
        }                                                                       \
    } while (0)

/* Coverage builds alone have it; _exit() does not write the counts. */
extern void __gcov_dump(void) __attribute__((weak));

static void in_child(void (*body)(void))
{
    int status;
    pid_t pid;

    assert_int_equal(tr_plan_create(2, NULL, &plan), 0);
    plan.worker[0].threads = 3;
    report = (tr_worker_report)TR_WORKER_REPORT_INIT;
    fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        body();
        if (__gcov_dump)
            __gcov_dump();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static int is(const char *variable, const char *value)
{
    const char *now = getenv(variable);

    return value ? now && !strcmp(now, value) : !now;
}

static void enter_and_leave(void)
{
    tr_cpuset before, now;

    setenv("MKL_NUM_THREADS", "7", 1);
    unsetenv("OMP_NUM_THREADS");
    WANT(bind_get(&before) == 0);
    WANT(tr_worker_index() == TR_PLAN_UNKNOWN && tr_worker_threads() == 1);
    WANT(tr_worker_enter(&plan, 0, 0, &report) == 0);
    WANT(report.bind_error == 0 && report.tasks >= 1);
#ifndef TR_INSTRUMENTED /* sanitizers have threads of their own */
    WANT(report.tasks == 1);
#endif
    WANT(report.index == 0 && report.threads == 3);
    WANT(!memcmp(&report.before, &before, sizeof(before)));
    WANT(!memcmp(&report.after, &plan.worker[0].cpus, sizeof(before)));
    WANT(bind_get(&now) == 0 && !memcmp(&now, &plan.worker[0].cpus, sizeof(now)));
    WANT(is("OMP_NUM_THREADS", "3") && is("MKL_NUM_THREADS", "3"));
    WANT(is("TENSORING_WORKER", "0/2"));
    WANT(tr_worker_index() == 0 && tr_worker_threads() == 3);
    /* twice is once; another part is another part */
    WANT(tr_worker_enter(&plan, 0, 0, NULL) == 0);
    WANT(tr_worker_enter(&plan, 1, 0, &report) == 0);
    WANT(!memcmp(&report.before, &plan.worker[0].cpus, sizeof(now)));
    WANT(is("TENSORING_WORKER", "1/2") && tr_worker_index() == 1);
    tr_worker_leave();
    WANT(bind_get(&now) == 0 && !memcmp(&now, &before, sizeof(now)));
    WANT(is("OMP_NUM_THREADS", NULL) && is("MKL_NUM_THREADS", "7"));
    WANT(is("TENSORING_WORKER", NULL) && tr_worker_index() == TR_PLAN_UNKNOWN);
    tr_worker_leave();
}

static void enters_and_leaves(void **state)
{
    (void)state;
    in_child(enter_and_leave);
}

static pthread_barrier_t meet;

static void *report_mask(void *mask)
{
    pthread_barrier_wait(&meet); /* alive */
    pthread_barrier_wait(&meet); /* bound */
    return bind_get(mask) ? mask : NULL;
}

static void bind_threads(void)
{
    tr_cpuset mask[3] = {0};
    pthread_t thread[3];
    void *failed;

    pthread_barrier_init(&meet, NULL, 4);
    for (int i = 0; i < 3; i++)
        WANT(pthread_create(&thread[i], NULL, report_mask, &mask[i]) == 0);
    pthread_barrier_wait(&meet);
    WANT(tr_worker_enter(&plan, 1, 0, &report) == 0);
    pthread_barrier_wait(&meet);
    WANT(report.tasks >= 4); /* sanitizers have threads of their own */
    for (int i = 0; i < 3; i++) {
        pthread_join(thread[i], &failed);
        WANT(!failed && !memcmp(&mask[i], &plan.worker[1].cpus, sizeof(mask[i])));
    }
}

static void binds_every_thread(void **state)
{
    (void)state;
    in_child(bind_threads);
}

static void leave_things_alone(void)
{
    tr_cpuset before, now;

    WANT(bind_get(&before) == 0);
    setenv("OMP_NUM_THREADS", "9", 1);
    unsetenv("MKL_NUM_THREADS");
    WANT(tr_worker_enter(&plan, 0,
                         TR_ENTER_NO_BIND | TR_ENTER_NO_ENV | TR_ENTER_NO_LIBRARIES,
                         &report) == 0);
    WANT(bind_get(&now) == 0 && !memcmp(&now, &before, sizeof(now)));
    WANT(is("OMP_NUM_THREADS", "9") && is("MKL_NUM_THREADS", NULL));
    WANT(report.tasks == 0 && report.library_count == 0);
    WANT(tr_worker_enter(&plan, 0, TR_ENTER_KEEP_ENV, &report) == 0);
    WANT(is("OMP_NUM_THREADS", "9") && is("MKL_NUM_THREADS", "3"));
    tr_worker_leave();
    WANT(is("OMP_NUM_THREADS", "9") && is("MKL_NUM_THREADS", NULL));
}

static void flags_leave_things_alone(void **state)
{
    (void)state;
    in_child(leave_things_alone);
}

static void be_refused(void)
{
    tr_cpuset before, now;

    WANT(bind_get(&before) == 0);
    memset(&plan.worker[0].cpus, 0, sizeof(tr_cpuset));
    plan.worker[0].cpus.bits[TR_MAX_CPUS / 64 - 1] = UINT64_C(1) << 63; /* no such CPU */
    WANT(tr_worker_enter(&plan, 0, 0, &report) == 0);
    WANT(report.bind_error == TR_EINVAL);
    WANT(bind_get(&now) == 0 && !memcmp(&now, &before, sizeof(now)));
    WANT(is("OMP_NUM_THREADS", "3"));
}

static void what_the_kernel_refuses_is_reported(void **state)
{
    (void)state;
    in_child(be_refused);
}

static void *enter_thread(void *result)
{
    *(int *)result = tr_worker_thread_enter();
    return NULL;
}

static void enter_in_threads(void)
{
    pthread_t thread;
    int result = 1;

    WANT(tr_worker_thread_enter() == TR_EINVAL);
    WANT(tr_worker_enter(&plan, 0, 0, NULL) == 0);
    WANT(tr_worker_thread_enter() == 0);
    WANT(tr_worker_thread_enter() == 0);
    WANT(pthread_create(&thread, NULL, enter_thread, &result) == 0);
    pthread_join(thread, NULL);
    WANT(result == 0);
    tr_worker_leave();
    WANT(tr_worker_thread_enter() == TR_EINVAL);
}

static void threads_enter_after_their_process(void **state)
{
    (void)state;
    in_child(enter_in_threads);
}

static void refuses_nonsense(void **state)
{
    tr_worker_report wrong = {.struct_size = 0};
    tr_worker_report odd = TR_WORKER_REPORT_INIT;

    (void)state;
    assert_int_equal(tr_plan_create(2, NULL, &plan), 0);
    assert_int_equal(tr_worker_enter(NULL, 0, 0, NULL), TR_EINVAL);
    assert_int_equal(tr_worker_enter(&plan, 2, 0, NULL), TR_EINVAL);
    assert_int_equal(tr_worker_enter(&plan, 0, 1u << 31, NULL), TR_EINVAL);
    assert_int_equal(tr_worker_enter(&plan, 0, 0, &wrong), TR_EINVAL);
    odd.library_bytes += 4;
    assert_int_equal(tr_worker_enter(&plan, 0, 0, &odd), TR_EINVAL);
    odd.library_bytes = 0;
    assert_int_equal(tr_worker_enter(&plan, 0, 0, &odd), TR_EINVAL);
    plan.size--;
    assert_int_equal(tr_worker_enter(&plan, 0, 0, NULL), TR_EINVAL);
    assert_int_equal(tr_worker_index(), TR_PLAN_UNKNOWN);
}

static void older_reports_get_what_they_know(void)
{
    struct {
        uint32_t struct_size, library_bytes, index, threads, guard;
    } old = {16, 8, 77, 77, 77};

    WANT(tr_worker_enter(&plan, 1, 0, (tr_worker_report *)&old) == 0);
    WANT(old.struct_size == 16 && old.library_bytes == 8 && old.index == 1 &&
         old.threads != 77 && old.guard == 77);
}

static void reports_may_be_older(void **state)
{
    (void)state;
    in_child(older_reports_get_what_they_know);
}

static void memory_is_asked_for(void **state)
{
    size_t bytes = 1 << 20;
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                        -1, 0);
    int err;

    (void)state;
    assert_true(memory != MAP_FAILED);
    assert_int_equal(tr_plan_create(2, NULL, &plan), 0);
    err = tr_worker_bind_memory(&plan, 0, memory + 100, bytes - 100);
    assert_true(err == 0 || err == TR_EPERM || err == TR_ENOTSUP);
    assert_int_equal(tr_worker_bind_memory(&plan, 5, memory, bytes), TR_EINVAL);
    assert_int_equal(tr_worker_bind_memory(&plan, 0, NULL, bytes), TR_EINVAL);
    plan.worker[0].nodes = 0;
    assert_int_equal(tr_worker_bind_memory(&plan, 0, memory, bytes), TR_ENOTSUP);
    munmap(memory, bytes);
}

static void nothing_to_pause_here(void **state)
{
    uint32_t paused = 7;
    size_t count = 99;

    (void)state;
    assert_int_equal(tr_worker_prefork(&paused), 0);
    assert_int_equal(paused, 0);
    assert_int_equal(tr_worker_libraries(NULL, sizeof(tr_thread_library), 0, &count), 0);
    assert_int_equal(count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(enters_and_leaves),
        cmocka_unit_test(binds_every_thread),
        cmocka_unit_test(flags_leave_things_alone),
        cmocka_unit_test(what_the_kernel_refuses_is_reported),
        cmocka_unit_test(threads_enter_after_their_process),
        cmocka_unit_test(refuses_nonsense),
        cmocka_unit_test(reports_may_be_older),
        cmocka_unit_test(memory_is_asked_for),
        cmocka_unit_test(nothing_to_pause_here),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
