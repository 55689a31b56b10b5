/* SPDX-License-Identifier: MIT */
/* pool_end_test.c - how workers and their supervisor end. */
#include "pool_jobs.h"

/* Takes a job, tells, and finishes it only when it is let. */
static int hold(tr_pool_worker *worker, void *context)
{
    tr_message *message;
    char what;

    (void)context;
    while (!tr_pool_worker_receive(worker, queue, INT64_MAX, &message)) {
        tell('h');
        if (read(gate[0], &what, 1) != 1)
            return 1;
        atomic_fetch_add(&shared->done[job_number(message)], 1);
        tr_message_release(message);
    }
    return 0;
}

static void a_job_in_hand_is_finished(void **state)
{
    tr_pool *pool = start(hold, 1, NULL);

    (void)state;
    send_job(5);
    assert_int_equal(hear(), 'h');
    tr_pool_drain(pool);
    assert_int_equal(tr_pool_resize(pool, 2), TR_ECLOSED);
    assert_int_equal(tr_pool_reload(pool), TR_ECLOSED);
    assert_int_equal(pool_status(pool).draining, 1);
    assert_int_equal(write(gate[1], "g", 1), 1);
    stop(pool);
    assert_int_equal(atomic_load(&shared->done[5]), 1);
    assert_int_equal(death[0].exit_code, 0);
}

static void little_patience(tr_pool_options *options)
{
    options->drain_ns = 1000000;
}

static void a_worker_that_does_not_stop_is_killed(void **state)
{
    tr_pool *pool = start(hold, 1, little_patience);

    (void)state;
    send_job(5);
    assert_int_equal(hear(), 'h');
    stop(pool);
    assert_int_equal(death[0].signal, SIGKILL);
    assert_int_equal(death[0].expected, 1);
    assert_int_equal(death[0].redelivered, 1);
}

static void endless_patience(tr_pool_options *options)
{
    options->drain_ns = INT64_MAX;
}

/* A sum of times that wraps is a moment long ago. */
static void patience_may_be_endless(void **state)
{
    tr_pool *pool = start(hold, 1, endless_patience);

    (void)state;
    send_job(5);
    assert_int_equal(hear(), 'h');
    tr_pool_drain(pool);
    for (int i = 0; i < 3; i++)
        assert_int_equal(tr_pool_step(pool, TR_NOWAIT), TR_EAGAIN);
    assert_int_equal(write(gate[1], "g", 1), 1);
    assert_int_equal(tr_pool_stop(pool, INT64_MAX), 0);
    tr_pool_close(pool);
    assert_int_equal(death[0].signal, 0);
    assert_int_equal(death[0].exit_code, 0);
}

static void closing_kills(void **state)
{
    tr_pool *pool = start(hold, 2, NULL);

    (void)state;
    send_job(5);
    assert_int_equal(hear(), 'h');
    tr_pool_close(pool);
    tr_pool_close(NULL);
    assert_int_equal(deaths, 0); /* a caller is not told of what it asked for */
}

static void always(tr_pool_options *options)
{
    options->restart = TR_RESTART_ALWAYS;
    options->workers = 2;
}

/* A master of its own, in tr_pool_run(). Its result is the exit code. */
static pid_t run_master(int (*run)(tr_pool_worker *, void *))
{
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        tr_pool_options options = TR_POOL_OPTIONS_INIT;
        tr_pool *pool;

        always(&options);
        the_run = run;
        options.run = run_and_count;
        options.arena = arena;
        alarm(PATIENCE_S);
        if (tr_pool_start(&options, &pool) || tr_pool_run(pool))
            _exit(1);
        tr_pool_close(pool);
        if (__gcov_dump)
            __gcov_dump();
        _exit(0);
    }
    return pid;
}

static int say_hello(tr_pool_worker *worker, void *context)
{
    tr_pool_worker_ready(worker);
    tell((char)('a' + tr_pool_worker_generation(worker)));
    return work(worker, context);
}

static void obeys_signals(void **state)
{
    pid_t master = run_master(say_hello);
    int status;

    (void)state;
    assert_int_equal(hear(), 'a');
    assert_int_equal(hear(), 'a');
    /* The loop blocks the signals before it first sleeps; once a third worker has started, one
     * was read. */
    for (bool blocked = false; !blocked;) {
        char path[64], line[256];
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%d/status", (int)master);
        file = fopen(path, "re");
        assert_non_null(file);
        while (fgets(line, sizeof(line), file)) {
            unsigned long long mask;

            if (sscanf(line, "SigBlk: %llx", &mask) == 1)
                blocked = mask >> (SIGTTIN - 1) & 1;
        }
        fclose(file);
    }
    assert_int_equal(kill(master, SIGTTIN), 0);
    assert_int_equal(hear(), 'a');
    assert_int_equal(kill(master, SIGTTOU), 0);
    assert_int_equal(kill(master, SIGHUP), 0);
    assert_int_equal(hear(), 'b');
    assert_int_equal(hear(), 'b');
    assert_int_equal(kill(master, SIGTERM), 0);
    assert_int_equal(waitpid(master, &status, 0), master);
    assert_int_equal(status, 0);
}

static void workers_do_not_outlive_their_master(void **state)
{
    (void)state;
    kill_master(run_master(say_hello));
}

/* Then the kernel keeps no status, and says only that they are gone. */
static void the_program_may_ignore_its_children(void **state)
{
    void (*before)(int) = signal(SIGCHLD, SIG_IGN);
    tr_pool *pool = start(work_and_die, 2, NULL);

    (void)state;
    send_job(7);
    while (!atomic_load(&shared->done[7]))
        turn(pool);
    wait_for_deaths(pool, 1);
    assert_int_equal(death[0].exit_code, -1);
    assert_true(death[0].restart_ns >= 0);
    stop(pool);
    signal(SIGCHLD, before);
}

/* The supervisor's handle that a worker has inherited is of no use. */
static int supervise(tr_pool_worker *worker, void *context)
{
    tr_pool *pool = *(tr_pool **)context;

    (void)worker;
    if (!pool)
        return 9; /* the first one, forked before the handle was known */
    if (tr_pool_step(pool, TR_NOWAIT) != TR_EFORK ||
        tr_pool_stop(pool, TR_NOWAIT) != TR_EFORK || tr_pool_reload(pool) != TR_EFORK)
        return 7;
    tr_pool_close(pool);
    return 0;
}

static tr_pool *self;

static void with_self(tr_pool_options *options)
{
    options->context = &self;
}

static void workers_do_not_supervise(void **state)
{
    (void)state;
    self = NULL;
    self = start(supervise, 1, with_self);
    while (tr_pool_step(self, TR_FOREVER) == 0)
        ;
    assert_int_equal(deaths, 2);
    assert_int_equal(death[0].exit_code, 9);
    assert_int_equal(death[1].exit_code, 0);
    tr_pool_close(self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_job_in_hand_is_finished),
        CASE(a_worker_that_does_not_stop_is_killed),
        CASE(patience_may_be_endless),
        CASE(closing_kills),
        CASE(obeys_signals),
        CASE(workers_do_not_outlive_their_master),
        CASE(the_program_may_ignore_its_children),
        CASE(workers_do_not_supervise),
    };

    if (!has_pidfds())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
