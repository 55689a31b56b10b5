/* SPDX-License-Identifier: MIT */
/* pool_watch.c - the pidfds of the workers, and what to do without one.
 *
 * A number may be lost: the program closes a descriptor that it takes for its own, and opens
 * another file under it. So a pidfd is used only after epoll has said that the number still
 * is the file that was registered; else it is opened again from the pid. The pid is valid until
 * we have waited for the child, which only we do. Where the file is a pidfd again, of a
 * later child, that child has the number from then on. As long as there is no descriptor to be
 * had, the pid itself stands for it, and the look that comes every second finds the death. */
#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/kernel/eventfds.h"
#include "src/workers/pool_internal.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

/* Edges: a registration that can't be taken back, since its number is lost and a fork has a
 * copy of the file, tells once and not forever. */
static int tell_epoll(const tr_pool *pool, const struct child *child, int what, int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET,
                                .data.u32 = (uint32_t)(child - pool->child)};

    return epoll_ctl(pool->epoll, what, fd, &event) ? -errno : 0;
}

/* Whether @p fd still is what was registered, by a change that changes nothing. */
static bool is_own(const tr_pool *pool, int fd, uint32_t what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = what};

    return fd >= 0 && epoll_ctl(pool->epoll, EPOLL_CTL_MOD, fd, &event) == 0;
}

void pool_close_own(tr_pool *pool, bool in_worker)
{
    bool timer = is_own(pool, pool->timer, EVENT_TIMER);
    bool ready = is_own(pool, pool->ready, EVENT_READY);

    if (timer)
        close(pool->timer);
    if (ready && !in_worker)
        close(pool->ready);
    if (timer || ready)
        close(pool->epoll);
    if (pool->stop_fd >= 0 && !in_worker)
        eventfds_close(pool->stop_fd);
    pool->epoll = pool->timer = pool->ready = pool->stop_fd = -1;
}

bool pool_watched(const tr_pool *pool, const struct child *child)
{
    return child->pidfd >= 0 && tell_epoll(pool, child, EPOLL_CTL_MOD, child->pidfd) == 0;
}

/* Whether the process still is, alive or as a zombie, a child that nobody has waited for. */
static bool is_ours(int type, pid_t id)
{
    siginfo_t info = {0};

    return waitid((idtype_t)type, (id_t)id, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* The earlier child has lost the number: epoll would take the new file for it. */
static void take_number(tr_pool *pool, int fd)
{
    for (uint32_t i = 0; i < POOL_CHILDREN; i++)
        if (pool->child[i].pidfd == fd)
            pool->child[i].pidfd = -1;
    if (pool->timer == fd)
        pool->timer = -1;
    if (pool->ready == fd)
        pool->ready = -1;
    if (pool->stop_fd == fd)
        pool->stop_fd = -1;
}

int pool_watch(tr_pool *pool, struct child *child)
{
    int fd = (int)syscall(SYS_pidfd_open, child->pid, 0);
    int result = fd < 0 ? -errno : 0;

    child->pidfd = -1;
    if (result == 0)
        take_number(pool, fd);
    if (result == 0 && !is_ours(P_PIDFD, fd))
        result = -ECHILD;
    if (result == 0)
        result = tell_epoll(pool, child, EPOLL_CTL_ADD, fd);
    if (result == 0)
        child->pidfd = fd;
    else if (fd >= 0)
        close(fd);
    return result;
}

void pool_unwatch(tr_pool *pool, struct child *child)
{
    /* Take it out: a child that is just being forked may have another copy of the pidfd. */
    if (child->pidfd >= 0 &&
        epoll_ctl(pool->epoll, EPOLL_CTL_DEL, child->pidfd, NULL) == 0)
        close(child->pidfd);
    child->pidfd = -1;
}

void pool_regain(tr_pool *pool, struct child *child)
{
    if (!pool_watched(pool, child))
        (void)pool_watch(pool, child); /* without a descriptor: by the pid */
}

void pool_signal_child(tr_pool *pool, struct child *child, int signal)
{
    pool_regain(pool, child);
    if (child->pidfd >= 0)
        (void)syscall(SYS_pidfd_send_signal, child->pidfd, signal, NULL, 0);
    else if (is_ours(P_PID, child->pid))
        (void)kill(child->pid, signal);
}
