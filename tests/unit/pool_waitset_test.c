/* SPDX-License-Identifier: MIT */
/* The time to stop as a member of a wait set: beside jobs, whichever way the set waits. */
#include "src/waitset/waitset.h" /* before the scene, whose arena it would hide */

#include "pool_scene.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>

#include "ipc/kernel/os.h"

enum { JOB = 1, STOP, OTHER, MANY = 2 * OS_WORDS };

enum way { BY_WORDS, BY_DOORBELL, BY_DESCRIPTOR, FROM_OUTSIDE };

static enum way the_way;
static struct os_calls patient;

static int set_up(void **state)
{
    (void)state;
    waitset_slice_ns = INT64_C(3600000000000);
    return scene_open(NULL);
}

static int tear_down(void **state)
{
    (void)state;
    scene_close();
    return childless() ? 0 : -1;
}

/* A sleep ends by a wake-up and not by its time, or the test hangs. */
static int wait_long(const _Atomic uint32_t *word, uint32_t seen, int64_t until_ns)
{
    (void)until_ns;
    return os_kernel.futex_wait(word, seen, INT64_MAX);
}

static int waitv_long(const struct os_word *words, uint32_t count, int64_t until_ns)
{
    (void)until_ns;
    return os_kernel.futex_waitv(words, count, INT64_MAX);
}

static void be_patient(void)
{
    patient = os_kernel;
    patient.futex_wait = wait_long;
    patient.futex_waitv = waitv_long;
    os = &patient;
}

static void send_job(void)
{
    tr_message *message;

    assert_int_equal(tr_message_loan_bytes(arena, 8, TR_FOREVER, &message), 0);
    assert_int_equal(tr_queue_send(queue, message, TR_FOREVER), 0);
}

/* Give the set what makes it wait in that way. */
static bool take_way(tr_waitset *set)
{
    tr_queue *other;
    char name[16];

    if (the_way == BY_DESCRIPTOR)
        return tr_waitset_add_fd(set, gate[0], TR_WAIT_READABLE, OTHER) == 0;
    for (int i = 0; the_way == BY_DOORBELL && i < MANY; i++) {
        snprintf(name, sizeof(name), "other%d", i);
        if (tr_queue_open(arena, name, NULL, &other) ||
            tr_waitset_add_queue(set, other, TR_WAIT_READABLE, OTHER))
            return false;
    }
    return true;
}

/* One event at a time; its token, or 0: there was none. */
static uint64_t next(tr_waitset *set)
{
    struct pollfd poller = {.fd = -1, .events = POLLIN};
    tr_event event = {0};
    size_t count;
    int err;

    if (the_way != FROM_OUTSIDE)
        return tr_waitset_wait(set, &event, 1, TR_FOREVER, &count) ? 0 : event.token;
    for (;;) {
        err = tr_waitset_wait(set, &event, 1, TR_NOWAIT, &count);
        if (err != TR_EAGAIN)
            return err ? 0 : event.token;
        if (tr_waitset_fd(set, &poller.fd) || poll(&poller, 1, -1) != 1)
            return 0;
    }
}

static tr_waitset *open_set(tr_pool_worker *worker)
{
    tr_waitset *set;

    if (tr_waitset_open(arena, &set) ||
        tr_waitset_add_queue(set, queue, TR_WAIT_READABLE, JOB) || !take_way(set) ||
        tr_waitset_add_pool_worker(set, worker, STOP))
        _exit(90);
    return set;
}

/* As long as it holds; jobs that wait are told of in turn. */
static bool told_again(tr_waitset *set)
{
    return next(set) == STOP || next(set) == STOP;
}

/* Tells of each job, and ends when the set says so. */
static int serve(tr_pool_worker *worker, void *context)
{
    tr_waitset *set = open_set(worker);
    tr_message *message;
    uint64_t token;

    (void)context;
    be_patient();
    tr_pool_worker_ready(worker);
    while ((token = next(set)) == JOB) {
        if (tr_queue_receive(queue, TR_NOWAIT, &message))
            continue; /* another was faster */
        tr_message_release(message);
        tr_pool_worker_job_done(worker);
        tell('j');
    }
    if (token != STOP || !tr_pool_worker_stopping(worker) || !told_again(set))
        return 1;
    tr_waitset_close(set);
    return 0;
}

static void one_after_the_other(tr_pool *pool, uint32_t jobs)
{
    for (uint32_t i = 0; i < jobs; i++) {
        send_job();
        assert_int_equal(hear(), 'j');
    }
    assert_int_equal(pool_status(pool).alive, pool_status(pool).workers);
}

static void works_and_stops(enum way way)
{
    tr_pool *pool;

    the_way = way;
    pool = start(serve, 2, NULL);
    wait_for_ready(pool, 2);
    one_after_the_other(pool, 10);
    assert_int_equal(tr_pool_resize(pool, 1), 0); /* the other one works on */
    wait_for_deaths(pool, 1);
    one_after_the_other(pool, 10);
    assert_int_equal(tr_pool_reload(pool), 0);
    wait_for_deaths(pool, 2);
    one_after_the_other(pool, 10);
    stop(pool);
    assert_int_equal(deaths, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(death[i].exit_code, 0);
        assert_int_equal(death[i].expected, 1);
    }
}

static void stops_a_set_that_waits_by_words(void **state)
{
    (void)state;
    works_and_stops(BY_WORDS);
}

static void stops_a_set_of_many_members(void **state)
{
    (void)state;
    works_and_stops(BY_DOORBELL);
}

static void stops_a_set_with_descriptors(void **state)
{
    (void)state;
    works_and_stops(BY_DESCRIPTOR);
}

static void stops_an_event_loop(void **state)
{
    (void)state;
    works_and_stops(FROM_OUTSIDE);
}

static void three_jobs(tr_pool_options *options)
{
    options->max_jobs = 3;
}

static void is_ready_when_the_jobs_are_done(void **state)
{
    tr_pool *pool;

    (void)state;
    the_way = BY_WORDS;
    pool = start(serve, 1, three_jobs);
    for (int i = 0; i < 7; i++) {
        send_job();
        while (!poll(&(struct pollfd){.fd = told[0], .events = POLLIN}, 1, 1))
            turn(pool);
        assert_int_equal(hear(), 'j');
    }
    wait_for_deaths(pool, 2);
    assert_int_equal(death[0].jobs, 3);
    assert_int_equal(death[0].exit_code, 0);
    assert_int_equal(death[0].expected, 1);
    stop(pool);
}

/* Nobody tells: it looks. */
static int wait_alone(tr_pool_worker *worker, void *context)
{
    tr_waitset *set = open_set(worker);

    (void)context;
    tell('a');
    return next(set) == STOP ? 0 : 1;
}

static void is_ready_when_the_master_is_gone(enum way way)
{
    pid_t master;

    the_way = way;
    waitset_slice_ns = 250000000;
    master = fork();
    if (master == 0) {
        tr_pool *pool = start(wait_alone, 2, NULL);

        for (;;)
            turn(pool);
    }
    kill_master(master);
}

static void notices_a_dead_master(void **state)
{
    (void)state;
    is_ready_when_the_master_is_gone(BY_WORDS);
}

static void notices_a_dead_master_in_an_event_loop(void **state)
{
    (void)state;
    is_ready_when_the_master_is_gone(FROM_OUTSIDE);
}

static int exit_code_of(pid_t pid)
{
    int status;

    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status)
                                                                : -1;
}

/* What a child of the worker sees. */
static int look_as_child(tr_waitset *set, tr_pool_worker *worker)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(next(set) != STOP                                            ? 1
              : tr_waitset_add_pool_worker(set, worker, OTHER) != TR_EFORK ? 2
                                                                           : 0);
    return exit_code_of(pid);
}

/* The conditions hold in the worker: each has its exit code. */
static int try_calls(tr_pool_worker *worker, void *context)
{
    tr_waitset *set = open_set(worker);
    tr_event event;
    size_t count;

    (void)context;
    if (tr_waitset_wait(set, &event, 1, TR_NOWAIT, &count) != TR_EAGAIN)
        return 1;
    if (tr_waitset_add_pool_worker(set, worker, OTHER) != TR_EEXIST)
        return 2;
    if (tr_waitset_add_pool_worker(set, NULL, OTHER) != TR_EINVAL)
        return 3;
    if (tr_waitset_add_pool_worker(NULL, worker, OTHER) != TR_EINVAL)
        return 4;
    if (look_as_child(set, worker))
        return 5;
    if (tr_waitset_remove(set, STOP) || tr_waitset_add_pool_worker(set, worker, OTHER))
        return 6;
    tell('t');
    if (next(set) != OTHER || tr_waitset_remove(set, OTHER))
        return 7;
    return tr_waitset_wait(set, &event, 1, TR_NOWAIT, &count) == TR_EAGAIN ? 0 : 8;
}

static void has_the_rules_of_members(void **state)
{
    static const enum way ways[] = {BY_WORDS, BY_DOORBELL, BY_DESCRIPTOR, FROM_OUTSIDE};

    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        tr_pool *pool;

        the_way = ways[i];
        pool = start(try_calls, 1, NULL);
        wait_for_ready(pool, 0);
        assert_int_equal(hear(), 't');
        stop(pool);
        assert_int_equal(death[i].exit_code, 0);
    }
}

/* Whether nothing was written into these pipes. */
static bool are_empty(int (*pipes)[2], int count)
{
    for (int i = 0; i < count; i++)
        if (poll(&(struct pollfd){.fd = pipes[i][0], .events = POLLIN}, 1, 0) != 0)
            return false;
    return true;
}

static int close_all_and_wait(tr_pool_worker *worker, void *context)
{
    tr_waitset *set = open_set(worker);
    int ours[20][2];

    (void)context;
    for (int fd = 3; fd < 1024; fd++)
        if (fd != told[1] && fd != gate[0])
            close(fd);
    for (int i = 0; i < 20; i++) /* by the numbers of the library's */
        if (pipe(ours[i]))
            return 2;
    tell('c');
    if (next(set) != STOP)
        return 1;
    return are_empty(ours, 20) ? 0 : 3;
}

/* It is late then. */
static void works_without_descriptors(void **state)
{
    tr_pool *pool;

    (void)state;
    the_way = BY_DOORBELL;
    pool = start(close_all_and_wait, 1, NULL);
    assert_int_equal(hear(), 'c');
    stop(pool);
    assert_int_equal(death[0].exit_code, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(stops_a_set_that_waits_by_words, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(stops_a_set_of_many_members, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stops_a_set_with_descriptors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stops_an_event_loop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(is_ready_when_the_jobs_are_done, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(notices_a_dead_master, set_up, tear_down),
        cmocka_unit_test_setup_teardown(notices_a_dead_master_in_an_event_loop, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(has_the_rules_of_members, set_up, tear_down),
        cmocka_unit_test_setup_teardown(works_without_descriptors, set_up, tear_down),
    };

    if (!has_pidfds())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
