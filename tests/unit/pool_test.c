/* SPDX-License-Identifier: MIT */
#include "pool_jobs.h"

/* ---- workers ---- */

static int break_down(tr_pool_worker *worker, void *context)
{
    (void)worker;
    (void)context;
    return 3;
}

static int grow(tr_pool_worker *worker, void *context)
{
    static char *memory; /* not local: the compiler would leave it out */

    (void)context;
    memory = malloc(64 << 20);
    memset(memory, 1, 64 << 20);
    while (!tr_pool_worker_stopping(worker))
        tr_pool_worker_job_done(worker);
    free(memory);
    return 0;
}

static int report_threads(tr_pool_worker *worker, void *context)
{
    tr_message *message;

    (void)context;
    while (!tr_pool_worker_receive(worker, queue, TR_FOREVER, &message)) {
        atomic_store(&shared->threads,
                     tr_pool_worker_plan(worker)->workers * 1000 + tr_worker_threads());
        tr_message_release(message);
        tell('t');
    }
    return 0;
}

/* Every generation but the first breaks before it is ready, while held is set. */
static int break_when_new(tr_pool_worker *worker, void *context)
{
    if (tr_pool_worker_generation(worker) > 0 && atomic_load(&shared->held))
        return 5;
    return work(worker, context);
}

/* ---- cases ---- */

static void works_and_stops(void **state)
{
    tr_pool_status older = TR_POOL_STATUS_INIT;
    tr_pool *pool = start(work, 3, NULL);
    int fd = -1;

    (void)state;
    assert_int_equal(tr_pool_fd(pool, &fd), 0);
    assert_true(fd >= 0);
    older.struct_size = offsetof(tr_pool_status, alive);
    older.alive = 99;
    assert_int_equal(tr_pool_status_get(pool, &older), 0);
    assert_int_equal(older.workers, 3);
    assert_int_equal(older.alive, 99);
    assert_int_equal(tr_pool_plan(pool)->workers, 3);
    for (uint32_t i = 0; i < JOBS; i++)
        send_job(i);
    while (pool_status(pool).jobs < JOBS || pool_status(pool).ready < 3)
        turn(pool);
    assert_int_equal(pool_status(pool).alive, 3);
    stop(pool);
    for (uint32_t i = 0; i < JOBS; i++)
        assert_int_equal(atomic_load(&shared->done[i]), 1);
    assert_int_equal(deaths, 3);
    assert_int_equal(death[0].struct_size, sizeof(tr_pool_death));
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(death[i].expected, 1);
        assert_int_equal(death[i].exit_code, 0);
        assert_true(death[i].max_rss_bytes > 0);
    }
}

static void ends_when_there_is_no_more_work(void **state)
{
    tr_pool *pool = start(work, 2, NULL);

    (void)state;
    send_job(1);
    tr_queue_shutdown(queue);
    while (tr_pool_step(pool, TR_FOREVER) == 0)
        ;
    assert_int_equal(tr_pool_step(pool, TR_FOREVER), TR_ECLOSED);
    assert_int_equal(atomic_load(&shared->done[1]), 1);
    tr_pool_close(pool);
}

static void no_job_is_lost_when_workers_die(void **state)
{
    tr_pool *pool = start(work_and_die, 4, NULL);
    uint32_t redelivered = 0, finished = 0;

    (void)state;
    for (uint32_t i = 0; i < JOBS; i++)
        send_job(i);
    while (finished < JOBS ||
           deaths < (JOBS + 6) / 7) { /* the last may die a little later */
        turn(pool);
        finished = 0;
        for (uint32_t i = 0; i < JOBS; i++)
            finished += atomic_load(&shared->done[i]) > 0;
    }
    assert_int_equal(deaths, (JOBS + 6) / 7);
    for (uint32_t i = 0; i < deaths; i++) {
        assert_int_equal(death[i].signal, SIGKILL);
        assert_int_equal(death[i].expected, 0);
        assert_true(death[i].restart_ns >= 0);
        redelivered += death[i].redelivered;
    }
    /* the others may have been faster with the reaping */
    assert_true(redelivered <= deaths);
    stop(pool);
    for (uint32_t i = 0; i < JOBS; i++)
        assert_int_equal(atomic_load(&shared->done[i]), 1);
}

static void four_tries(tr_pool_options *options)
{
    options->backoff_max_ns = 5000000;
}

static void backs_off_when_it_fails_again(void **state)
{
    tr_pool *pool = start(break_down, 1, four_tries);
    static const int64_t expected[] = {1000000, 2000000, 4000000, 5000000, 5000000};

    (void)state;
    wait_for_deaths(pool, 5);
    for (uint32_t i = 0, in_a_row = 0; i < 5; i++) {
        assert_int_equal(death[i].exit_code, 3);
        /* on a busy machine one may live long enough to count as healthy */
        in_a_row = death[i].lived_ns > 5000000 ? 1 : in_a_row + 1;
        assert_int_equal(death[i].in_a_row, in_a_row);
        assert_int_equal(death[i].restart_ns, expected[in_a_row - 1]);
    }
    stop(pool);
}

static int break_down_at_work(tr_pool_worker *worker, void *context)
{
    (void)context;
    tr_pool_worker_ready(worker);
    return 3;
}

static void at_once(tr_pool_options *options)
{
    options->backoff_ns = 1; /* every process lives longer */
    options->backoff_max_ns = INT64_MAX;
}

/* A worker that starts well and fails later is worth a restart, whatever killed it. */
static void restarts_at_once_what_was_ready(void **state)
{
    tr_pool *pool = start(break_down_at_work, 1, at_once);

    (void)state;
    wait_for_deaths(pool, 5);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(death[i].in_a_row, 1);
        assert_int_equal(death[i].restart_ns, 0);
    }
    stop(pool);
}

static void ready_at_start(tr_pool_options *options)
{
    at_once(options);
    options->flags |= TR_POOL_READY_AT_START;
}

static void backs_off_when_ready_says_nothing(void **state)
{
    tr_pool *pool = start(break_down_at_work, 1, ready_at_start);

    (void)state;
    wait_for_deaths(pool, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(death[i].in_a_row, i + 1);
        assert_int_equal(death[i].restart_ns, 1 << i);
    }
    stop(pool);
}

static void never(tr_pool_options *options)
{
    options->restart = TR_RESTART_NEVER;
}

static void restarts_are_a_choice(void **state)
{
    tr_pool *pool = start(break_down, 2, never);

    (void)state;
    while (tr_pool_step(pool, TR_FOREVER) == 0)
        ;
    assert_int_equal(deaths, 2);
    assert_int_equal(death[0].restart_ns, -1);
    tr_pool_close(pool);
}

static void ten_jobs(tr_pool_options *options)
{
    options->max_jobs = 10;
}

static void recycles_after_jobs(void **state)
{
    tr_pool *pool = start(work, 1, ten_jobs);

    (void)state;
    for (uint32_t i = 0; i < 35; i++)
        send_job(i);
    wait_for_deaths(pool, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(death[i].jobs, 10);
        assert_int_equal(death[i].expected, 1);
        assert_int_equal(death[i].restart_ns, 0);
    }
    while (pool_status(pool).jobs < 35)
        turn(pool);
    assert_int_equal(pool_status(pool).deaths, 0); /* that nobody had asked for */
    stop(pool);
}

static void little_memory(tr_pool_options *options)
{
    options->max_private_bytes = 32 << 20;
}

static void recycles_after_memory(void **state)
{
    tr_pool *pool = start(grow, 1, little_memory);

    (void)state;
    wait_for_deaths(pool, 2);
    assert_int_equal(death[0].expected, 1);
    assert_int_equal(death[0].exit_code, 0);
    assert_true(death[0].max_rss_bytes >= 64 << 20);
    stop(pool);
}

static tr_cpuset mask_of(int32_t pid)
{
    tr_cpuset mask = {{0}};

    assert_int_equal(sched_getaffinity(pid, sizeof(mask), (cpu_set_t *)&mask), 0);
    return mask;
}

static void changes_size(void **state)
{
    tr_pool *pool = start(report_threads, 1, NULL);
    tr_cpuset mask;

    (void)state;
    send_job(0);
    assert_int_equal(hear(), 't');
    assert_int_equal(atomic_load(&shared->threads) / 1000, 1);
    assert_int_equal(tr_pool_resize(pool, 2), 0);
    assert_int_equal(pool_status(pool).workers, 2);
    for (uint32_t i = 0; i < 2;
         i++) { /* the old one moved, the new one enters by itself */
        do {
            mask = mask_of(tr_pool_pid(pool, i));
        } while (memcmp(&mask, &tr_pool_plan(pool)->worker[i].cpus, sizeof(mask)));
    }
    while (pool_status(pool).ready < 2)
        turn(pool);
    for (uint32_t i = 0; i < 8; i++) { /* each worker has the new plan */
        send_job(i);
        assert_int_equal(hear(), 't');
        assert_int_equal(atomic_load(&shared->threads),
                         2000 + tr_pool_plan(pool)->worker[0].threads);
    }
    assert_int_equal(tr_pool_resize(pool, 1), 0);
    assert_int_equal(tr_pool_pid(pool, 1), 0);
    wait_for_deaths(pool, 1);
    assert_int_equal(death[0].worker, 1);
    assert_int_equal(death[0].expected, 1);
    assert_int_equal(tr_pool_resize(pool, TR_MAX_WORKERS + 1), TR_EINVAL);
    stop(pool);
}

static void without_plan(tr_pool_options *options)
{
    options->flags = TR_POOL_NO_PLAN;
}

static void has_a_limit_without_a_plan_too(void **state)
{
    tr_pool *pool = start(work, 1, without_plan);

    (void)state;
    assert_int_equal(tr_pool_resize(pool, TR_MAX_WORKERS + 1), TR_EINVAL);
    assert_non_null(strstr(tr_error_detail(), "257 workers"));
    assert_int_equal(pool_status(pool).workers, 1);
    assert_int_equal(tr_pool_resize(pool, 2), 0);
    stop(pool);
}

static void two_generations_side_by_side(void **state)
{
    tr_pool *pool = start(break_when_new, 2, NULL);
    int32_t old;

    (void)state;
    while (pool_status(pool).ready < 2)
        turn(pool);
    old = tr_pool_pid(pool, 0);
    atomic_store(&shared->held, 1);
    assert_int_equal(tr_pool_reload(pool), 0);
    wait_for_deaths(pool, 6); /* new ones, again and again; the old ones work on */
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(death[i].generation, 1);
    assert_int_equal(kill(old, 0), 0);
    assert_int_equal(tr_pool_reload(pool), TR_EBUSY);
    send_job(3);
    while (!atomic_load(&shared->done[3]))
        turn(pool);
    atomic_store(&shared->held, 0);
    while (pool_status(pool).ready < 2 || pool_status(pool).alive > 2)
        turn(pool);
    assert_int_equal(pool_status(pool).generation, 1);
    assert_int_not_equal(tr_pool_pid(pool, 0), old);
    assert_int_equal(kill(old, 0), -1);
    stop(pool);
}

/* ---- a machine that has no process to give ---- */

static void endless_backoff(tr_pool_options *options)
{
    options->backoff_ns = INT64_MAX;
    options->backoff_max_ns = INT64_MAX;
}

static uint32_t forks_left = UINT32_MAX; /* before they fail */

pid_t __real_fork(void);
pid_t __wrap_fork(void);

pid_t __wrap_fork(void)
{
    if (forks_left == 0) {
        errno = EAGAIN;
        return -1;
    }
    forks_left -= forks_left < UINT32_MAX;
    return __real_fork();
}

static void wait_for_all(tr_pool *pool, uint32_t count)
{
    while (pool_status(pool).ready < count || pool_status(pool).alive > count)
        turn(pool);
}

static void a_reload_goes_on_when_forks_fail(void **state)
{
    tr_pool *pool = start(work, 4, NULL);

    (void)state;
    wait_for_all(pool, 4);
    forks_left = 2;
    assert_int_equal(tr_pool_reload(pool), TR_EAGAIN);
    assert_int_equal(pool_status(pool).waiting, 2);
    forks_left = UINT32_MAX;
    wait_for_all(pool, 4);
    assert_int_equal(pool_status(pool).generation, 1);
    assert_int_equal(tr_pool_reload(pool), 0); /* the last one is through */
    wait_for_all(pool, 4);
    stop(pool);
}

static void more_workers_come_when_forks_fail(void **state)
{
    tr_pool *pool = start(work, 1, endless_backoff);

    (void)state;
    wait_for_all(pool, 1);
    forks_left = 0;
    assert_int_equal(tr_pool_resize(pool, 3), TR_EAGAIN);
    assert_int_equal(pool_status(pool).waiting, 2);
    forks_left = UINT32_MAX;
    wait_for_all(pool, 3);
    stop(pool);
}

/* A restart that is that far away is not one that is overdue. */
static void backs_off_for_ever(void **state)
{
    tr_pool *pool = start(break_down, 1, endless_backoff);

    (void)state;
    while (deaths < 1)
        assert_int_equal(tr_pool_step(pool, INT64_MAX), 0);
    assert_int_equal(death[0].restart_ns, INT64_MAX);
    assert_int_equal(tr_pool_step(pool, TR_NOWAIT), TR_EAGAIN); /* not yet */
    assert_int_equal(pool_status(pool).started, 1);
    stop(pool);
}

static void refuses_nonsense(void **state)
{
    tr_pool_options options = TR_POOL_OPTIONS_INIT;
    tr_plan_options plan = TR_PLAN_OPTIONS_INIT;
    tr_pool *pool = NULL;

    (void)state;
    assert_int_equal(tr_pool_start(NULL, &pool), TR_EINVAL);
    assert_int_equal(tr_pool_start(&options, &pool), TR_EINVAL);
    options.run = work;
    options.workers = TR_MAX_WORKERS + 1;
    assert_int_equal(tr_pool_start(&options, &pool), TR_EINVAL);
    assert_detail("257 workers, there may be at most 256");
    options.workers = 1;
    options.restart = 3;
    assert_int_equal(tr_pool_start(&options, &pool), TR_EINVAL);
    assert_detail("options.restart 3 is not a tr_restart");
    options.restart = 0;
    options.flags = 1u << 30;
    assert_int_equal(tr_pool_start(&options, &pool), TR_EINVAL);
    assert_detail("options.flags 0x40000000 has bits that mean nothing");
    options.flags = 0;
    options.backoff_ns = -1;
    assert_int_equal(tr_pool_start(&options, &pool), TR_EINVAL);
    assert_detail("options.backoff_ns is -1 ns; use 0 or more");
    options.backoff_ns = 1;
    options.drain_ns = -2;
    assert_int_equal(tr_pool_start(&options, &pool), TR_EINVAL);
    assert_detail("options.drain_ns is -2 ns; use -1 (forever), 0 or more");
    options.drain_ns = 0;
    options.stop_signal = SIGRTMAX + 1;
    assert_int_equal(tr_pool_start(&options, &pool), TR_EINVAL);
    assert_detail("options.stop_signal is 65; use a signal's number, or 0 for none");
    options.stop_signal = 0;
    plan.policy = 77;
    options.plan = &plan;
    assert_int_equal(tr_pool_start(&options, &pool), TR_EINVAL);
    assert_null(pool);
}

/* A plan in the arena: siblings see it, workers need no discovery. */
static void plans_lie_in_the_arena(void **state)
{
    static const tr_slot_class class = {65536, 4};
    static tr_plan plan, copy;
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_arena *other;
    int status;
    pid_t pid;

    (void)state;
    options.classes = &class;
    options.class_count = 1;
    assert_int_equal(tr_plan_create(3, NULL, &plan), 0);
    assert_int_equal(tr_plan_put(arena, &plan), TR_EMSGSIZE); /* slots of 4 KiB */
    assert_int_equal(tr_arena_create(NULL, &options, &other), 0);
    assert_int_equal(tr_plan_get(other, &copy), TR_ENOENT);
    for (uint32_t i = 0; i < 10; i++) { /* the old ones are freed */
        plan.worker[0].threads = i + 1;
        assert_int_equal(tr_plan_put(other, &plan), 0);
    }
    pid = fork();
    if (pid == 0)
        _exit(tr_plan_get(other, &copy) || memcmp(&copy, &plan, sizeof(plan)));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    plan.magic++;
    assert_int_equal(tr_plan_put(other, &plan), TR_EINVAL);
    tr_arena_close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(works_and_stops),
        CASE(ends_when_there_is_no_more_work),
        CASE(no_job_is_lost_when_workers_die),
        CASE(backs_off_when_it_fails_again),
        CASE(restarts_at_once_what_was_ready),
        CASE(backs_off_when_ready_says_nothing),
        CASE(restarts_are_a_choice),
        CASE(recycles_after_jobs),
        CASE(recycles_after_memory),
        CASE(changes_size),
        CASE(has_a_limit_without_a_plan_too),
        CASE(two_generations_side_by_side),
        CASE(a_reload_goes_on_when_forks_fail),
        CASE(more_workers_come_when_forks_fail),
        CASE(backs_off_for_ever),
        CASE(plans_lie_in_the_arena),
        CASE(refuses_nonsense),
    };

    if (!has_pidfds())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
