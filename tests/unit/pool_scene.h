/* SPDX-License-Identifier: MIT */
/* pool_scene.h - a supervisor under test: its arena and queue, the deaths that it notes, and
 * two pipes by which a worker and its master take turns. */
#ifndef TR_TESTS_UNIT_POOL_SCENE_H
#define TR_TESTS_UNIT_POOL_SCENE_H

#include "support.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/syscall.h>

enum { DEATHS = 64, PATIENCE_S = 100 };

static tr_arena *arena;
static tr_queue *queue;
static tr_pool_death death[DEATHS];
static uint32_t deaths;
static int gate[2], told[2]; /* master writes gate and reads told */

/* Coverage builds alone have it; _exit(), by which children end, does not write the counts. */
extern void __gcov_dump(void) __attribute__((weak));

static int (*the_run)(tr_pool_worker *, void *);

static int run_and_count(tr_pool_worker *worker, void *context)
{
    int code = the_run(worker, context);

    if (__gcov_dump)
        __gcov_dump();
    return code;
}

static void note_death(const tr_pool_death *one, void *context)
{
    (void)context;
    if (deaths < DEATHS)
        death[deaths] = *one;
    deaths++;
}

static void tell(char what)
{
    if (write(told[1], &what, 1) != 1)
        _exit(99);
}

static char hear(void)
{
    char what = 0;

    assert_int_equal(read(told[0], &what, 1), 1);
    return what;
}

static tr_pool *start(int (*run)(tr_pool_worker *, void *), uint32_t workers,
                      void (*change)(tr_pool_options *))
{
    tr_pool_options options = TR_POOL_OPTIONS_INIT;
    tr_pool *pool;

    the_run = run;
    options.workers = workers;
    options.run = run_and_count;
    options.died = note_death;
    options.arena = arena;
    options.backoff_ns = 1000000;
    if (change)
        change(&options);
    assert_int_equal(tr_pool_start(&options, &pool), 0);
    return pool;
}

static tr_pool_status pool_status(const tr_pool *pool)
{
    tr_pool_status status = TR_POOL_STATUS_INIT;

    assert_int_equal(tr_pool_status_get(pool, &status), 0);
    return status;
}

/* One event, or none within a millisecond: the loop of a master that looks at other things
 * too. */
static void turn(tr_pool *pool)
{
    int err = tr_pool_step(pool, 1000000);

    assert_true(err == 0 || err == TR_ETIMEDOUT);
}

static void wait_for_deaths(tr_pool *pool, uint32_t count)
{
    while (deaths < count)
        turn(pool);
}

static inline void wait_for_ready(tr_pool *pool, uint32_t count)
{
    while (pool_status(pool).ready < count)
        turn(pool);
}

static void stop(tr_pool *pool)
{
    assert_int_equal(tr_pool_stop(pool, TR_FOREVER), 0);
    assert_int_equal(pool_status(pool).alive, 0);
    assert_int_equal(tr_pool_step(pool, TR_FOREVER), TR_ECLOSED);
    tr_pool_close(pool);
}

/* Kill the master of two workers that have said hello, and wait for their end. */
static inline void kill_master(pid_t master)
{
    char what;

    assert_int_equal(hear(), 'a');
    assert_int_equal(hear(), 'a');
    assert_int_equal(kill(master, SIGKILL), 0);
    assert_int_equal(waitpid(master, NULL, 0), master);
    close(told[1]); /* the workers have the other copies: the end comes with the last */
    told[1] = -1;
    assert_int_equal(read(told[0], &what, 1), 0);
}

/* Emulators that have no pidfds cannot have a pool. */
static bool has_pidfds(void)
{
    int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* The pipes, the arena and the queue, and a limit on the time of the test. True if one failed. */
static bool scene_open(const tr_arena_options *options)
{
    deaths = 0;
    alarm(PATIENCE_S);
    return pipe2(gate, O_CLOEXEC) || pipe2(told, O_CLOEXEC) ||
           tr_arena_create(NULL, options, &arena) ||
           tr_queue_open(arena, "jobs", NULL, &queue);
}

static void scene_close(void)
{
    tr_queue_close(queue);
    tr_arena_close(arena);
    close(gate[0]);
    close(gate[1]);
    close(told[0]);
    close(told[1]);
}

/* Whether all children are waited for. */
static bool childless(void)
{
    return waitpid(-1, NULL, WNOHANG) == -1;
}

#endif
