/* SPDX-License-Identifier: MIT */
/* Descriptors of a supervisor: those that it loses, those that are not its own, those that
 * its workers inherit. */
#include "pool_scene.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "src/workers/pool_internal.h"

enum { TOP = 1024 };

static int set_up(void **state)
{
    (void)state;
    return scene_open(NULL);
}

static int tear_down(void **state)
{
    (void)state;
    scene_close();
    return childless() ? 0 : -1;
}

static void send_job(void)
{
    tr_message *message;

    assert_int_equal(tr_message_loan_bytes(arena, 8, TR_FOREVER, &message), 0);
    assert_int_equal(tr_queue_send(queue, message, TR_FOREVER), 0);
}

static void let_go(void)
{
    assert_int_equal(write(gate[1], "g", 1), 1);
}

/* Takes a job, tells, and finishes it only when it is let. */
static int hold(tr_pool_worker *worker, void *context)
{
    tr_message *message;
    char what;

    (void)context;
    while (!tr_pool_worker_receive(worker, queue, TR_FOREVER, &message)) {
        tell('h');
        if (read(gate[0], &what, 1) != 1)
            return 1;
        tr_message_release(message);
    }
    return 0;
}

/* ---- descriptors ---- */

/* Calls @p visit for each descriptor of a kind: the target of its link in /proc. */
static uint32_t each_descriptor(const char *kind, void (*visit)(int))
{
    uint32_t count = 0;

    for (int fd = 0; fd < TOP; fd++) {
        char path[32], target[64] = "";

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        if (readlink(path, target, sizeof(target) - 1) > 0 && !strcmp(target, kind)) {
            visit(fd);
            count++;
        }
    }
    return count;
}

static void lose(int fd)
{
    close(fd);
}

/* As a program does that closes a descriptor twice, and another thread opens meanwhile. */
static void mistake_for_a_pipe(int fd)
{
    assert_int_equal(dup2(gate[0], fd), fd);
}

static void do_not_touch(int fd)
{
    (void)fd;
}

static const char pidfds[] = "anon_inode:[pidfd]";

static void survives_lost_pidfds(void **state)
{
    tr_pool *pool = start(hold, 3, NULL);
    pid_t victim;

    (void)state;
    wait_for_ready(pool, 3);
    assert_int_equal(each_descriptor(pidfds, lose), 3);
    victim = tr_pool_pid(pool, 1);
    assert_int_equal(kill(victim, SIGKILL), 0);
    wait_for_deaths(pool, 1);
    assert_int_equal(death[0].pid, victim);
    assert_int_equal(death[0].signal, SIGKILL);
    wait_for_ready(pool, 3);
    assert_int_equal(each_descriptor(pidfds, do_not_touch), 3); /* opened again */
    assert_int_equal(each_descriptor(pidfds, lose), 3);
    stop(pool); /* not after drain_ns, but as soon as they have ended */
    assert_int_equal(deaths, 4);
    for (uint32_t i = 1; i < 4; i++)
        assert_int_equal(death[i].exit_code, 0);
}

/* Sends a message when it is let. */
static int ring(tr_pool_worker *worker, void *context)
{
    char what;

    (void)worker;
    (void)context;
    while (read(gate[0], &what, 1) == 1 && what == 'g')
        send_job();
    return 0;
}

static void ready_at_start(tr_pool_options *options)
{
    options->flags = TR_POOL_READY_AT_START;
}

/* The io_uring of a wait set interrupts what its thread does, and no signal has come. */
static void a_notice_is_no_signal(void **state)
{
    tr_pool *pool = start(ring, 1, ready_at_start);
    tr_waitset *set;
    tr_message *message;
    tr_event event;
    size_t count;
    int fd, made, interrupted = 0;

    (void)state;
    setenv("TENSORING_NOTIFY", "uring", 1);
    assert_int_equal(tr_waitset_open(arena, &set), 0);
    assert_int_equal(tr_waitset_add_queue(set, queue, TR_WAIT_READABLE, 1), 0);
    made = tr_waitset_fd(set, &fd);
    while (pool_status(pool).ready < 1)
        turn(pool);
    for (int i = 0; made == 0 && i < 20; i++) {
        while (tr_waitset_wait(set, &event, 1, TR_NOWAIT, &count) == 0)
            if (tr_queue_receive(queue, TR_NOWAIT, &message) == 0)
                tr_message_release(message);
        let_go();
        interrupted += tr_pool_step(pool, 20000000) != TR_ETIMEDOUT;
    }
    unsetenv("TENSORING_NOTIFY");
    tr_waitset_close(set);
    assert_int_equal(write(gate[1], "e", 1), 1);
    stop(pool);
    if (made == TR_ENOTSUP)
        skip();
    assert_int_equal(made, 0);
    assert_int_equal(interrupted, 0);
}

static int numbers[2], count_numbers;

static void note_number(int fd)
{
    if (count_numbers < 2)
        numbers[count_numbers] = fd;
    count_numbers++;
}

static int taken;

/* The number of a dead one's pidfd, before its successor can have it. */
static void take_its_number(const tr_pool_death *one, void *context)
{
    note_death(one, context);
    if (taken < 0)
        taken = dup(0);
}

static void take_the_first(tr_pool_options *options)
{
    options->died = take_its_number;
}

/* However slow the machine is: no look of every second meanwhile. */
static void look_never(tr_pool *pool)
{
    pool_known(pool)->check_ns = INT64_MAX;
}

/* The number of one that was lost goes to the pidfd of another worker, which then dies. */
static void a_lost_number_is_anothers(void **state)
{
    tr_pool *pool = start(hold, 2, take_the_first);
    pid_t stays = tr_pool_pid(pool, 1), dies;

    (void)state;
    taken = -1;
    wait_for_ready(pool, 2);
    look_never(pool);
    count_numbers = 0;
    assert_int_equal(each_descriptor(pidfds, note_number), 2); /* in the workers' order */
    close(numbers[1]);
    assert_int_equal(kill(tr_pool_pid(pool, 0), SIGKILL), 0);
    wait_for_deaths(pool, 1);
    wait_for_ready(pool, 2);
    count_numbers = 0;
    assert_int_equal(each_descriptor(pidfds, note_number), 1);
    assert_int_equal(numbers[0], numbers[1]);
    dies = tr_pool_pid(pool, 0);
    tr_pool_signal(pool, SIGCONT); /* for which each pidfd is looked at */
    assert_int_equal(kill(dies, SIGKILL), 0);
    wait_for_deaths(pool, 2);
    assert_int_equal(death[1].worker, 0);
    assert_int_equal(death[1].pid, dies);
    assert_int_equal(tr_pool_pid(pool, 1), stays);
    close(taken);
    stop(pool);
}

static uint32_t count_pipes(void)
{
    struct stat one, other;
    uint32_t count = 0;

    assert_int_equal(fstat(gate[0], &one), 0);
    for (int fd = 0; fd < TOP; fd++)
        count += fstat(fd, &other) == 0 && one.st_ino == other.st_ino &&
                 one.st_dev == other.st_dev;
    return count;
}

static void close_copy(int fd)
{
    struct stat one, other;

    if (fd != gate[0] && fd != gate[1] && fstat(gate[0], &one) == 0 &&
        fstat(fd, &other) == 0 && one.st_ino == other.st_ino)
        close(fd);
}

static void leaves_alone_what_has_the_number_of_a_pidfd(void **state)
{
    tr_pool *pool = start(hold, 2, NULL);
    uint32_t before = count_pipes();

    (void)state;
    wait_for_ready(pool, 2);
    assert_int_equal(each_descriptor(pidfds, mistake_for_a_pipe), 2);
    assert_int_equal(kill(tr_pool_pid(pool, 0), SIGKILL), 0);
    wait_for_deaths(pool, 1);
    assert_int_equal(death[0].signal, SIGKILL);
    stop(pool);
    assert_int_equal(count_pipes(), before + 2);
    for (int fd = 3; fd < TOP; fd++)
        close_copy(fd);
}

/* tear_down() finds the process that it would leave behind. */
static void closing_kills_without_pidfds(void **state)
{
    tr_pool *pool = start(hold, 2, NULL);

    (void)state;
    send_job();
    assert_int_equal(hear(), 'h');
    assert_int_equal(each_descriptor(pidfds, lose), 2);
    tr_pool_close(pool);
}

/* Room for the supervisor's four descriptors, and for no pidfd. */
static void needs_no_pidfds(void **state)
{
    struct rlimit before, now;
    tr_pool *pool;
    int top = dup(0);

    (void)state;
    assert_true(top > 0);
    close(top);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    now = (struct rlimit){(rlim_t)top + 4, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
    pool = start(hold, 2, NULL);
    assert_int_equal(each_descriptor(pidfds, do_not_touch), 0);
    assert_int_equal(kill(tr_pool_pid(pool, 0), SIGKILL), 0);
    wait_for_deaths(pool, 1);
    assert_int_equal(death[0].signal, SIGKILL);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    while (each_descriptor(pidfds, do_not_touch) < 2)
        turn(pool);
    stop(pool);
}

static void says_whom_it_waits_for(void **state)
{
    tr_pool *pool = start(hold, 2, NULL);
    pid_t pids[2] = {tr_pool_pid(pool, 0), tr_pool_pid(pool, 1)}, stopped;
    char expected[96];
    siginfo_t info;

    (void)state;
    send_job();
    assert_int_equal(hear(), 'h');
    /* Whichever has the job; the other one stops when it is asked to. */
    tr_pool_drain(pool);
    while (pool_status(pool).alive > 1)
        turn(pool);
    stopped = pids[1 - death[0].worker];
    assert_int_equal(kill(stopped, SIGSTOP), 0);
    assert_int_equal(waitid(P_PID, (id_t)stopped, &info, WSTOPPED | WNOWAIT), 0);
    assert_int_equal(tr_pool_stop(pool, 1000000), TR_ETIMEDOUT);
    snprintf(expected, sizeof(expected),
             "worker %u (pid %d) should stop and is stopped (T)", 1 - death[0].worker,
             (int)stopped);
    assert_non_null(strstr(tr_error_detail(), expected));
    assert_non_null(strstr(tr_error_detail(), "it is killed in "));
    assert_int_equal(kill(stopped, SIGCONT), 0);
    let_go();
    stop(pool);
}

/* ---- what a worker inherits ---- */

static int client[2] = {-1, -1}; /* 0: the client's end, 1: what the master accepted */

static int hold_after_start(tr_pool_worker *worker, void *context)
{
    tr_pool_worker_ready(worker);
    tell('s');
    return hold(worker, context);
}

/* A connection that the master has accepted, and a worker that was restarted since. True: the
 * client sees the end when the master closes it. */
static void hangs_up(void (*change)(tr_pool_options *))
{
    tr_pool *pool = start(hold_after_start, 1, change);
    char what;

    assert_int_equal(hear(), 's');
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, client), 0);
    assert_int_equal(kill(tr_pool_pid(pool, 0), SIGKILL), 0);
    wait_for_deaths(pool, 1);
    wait_for_ready(pool, 1);
    assert_int_equal(hear(), 's');
    close(client[1]);
    assert_int_equal(recv(client[0], &what, 1, 0), 0);
    send_job(); /* and the arena is there */
    assert_int_equal(hear(), 'h');
    let_go();
    stop(pool);
    close(client[0]);
}

static void close_the_rest(tr_pool_options *options)
{
    static int keep[2]; /* each case opens its own */

    client[0] = client[1] = -1;
    keep[0] = gate[0];
    keep[1] = told[1];
    options->flags |= TR_POOL_CLOSE_INHERITED;
    options->keep = keep;
    options->keep_count = 2;
}

static void workers_close_what_they_inherit(void **state)
{
    (void)state;
    hangs_up(close_the_rest);
}

static void close_client(uint32_t worker, void *context)
{
    (void)context;
    if (worker == 0 && client[1] >= 0)
        close(client[1]);
}

static void with_hook(tr_pool_options *options)
{
    client[0] = client[1] = -1;
    options->child = close_client;
}

static void the_hook_comes_first(void **state)
{
    (void)state;
    hangs_up(with_hook);
}

/* Its copy of the handle knows none of the supervisor's numbers any more. */
static tr_pool *inherited;

static int close_the_pool(tr_pool_worker *worker, void *context)
{
    int first, last;

    (void)context;
    if (!inherited)
        return 9; /* the first one, forked before the handle was known */
    first = dup(gate[0]);
    for (last = first; last >= 0 && last < 64;)
        last = dup(gate[0]); /* all numbers that the supervisor had */
    tr_pool_close(inherited);
    for (int fd = first; fd <= last; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            return 8;
    (void)worker;
    return 0;
}

static void workers_close_no_number_twice(void **state)
{
    (void)state;
    inherited = NULL;
    inherited = start(close_the_pool, 1, NULL);
    while (tr_pool_step(inherited, TR_FOREVER) == 0)
        ;
    assert_int_equal(deaths, 2);
    assert_int_equal(death[0].exit_code, 9);
    assert_int_equal(death[1].exit_code, 0);
    tr_pool_close(inherited);
}

/* A thread that will be cancelled runs through all of a pool's life, and ends where it says so
 * itself. Workers begin with the state that it began with. */
static uint32_t finished;

static int expect_to_be_cancelled(tr_pool_worker *worker, void *context)
{
    int before;

    (void)context;
    /* What is pending in the thread that forks is so in the child. */
    if (pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before) ||
        before != PTHREAD_CANCEL_ENABLE)
        return 5;
    tr_pool_worker_ready(worker);
    while (!tr_pool_worker_stopping(worker))
        ;
    return 0;
}

static void *supervise_while_cancelled(void *unused)
{
    tr_pool_options options = TR_POOL_OPTIONS_INIT;
    tr_pool *pool;

    options.run = expect_to_be_cancelled;
    options.workers = 2;
    options.died = note_death;
    if (pthread_cancel(pthread_self()) || tr_pool_start(&options, &pool))
        return unused;
    while (pool_status(pool).ready < 2) {
        int err = tr_pool_step(pool, 1000000);

        if (err && err != TR_ETIMEDOUT)
            return unused;
    }
    tr_pool_signal(pool, 0);
    if (tr_pool_resize(pool, 1) || tr_pool_reload(pool) || tr_pool_stop(pool, TR_FOREVER))
        return unused;
    tr_pool_close(pool);
    finished = 1;
    pthread_testcancel();
    return unused;
}

static void no_call_is_cancelled_half_way(void **state)
{
    pthread_t thread;
    void *result;

    (void)state;
    finished = 0;
    assert_int_equal(pthread_create(&thread, NULL, supervise_while_cancelled, NULL), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, PTHREAD_CANCELED);
    assert_int_equal(finished, 1);
    assert_true(deaths >= 2);
    for (uint32_t i = 0; i < deaths; i++)
        assert_int_equal(death[i].exit_code, 0);
}

static void refuses_lists_without_meaning(void **state)
{
    tr_pool_options options = TR_POOL_OPTIONS_INIT;
    int keep = 0;
    tr_pool *pool = NULL;

    (void)state;
    options.run = hold;
    options.workers = 1;
    options.keep_count = 1;
    options.flags = TR_POOL_CLOSE_INHERITED;
    assert_int_equal(tr_pool_start(&options, &pool), TR_EINVAL);
    options.keep = &keep;
    options.flags = 0;
    assert_int_equal(tr_pool_start(&options, &pool), TR_EINVAL);
    options.keep_count = 0;
    options.reserved = 5;
    assert_int_equal(tr_pool_start(&options, &pool), TR_EINVAL);
    assert_null(pool);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(survives_lost_pidfds),
        CASE(a_lost_number_is_anothers),
        CASE(a_notice_is_no_signal),
        CASE(leaves_alone_what_has_the_number_of_a_pidfd),
        CASE(closing_kills_without_pidfds),
        CASE(needs_no_pidfds),
        CASE(says_whom_it_waits_for),
        CASE(workers_close_what_they_inherit),
        CASE(the_hook_comes_first),
        CASE(workers_close_no_number_twice),
        CASE(no_call_is_cancelled_half_way),
        CASE(refuses_lists_without_meaning),
    };

    if (!has_pidfds())
        return 77;
    for (int fd = 3; fd < TOP;
         fd++) /* whatever started us may have left something open */
        close(fd);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
