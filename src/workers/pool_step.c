/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/kernel/os.h"
#include "src/base/error.h"
#include "src/workers/pool_internal.h"

#define CHECK_NS INT64_C(1000000000)

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

void pool_arm(tr_pool *pool)
{
    int64_t next_ns = INT64_MAX;
    struct itimerspec when = {{0, 0}, {0, 0}}; /* 0: never */

    for (uint32_t i = 0; i < POOL_CHILDREN; i++) {
        const struct child *child = &pool->child[i];
        int64_t due_ns = child->state == CHILD_WAITING ? child->start_ns
                         : child->state == CHILD_ALIVE ? child->kill_ns
                                                       : INT64_MAX;

        if (child->state == CHILD_ALIVE && pool->check_ns < due_ns)
            due_ns = pool->check_ns;
        next_ns = due_ns < next_ns ? due_ns : next_ns;
    }
    if (next_ns != INT64_MAX) {
        next_ns = next_ns > 0 ? next_ns : 1;
        when.it_value.tv_sec = next_ns / 1000000000;
        when.it_value.tv_nsec = next_ns % 1000000000;
    }
    (void)timerfd_settime(pool->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

/* Whether a worker has said that it is ready, so that starting it did not fail. */
static bool has_begun(const tr_pool *pool, const struct child *child)
{
    return !(pool->options.flags & TR_POOL_READY_AT_START) &&
           atomic_load(&pool->page->line[child - pool->child].ready);
}

/* When its successor starts. -1: there is none. */
static int64_t successor_ns(const tr_pool *pool, const struct child *child,
                            const tr_pool_death *death)
{
    const tr_pool_options *options = &pool->options;
    bool failed = death->signal || death->exit_code != 0;
    int64_t most_ns = options->backoff_max_ns;
    int64_t delay_ns = options->backoff_ns;

    if (pool->stopping || child->draining || child->worker >= pool->workers ||
        child->generation != pool->generation)
        return -1;
    if (atomic_load(&pool->page->line[child - pool->child].recycled))
        return 0;
    if (options->restart == TR_RESTART_NEVER ||
        (options->restart == TR_RESTART_ON_FAILURE && !failed))
        return -1;
    if ((!failed || has_begun(pool, child)) && (int64_t)death->lived_ns >= delay_ns)
        return 0;
    for (uint32_t i = 1; failed && i < death->in_a_row && delay_ns < most_ns; i++)
        delay_ns = clock_after(delay_ns, delay_ns);
    return failed && delay_ns > most_ns ? most_ns : delay_ns;
}

/* False: it lives. */
static bool read_status(const struct child *child, int flags, tr_pool_death *death)
{
    bool by_pid = child->pidfd < 0;
    struct rusage usage = {0};
    siginfo_t info = {0};

    death->exit_code = -1;
    /* the system call, since glibc leaves out the usage */
    while (syscall(SYS_waitid, by_pid ? P_PID : P_PIDFD,
                   by_pid ? child->pid : child->pidfd, &info, WEXITED | flags,
                   &usage) < 0)
        if (errno != EINTR)
            return true; /* ECHILD: the program ignores SIGCHLD, or waits for everybody */
    if (info.si_pid == 0)
        return false;
    death->max_rss_bytes = (uint64_t)usage.ru_maxrss * 1024;
    if (info.si_code == CLD_EXITED)
        death->exit_code = info.si_status;
    else
        death->signal = info.si_status;
    death->dumped = info.si_code == CLD_DUMPED;
    return true;
}

/* If it is dead, take what it held, tell, and note when its successor starts. */
static bool bury(tr_pool *pool, struct child *child, int flags)
{
    struct pool_line *line = &pool->page->line[child - pool->child];
    tr_reap_report reaped = TR_REAP_REPORT_INIT;
    tr_pool_death death = {.struct_size = sizeof(death),
                           .worker = child->worker,
                           .generation = child->generation,
                           .pid = child->pid,
                           .lived_ns = (uint64_t)(os->now_ns() - child->started_ns),
                           .jobs = atomic_load(&line->jobs)};

    if (child->state != CHILD_ALIVE)
        return false;
    pool_regain(pool, child);
    if (!read_status(child, flags, &death))
        return false;
    pool_unwatch(pool, child);
    child->state = CHILD_NONE;
    death.expected = child->draining || atomic_load(&line->recycled);
    pool->deaths += !death.expected;
    pool->jobs_before += death.jobs;
    if (pool->options.arena) /* TR_ECORRUPT is counted in the arena */
        (void)!tr_arena_reap(pool->options.arena, &reaped);
    death.reaped = reaped.dead;
    death.freed = reaped.freed;
    death.redelivered = reaped.redelivered;
    death.dropped = reaped.dropped;
    if ((int64_t)death.lived_ns > pool->options.backoff_max_ns || death.expected ||
        has_begun(pool, child))
        child->in_a_row = 0;
    if (!death.expected && (death.signal || death.exit_code != 0))
        child->in_a_row++;
    death.in_a_row = child->in_a_row;
    death.restart_ns = successor_ns(pool, child, &death);
    if (death.restart_ns >= 0) {
        child->state = CHILD_WAITING;
        child->start_ns = clock_after(os->now_ns(), death.restart_ns);
    }
    if (pool->options.died)
        pool->options.died(&death, pool->options.context);
    return true;
}

/* Every second, whatever epoll says: a pidfd may be lost. Returns how many were dead. */
static uint32_t check_all(tr_pool *pool, int64_t now_ns)
{
    uint32_t count = 0;

    if (now_ns < pool->check_ns)
        return 0;
    for (uint32_t i = 0; i < POOL_CHILDREN; i++)
        count += bury(pool, &pool->child[i], WNOHANG);
    pool->check_ns = clock_after(now_ns, CHECK_NS);
    return count;
}

/* A back-off may be endless; the machine may soon have what it lacks now. */
void pool_postpone(tr_pool *pool, struct child *child)
{
    int64_t most_ns = pool->options.backoff_max_ns;

    child->state = CHILD_WAITING;
    child->start_ns = os->now_ns() + (most_ns < CHECK_NS ? most_ns : CHECK_NS);
}

static void start_waiting(tr_pool *pool, uint32_t at)
{
    struct child *child = &pool->child[at];

    if (pool_spawn(pool, at, child->worker, child->generation))
        pool_postpone(pool, child);
}

/* Predecessors stop when their successor is ready. */
static uint32_t hand_over(tr_pool *pool)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < POOL_CHILDREN; i++) {
        struct child *old = &pool->child[i], *new;

        if (old->state == CHILD_NONE || old->draining ||
            old->generation == pool->generation)
            continue;
        new = pool_find(pool, old->worker, pool->generation);
        if (new &&new->state == CHILD_ALIVE &&
            atomic_load(&pool->page->line[new - pool->child].ready)) {
            pool_drain_child(pool, old);
            count++;
        }
    }
    return count;
}

/* Do what is due by the time or by the workers. Returns how much was done. */
static uint32_t do_due(tr_pool *pool)
{
    int64_t now_ns = os->now_ns();
    uint32_t count = check_all(pool, now_ns) + hand_over(pool);

    for (uint32_t i = 0; i < POOL_CHILDREN; i++) {
        struct child *child = &pool->child[i];

        if (child->state == CHILD_WAITING && child->start_ns <= now_ns) {
            start_waiting(pool, i);
            count++;
        } else if (child->state == CHILD_ALIVE && child->kill_ns <= now_ns) {
            child->kill_ns = INT64_MAX;
            child->killed = true;
            pool_signal_child(pool, child, SIGKILL);
            count++;
        }
    }
    return count;
}

static bool nobody_left(const tr_pool *pool)
{
    for (uint32_t i = 0; i < POOL_CHILDREN; i++)
        if (pool->child[i].state != CHILD_NONE)
            return false;
    return true;
}

/* Wait by poll(), which the kernel resumes after work of its own in this thread, as an io_uring's:
 * epoll_wait() then ends as if a signal had come. */
static int await(const tr_pool *pool, struct epoll_event *event, int most, int timeout_ms)
{
    struct pollfd poller = {.fd = pool->epoll, .events = POLLIN};
    int count = timeout_ms ? poll(&poller, 1, timeout_ms) : 0;

    if (count >= 0)
        count = epoll_wait(pool->epoll, event, most, 0);
    return count;
}

/* Returns how much was done, or -errno. */
static int look(tr_pool *pool, int timeout_ms)
{
    struct epoll_event event[64];
    uint64_t ticks;
    int done = 0, count = await(pool, event, 64, timeout_ms);

    if (count < 0)
        return -errno;
    for (int i = 0; i < count; i++) {
        uint32_t what = event[i].data.u32;

        if (what < POOL_CHILDREN) {
            done += bury(pool, &pool->child[what], WNOHANG);
        } else {
            (void)!read(what == EVENT_TIMER ? pool->timer : pool->ready, &ticks,
                        sizeof(ticks));
        }
    }
    done += (int)do_due(pool);
    pool_arm(pool);
    return done;
}

static int nothing(const tr_pool *pool, int code)
{
    (void)tr_fail(code, "pool: nothing has happened");
    pool_explain(pool);
    return code;
}

static int step(tr_pool *pool, int64_t timeout_ns)
{
    int64_t end_ns = clock_deadline(os->now_ns(), timeout_ns);
    int timeout_ms = 0; /* first, what is there already */

    if (getpid() != pool->master)
        return tr_fail(TR_EFORK, "pool: the supervisor is process %d", (int)pool->master);
    for (;;) {
        int done = look(pool, timeout_ms);
        int64_t left_ns;

        if (done < 0)
            return tr_fail_errno(done, "pool: waiting for workers");
        if (done > 0)
            return 0;
        if (nobody_left(pool))
            return tr_fail(TR_ECLOSED, "pool: no worker is left");
        if (timeout_ns == 0)
            return nothing(pool, TR_EAGAIN);
        left_ns = end_ns - os->now_ns();
        if (left_ns <= 0)
            return nothing(pool, TR_ETIMEDOUT);
        /* The timer might be lost, too. */
        timeout_ms = 1 + (int)((left_ns < CHECK_NS ? left_ns : CHECK_NS) / 1000000);
    }
}

int pool_step(struct tr_pool *pool, int64_t timeout_ns)
{
    int cancel = uncancel_begin();
    int result = step(pool, timeout_ns);

    uncancel_end(cancel);
    return result;
}

void pool_kill_all(tr_pool *pool)
{
    pool->stopping = true;
    for (uint32_t i = 0; i < POOL_CHILDREN; i++)
        if (pool->child[i].state == CHILD_ALIVE)
            pool_signal_child(pool, &pool->child[i], SIGKILL);
    for (uint32_t i = 0; i < POOL_CHILDREN; i++)
        if (pool->child[i].state == CHILD_ALIVE)
            (void)bury(pool, &pool->child[i], 0);
}
