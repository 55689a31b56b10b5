/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "ipc/kernel/eventfds.h"
#include "ipc/kernel/os.h"
#include "src/base/error.h"
#include "src/base/options.h"
#include "src/workers/enter_bind.h"
#include "src/workers/pool_internal.h"

/* A copy of the list: restarted workers need it, too. */
static int take_keep(tr_pool *pool)
{
    const tr_pool_options *options = &pool->options;
    size_t bytes = options->keep_count * sizeof(*options->keep);

    if (options->keep_count == 0)
        return 0;
    if (!options->keep || !(options->flags & TR_POOL_CLOSE_INHERITED))
        return tr_fail(TR_EINVAL,
                       "pool: keep_count is %u, but %s; only TR_POOL_CLOSE_INHERITED "
                       "closes descriptors",
                       options->keep_count,
                       options->keep ? "the flag is not set" : "keep is NULL");
    pool->keep = malloc(bytes);
    if (!pool->keep)
        return tr_fail(TR_ENOMEM, "pool: no memory for %u descriptors",
                       options->keep_count);
    memcpy(pool->keep, options->keep, bytes);
    return 0;
}

static int check_count(uint32_t workers)
{
    if (workers > TR_MAX_WORKERS)
        return tr_fail(TR_EINVAL, "pool: %u workers, there may be at most %d", workers,
                       TR_MAX_WORKERS);
    return 0;
}

static int check_time(const char *what, int64_t ns, int64_t least)
{
    if (ns < least)
        return tr_fail(TR_EINVAL, "pool: options.%s is %lld ns; use %s", what,
                       (long long)ns,
                       least < 0 ? "-1 (forever), 0 or more" : "0 or more");
    return 0;
}

static int check_options(const tr_pool_options *options)
{
    const uint32_t known = TR_POOL_NO_PLAN | TR_POOL_DIE_WITH_MASTER |
                           TR_POOL_READY_AT_START | TR_POOL_CLOSE_INHERITED;
    int result;

    if (!options->run)
        return tr_fail(TR_EINVAL,
                       "pool: options.run says what a worker does; it is NULL");
    if (options->flags & ~known)
        return tr_fail(TR_EINVAL, "pool: options.flags 0x%x has bits that mean nothing",
                       options->flags);
    if (options->restart > TR_RESTART_NEVER)
        return tr_fail(TR_EINVAL, "pool: options.restart %u is not a tr_restart",
                       options->restart);
    if (options->stop_signal < 0 || options->stop_signal > SIGRTMAX)
        return tr_fail(
            TR_EINVAL,
            "pool: options.stop_signal is %d; use a signal's number, or 0 for none",
            options->stop_signal);
    result = check_count(options->workers);
    if (!result)
        result = check_time("backoff_ns", options->backoff_ns, 0);
    if (!result)
        result = check_time("backoff_max_ns", options->backoff_max_ns, 0);
    return result ? result : check_time("drain_ns", options->drain_ns, -1);
}

static int take_options(tr_pool *pool, const tr_pool_options *given)
{
    tr_pool_options *options = &pool->options;
    int result;

    *options = (tr_pool_options)TR_POOL_OPTIONS_INIT;
    result = options_take(options, sizeof(*options), given, "pool options");
    if (!result)
        result = check_options(options);
    if (result)
        return result;
    result = reserved_check("pool", options->reserved);
    if (!result)
        result = take_keep(pool);
    if (result)
        return result;
    pool->plan_options = (tr_plan_options)TR_PLAN_OPTIONS_INIT;
    result = options_take(&pool->plan_options, sizeof(pool->plan_options), options->plan,
                          "plan options");
    pool->plan_options.struct_size = sizeof(pool->plan_options);
    return result;
}

/* As many as there are cores to have, within the quota. */
static int count_cores(tr_pool *pool, tr_plan *scratch, uint32_t *workers)
{
    int result = tr_plan_create(1, &pool->plan_options, scratch);
    uint32_t cores;

    if (result)
        return result;
    cores = scratch->cores - scratch->reserved_cores;
    if (scratch->quota_milli_cpus >= 0 && scratch->quota_milli_cpus / 1000 < cores)
        cores = (uint32_t)(scratch->quota_milli_cpus / 1000);
    *workers = cores == 0 ? 1 : cores > TR_MAX_WORKERS ? TR_MAX_WORKERS : cores;
    return 0;
}

/* The half of the page that is not in force. */
static tr_plan *next_plan(const tr_pool *pool)
{
    return &pool->page->plan[(atomic_load(&pool->page->round) + 1) % 2];
}

/* How many workers a caller asks for. */
static int take_count(tr_pool *pool, uint32_t *workers)
{
    int result = check_count(*workers);

    return result || *workers ? result : count_cores(pool, next_plan(pool), workers);
}

/* pool->workers and round on success. */
static int make_plan(tr_pool *pool, uint32_t workers)
{
    bool planned = !(pool->options.flags & TR_POOL_NO_PLAN);
    int result = planned ? tr_plan_create(workers, &pool->plan_options, next_plan(pool))
                         : 0;

    if (result)
        return result;
    pool->workers = workers;
    if (planned)
        atomic_fetch_add(&pool->page->round, 1);
    return 0;
}

/* One descriptor, registered at once. */
static int add(const tr_pool *pool, int fd, uint32_t what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = what};
    int result;

    if (fd < 0)
        return -errno;
    if (epoll_ctl(pool->epoll, EPOLL_CTL_ADD, fd, &event) == 0)
        return fd;
    result = -errno;
    close(fd);
    return result;
}

static int open_descriptors(tr_pool *pool)
{
    int result = 0;

    pool->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (pool->epoll < 0)
        return tr_fail_errno(-errno, "pool: the supervisor's epoll");
    pool->timer = add(pool, timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
                      EVENT_TIMER);
    if (pool->timer < 0) {
        result = tr_fail_errno(pool->timer, "pool: the supervisor's timer");
        close(pool->epoll);
        return result;
    }
    pool->ready = add(pool, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), EVENT_READY);
    if (pool->ready < 0)
        return tr_fail_errno(pool->ready, "pool: the supervisor's eventfd");
    pool->stop_fd = eventfds_open();
    return pool->stop_fd < 0 ? tr_fail_errno(pool->stop_fd, "pool: the workers' eventfd")
                             : 0;
}

int pool_free_line(const tr_pool *pool)
{
    for (int i = 0; i < POOL_CHILDREN; i++)
        if (pool->child[i].state == CHILD_NONE)
            return i;
    return -1;
}

struct child *pool_find(tr_pool *pool, uint32_t index, uint32_t generation)
{
    for (uint32_t i = 0; i < POOL_CHILDREN; i++) {
        struct child *child = &pool->child[i];

        if (child->state != CHILD_NONE && !child->draining && child->worker == index &&
            child->generation == generation)
            return child;
    }
    return NULL;
}

/* Workers of @p generation that have no process, and none to come. */
static uint32_t missing(tr_pool *pool, uint32_t workers, uint32_t generation)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < workers; i++)
        count += !pool_find(pool, i, generation);
    return count;
}

/* Before anything is changed: whether there are lines for the missing workers. */
static int check_lines(tr_pool *pool, uint32_t workers, uint32_t generation)
{
    uint32_t free = 0;

    for (uint32_t i = 0; i < POOL_CHILDREN; i++)
        free += pool->child[i].state == CHILD_NONE;
    if (missing(pool, workers, generation) <= free)
        return 0;
    return tr_fail(TR_EAGAIN,
                   "pool: %d processes are there, the old ones among them; wait until "
                   "those have stopped",
                   POOL_CHILDREN);
}

/* Every worker of the newest generation has a process, or one to come. @p later: one that
 * can't be started now is tried again when its time comes; else the first failure ends it. */
static int fill_up(tr_pool *pool, bool later)
{
    int result = 0;

    for (uint32_t i = 0; i < pool->workers; i++) {
        int at, spawned;

        if (pool_find(pool, i, pool->generation))
            continue;
        at = pool_free_line(pool); /* checked before */
        pool->child[at].in_a_row = 0;
        spawned = pool_spawn(pool, (uint32_t)at, i, pool->generation);
        if (spawned && !later)
            return spawned;
        if (spawned)
            pool_postpone(pool, &pool->child[at]);
        result = result ? result : spawned;
    }
    pool_arm(pool);
    return result;
}

static int start(tr_pool *pool, const tr_pool_options *options)
{
    struct pool_page *page;
    uint32_t workers;
    int result = take_options(pool, options);

    if (result)
        return result;
    workers = pool->options.workers;
    page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                -1, 0);
    if (!page || page == MAP_FAILED)
        return tr_fail(TR_ENOMEM, "pool: no memory for %zu bytes", sizeof(*page));
    pool->page = page;
    result = open_descriptors(pool);
    if (!result)
        result = take_count(pool, &workers);
    if (!result)
        result = make_plan(pool, workers);
    return result ? result : fill_up(pool, false);
}

static struct handle_kind pools = {.bytes = sizeof(struct tr_pool)};

/* All but the object itself. */
static void let_go(struct tr_pool *pool)
{
    pool->options.died = NULL;
    if (getpid() == pool->master && pool->page)
        pool_kill_all(pool);
    pool_close_own(pool, false);
    if (pool->page)
        munmap(pool->page, sizeof(*pool->page));
    free(pool->keep);
}

static int start_new(tr_pool **out, const tr_pool_options *options, int cancel)
{
    struct tr_pool *pool = handle_new(&pools);
    int result;

    if (!pool)
        return tr_fail(TR_ENOMEM, "pool: no memory for %zu bytes", sizeof(*pool));
    pool->cancel = cancel;
    pool->master = getpid();
    pool->epoll = pool->timer = pool->ready = pool->stop_fd = -1;
    sigprocmask(SIG_SETMASK, NULL, &pool->mask);
    result = start(pool, options);
    if (result) {
        let_go(pool);
        handle_free(pool);
        return result;
    }
    *out = handle_of(pool);
    return 0;
}

int tr_pool_start(const tr_pool_options *options, tr_pool **out)
{
    int cancel, result;

    if (!out || !options)
        return null_fail("pool start", out ? "options" : "out");
    cancel = uncancel_begin();
    result = start_new(out, options, cancel);
    uncancel_end(cancel);
    return result;
}

void tr_pool_close(tr_pool *given)
{
    struct tr_pool *pool = handle_retire(given);
    int cancel;

    if (!pool)
        return;
    cancel = uncancel_begin();
    let_go(pool);
    handle_free(pool);
    uncancel_end(cancel);
}

/* It may work, and look later, or wait for the word, or for the descriptor. */
static void tell_to_stop(const tr_pool *pool, _Atomic uint32_t *stop)
{
    atomic_store(stop, 1);
    os->futex_wake(stop, INT32_MAX);
    eventfds_ring(pool->stop_fd);
}

void pool_drain_child(tr_pool *pool, struct child *child)
{
    if (child->state == CHILD_WAITING)
        child->state = CHILD_NONE;
    if (child->state != CHILD_ALIVE || child->draining)
        return;
    child->draining = true;
    if (pool->options.drain_ns >= 0)
        child->kill_ns = clock_after(os->now_ns(), pool->options.drain_ns);
    tell_to_stop(pool, &pool->page->line[child - pool->child].stop);
    if (pool->options.stop_signal)
        pool_signal_child(pool, child, pool->options.stop_signal);
}

static int still_running(const tr_pool *pool)
{
    if (getpid() != pool->master)
        return tr_fail(TR_EFORK, "pool: the supervisor is process %d", (int)pool->master);
    return pool->stopping ? tr_fail(TR_ECLOSED, "pool: it is stopping") : 0;
}

/* Cores at once, from outside; thread counts are the worker's own business. */
static void rebind(tr_pool *pool)
{
    const tr_plan *plan = pool_plan(pool);

    if (!plan || pool->options.enter_flags & TR_ENTER_NO_BIND)
        return;
    for (uint32_t i = 0; i < POOL_CHILDREN; i++) {
        const struct child *child = &pool->child[i];

        if (child->state == CHILD_ALIVE && child->worker < pool->workers)
            (void)bind_process(child->pid, &plan->worker[child->worker].cpus, NULL);
    }
}

static int resize(tr_pool *pool, uint32_t workers)
{
    int result = still_running(pool);

    if (!result)
        result = take_count(pool, &workers);
    if (!result)
        result = check_lines(pool, workers, pool->generation);
    if (!result)
        result = make_plan(pool, workers);
    if (result)
        return result;
    for (uint32_t i = 0; i < POOL_CHILDREN; i++)
        if (pool->child[i].state != CHILD_NONE && pool->child[i].worker >= pool->workers)
            pool_drain_child(pool, &pool->child[i]);
    rebind(pool);
    return fill_up(pool, true);
}

int pool_resize(struct tr_pool *pool, uint32_t workers)
{
    int cancel = uncancel_begin();
    int result = resize(pool, workers);

    uncancel_end(cancel);
    return result;
}

static int reload(tr_pool *pool)
{
    int result = still_running(pool);

    if (result)
        return result;
    for (uint32_t i = 0; i < POOL_CHILDREN; i++)
        if (pool->child[i].state != CHILD_NONE && !pool->child[i].draining &&
            pool->child[i].generation != pool->generation)
            return tr_fail(TR_EBUSY, "pool: the last reload still waits for worker %u",
                           pool->child[i].worker);
    result = check_lines(pool, pool->workers, pool->generation + 1);
    if (result)
        return result;
    pool->generation++;
    /* A worker that waits for its restart holds nothing. */
    for (uint32_t i = 0; i < POOL_CHILDREN; i++)
        if (pool->child[i].state == CHILD_WAITING)
            pool->child[i].state = CHILD_NONE;
    return fill_up(pool, true);
}

int pool_reload(struct tr_pool *pool)
{
    int cancel = uncancel_begin();
    int result = reload(pool);

    uncancel_end(cancel);
    return result;
}

void pool_signal(struct tr_pool *pool, int signal)
{
    int cancel = uncancel_begin();

    for (uint32_t i = 0; i < POOL_CHILDREN; i++)
        if (pool->child[i].state == CHILD_ALIVE)
            pool_signal_child(pool, &pool->child[i], signal);
    uncancel_end(cancel);
}

void pool_drain(struct tr_pool *pool)
{
    int cancel = uncancel_begin();

    pool->stopping = true;
    for (uint32_t i = 0; i < POOL_CHILDREN; i++)
        pool_drain_child(pool, &pool->child[i]);
    pool_arm(pool);
    uncancel_end(cancel);
}

int pool_stop(struct tr_pool *pool, int64_t timeout_ns)
{
    int64_t end_ns = clock_deadline(os->now_ns(), timeout_ns);
    int result = still_running(pool);

    if (result == TR_EFORK)
        return result;
    pool_drain(pool);
    for (;;) {
        int64_t left_ns = end_ns == INT64_MAX ? TR_FOREVER : end_ns - os->now_ns();

        result = pool_step(pool,
                           left_ns < 0 && end_ns != INT64_MAX ? TR_NOWAIT : left_ns);

        if (result)
            return result == TR_ECLOSED ? 0 : result;
    }
}

void pool_status_read(const struct tr_pool *pool, tr_pool_status *out)
{
    out->workers = pool->workers;
    out->generation = pool->generation;
    out->deaths = pool->deaths;
    out->started = pool->started;
    out->jobs = pool->jobs_before;
    for (uint32_t i = 0; i < POOL_CHILDREN; i++) {
        const struct child *child = &pool->child[i];
        struct pool_line *line = &pool->page->line[i];

        out->waiting += child->state == CHILD_WAITING;
        if (child->state != CHILD_ALIVE)
            continue;
        out->alive++;
        out->draining += child->draining;
        out->ready += !child->draining && child->generation == pool->generation &&
                      atomic_load(&line->ready);
        out->jobs += atomic_load(&line->jobs);
    }
}

const tr_plan *pool_plan(const struct tr_pool *pool)
{
    if (pool->options.flags & TR_POOL_NO_PLAN)
        return NULL;
    return &pool->page->plan[atomic_load(&pool->page->round) % 2];
}

int32_t pool_pid(const struct tr_pool *pool, uint32_t index)
{
    const struct child *newest = NULL;

    for (uint32_t i = 0; i < POOL_CHILDREN; i++) {
        const struct child *child = &pool->child[i];

        if (child->state == CHILD_ALIVE && !child->draining && child->worker == index &&
            (!newest || child->generation > newest->generation))
            newest = child;
    }
    return newest ? newest->pid : 0;
}
