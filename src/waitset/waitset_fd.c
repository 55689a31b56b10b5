/* SPDX-License-Identifier: MIT */
/* waitset_fd.c - the descriptor of a set: an epoll instance, in which lie
 *
 *  the pollable    readable when the doorbell is rung (pollable.h)
 *  the wake_fd an eventfd of our own: what is ready was not all taken, or members changed
 *  the timer   now and then: a waker may have died before it rang, others may be dead; and
 *              when a member is ready by the clock alone
 *  the watch   pidfds of the others, if this process is the one that looks for the dead
 *  descriptors that the user added
 *
 * Armed means: unreadable, and a process that changes something rings. A thread that finds
 * something in an armed set and sees that nobody has rung for it wakes itself, so that readiness is
 * level-triggered; one that finds nothing clears what was readable, arms, and looks again. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "ipc/kernel/eventfds.h"
#include "ipc/liveness/monitor.h"
#include "ipc/liveness/pidfds.h"
#include "ipc/signal/notify.h"
#include "src/base/error.h"
#include "src/waitset/waitset.h"

#define EVENTS 64

/* A program that closes all descriptors may have files of its own by our numbers. */
static bool lost(const tr_waitset *set)
{
    return set->epoll >= 0 && !eventfds_ours(set->epoll);
}

int64_t waitset_slice_ns = 250000000;

static int put_in(tr_waitset *set, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    int saved = errno;
    int result = lost(set)                                              ? -EBADF
                 : epoll_ctl(set->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno
                                                                        : 0;

    errno = saved;
    return result;
}

static void take_out(tr_waitset *set, int fd)
{
    int saved = errno;

    if (!lost(set))
        epoll_ctl(set->epoll, EPOLL_CTL_DEL, fd, NULL);
    errno = saved;
}

static void close_all(tr_waitset *set)
{
    int saved = errno;

    if (set->wake_fd >= 0)
        eventfds_close(set->wake_fd);
    if (set->timer >= 0)
        eventfds_close(set->timer);
    if (set->epoll >= 0)
        eventfds_close(set->epoll);
    set->wake_fd = set->timer = set->pidfds = set->epoll = -1;
    set->armed = false;
    errno = saved;
}

void waitset_fd_close(tr_waitset *set)
{
    pollable_close(&set->arena->self, &set->pollable);
    close_all(set);
}

void waitset_fd_drop(tr_waitset *set)
{
    pollable_drop(&set->pollable);
    close_all(set);
}

static int open_as(tr_waitset *set)
{
    struct self *me = &set->arena->self;
    int result = pollable_open(me, set->requested, &set->pollable);

    if (result == 0)
        result = put_in(set, pollable_fd(me, &set->pollable), EPOLLIN,
                        (uint32_t)pollable_fd(me, &set->pollable));
    return result;
}

/* Participants have come that can't ring this pollable, or another thread arms it. */
static int replace_pollable(tr_waitset *set)
{
    struct self *me = &set->arena->self;

    if (set->pollable.kind != POLLABLE_NONE)
        take_out(set, pollable_fd(me, &set->pollable));
    pollable_close(me, &set->pollable);
    return open_as(set);
}

static int set_timer(tr_waitset *set, int64_t ns)
{
    const struct timespec slice = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    int64_t now = os->now_ns();
    const struct itimerspec slices = {.it_interval = slice, .it_value = slice};
    int saved = errno;
    int result = !eventfds_ours(set->timer)                          ? -EBADF
                 : timerfd_settime(set->timer, 0, &slices, NULL) < 0 ? -errno
                                                                     : 0;

    errno = saved;
    set->timer_at = ns > INT64_MAX - now ? INT64_MAX : now + ns;
    return result;
}

static int make(tr_waitset *set)
{
    int saved = errno, result = 0;

    set->epoll = eventfds_epoll();
    set->wake_fd = set->epoll < 0 ? -1 : eventfds_open();
    set->timer = set->wake_fd < 0 ? -1 : eventfds_timer();
    if (set->timer < 0)
        result = set->epoll < 0     ? set->epoll
                 : set->wake_fd < 0 ? set->wake_fd
                                    : set->timer;
    errno = saved;
    if (result == 0)
        result = set_timer(set, waitset_slice_ns);
    if (result == 0)
        result = put_in(set, set->wake_fd, EPOLLIN, (uint32_t)set->wake_fd);
    if (result == 0)
        result = put_in(set, set->timer, EPOLLIN, (uint32_t)set->timer);
    set->pollable.wake_fd = set->wake_fd;
    return result;
}

static int explain(const tr_waitset *set, int result)
{
    static const char *const needs[] = {
        [POLLABLE_NONE] = "the descriptor of a wait set",
        [POLLABLE_EVENTFD] =
            "TENSORING_NOTIFY=eventfd: the arena was not created with eventfds "
            "for this participant, or it was not inherited by fork",
        [POLLABLE_URING] =
            "TENSORING_NOTIFY=uring: io_uring with futexes (Linux 6.7) does not "
            "work here",
        [POLLABLE_FIFO] = "TENSORING_NOTIFY=fifo: no FIFO can be made in /dev/shm"};

    if (result == -EMFILE || result == -ENFILE || result == -ENOMEM ||
        result == -EOPNOTSUPP)
        return tr_fail_errno(result, "%s", needs[set->requested]);
    return tr_fail(TR_EIO, "%s: error %d", needs[set->requested], -result);
}

int waitset_fd_open(tr_waitset *set)
{
    int result;

    if (lost(set))
        waitset_fd_close(set);
    if (set->epoll >= 0)
        return 0;
    if (pollable_requested(&set->requested) < 0)
        return tr_fail(TR_EINVAL,
                       "TENSORING_NOTIFY is \"%s\"; it can be eventfd, uring and fifo",
                       secure_getenv("TENSORING_NOTIFY"));
    result = make(set);
    if (result == 0)
        result = open_as(set);
    if (result < 0) {
        waitset_fd_close(set);
        return explain(set, result);
    }
    for (uint32_t i = 0; i < set->count; i++) { /* those of a forked child, and outside */
        const struct waitable *what = &set->members[i].what;

        if (what->outside)
            waitset_fd_watch_outside(set, what);
        else if (!what->word)
            (void)waitset_fd_watch(set, what);
    }
    waitset_fd_wake(set);
    return 0;
}

int waitset_fd_watch(tr_waitset *set, const struct waitable *what)
{
    uint32_t events = (what->want & TR_WAIT_READABLE ? EPOLLIN : 0u) |
                      (what->want & TR_WAIT_WRITABLE ? EPOLLOUT : 0u);
    int result = put_in(set, what->fd, events, (uint32_t)what->fd);

    switch (result) {
    case -EPERM:
        return tr_fail(
            TR_EPERM,
            "waitset: descriptor %d is of a kind that epoll can't wait for, as "
            "a regular file, which is always ready; read it without waiting",
            what->fd);
    case -EEXIST:
        return tr_fail(TR_EEXIST,
                       "waitset: descriptor %d is in the set already; remove it first",
                       what->fd);
    default:
        return result < 0 ? tr_fail_descriptor(result, "waitset", what->fd) : 0;
    }
}

/* If it can't be watched, the slices find what its word says. */
void waitset_fd_watch_outside(tr_waitset *set, const struct waitable *what)
{
    if (set->epoll >= 0 && eventfds_ours(what->fd))
        (void)put_in(set, what->fd, EPOLLIN | EPOLLET, (uint32_t)what->fd);
}

void waitset_fd_unwatch(tr_waitset *set, const struct waitable *what)
{
    if (set->epoll >= 0 && (!what->outside || eventfds_ours(what->fd)))
        take_out(set, what->fd);
}

static uint32_t readiness(uint32_t events)
{
    return (events & (EPOLLIN | EPOLLPRI) ? TR_WAIT_READABLE : 0u) |
           (events & EPOLLOUT ? TR_WAIT_WRITABLE : 0u) |
           (events & (EPOLLHUP | EPOLLERR) ? TR_WAIT_HUNGUP : 0u);
}

static struct member *member_of(tr_waitset *set, int fd)
{
    for (uint32_t i = 0; i < set->count; i++)
        if (!set->members[i].what.word && set->members[i].what.fd == fd)
            return &set->members[i];
    return NULL;
}

static int ask(tr_waitset *set, struct epoll_event *events)
{
    int saved = errno, got = lost(set) ? 0 : epoll_wait(set->epoll, events, EVENTS, 0);

    errno = saved;
    return got;
}

void waitset_fd_look(tr_waitset *set)
{
    struct epoll_event events[EVENTS];
    int got;

    for (uint32_t i = 0; i < set->count; i++)
        set->members[i].ready = 0;
    if (waitset_fd_open(set) < 0)
        return;
    got = ask(set, events);
    for (int i = 0; i < got; i++) {
        struct member *member = member_of(set, (int)events[i].data.u64);

        if (member)
            member->ready = readiness(events[i].events);
    }
}

/* A primary learns of deaths by its pidfds, and need not tick for them. */
static void pidfds(tr_waitset *set)
{
    uint32_t serial;
    int fd = pidfds_fd(&set->arena->self, &serial);

    if (fd < 0 || (fd == set->pidfds && serial == set->pidfds_serial))
        return;
    /* The kernel limits how many instances wait for one. */
    set->deaf = put_in(set, fd, EPOLLIN, (uint32_t)fd) < 0;
    if (set->deaf)
        return;
    set->pidfds = fd;
    set->pidfds_serial = serial;
}

/* A pidfd set that was given up left the epoll, and its number may be a file's of the program. */
static bool is_pidfds(tr_waitset *set, int fd)
{
    uint32_t serial;

    if (fd != set->pidfds)
        return false;
    if (pidfds_fd(&set->arena->self, &serial) == fd && serial == set->pidfds_serial)
        return true;
    set->pidfds = -1;
    return false;
}

static void tick(tr_waitset *set)
{
    struct self *me = &set->arena->self;
    int64_t slice = monitor_tick(me, ++set->idle_slices,
                                 set->deaf ? 0 : waitset_slice_ns);

    eventfds_clear(set->timer); /* a timerfd is read the same way */
    (void)set_timer(set, slice);
    pidfds(set);
    if (pollable_is_unfit(me, &set->pollable, set->requested))
        (void)replace_pollable(set);
    pollable_renew(me, &set->pollable);
}

static void alarm_rings(tr_waitset *set)
{
    if (monitor_alarm(&set->arena->self))
        return;
    take_out(set, set->pidfds); /* until the next tick */
    set->pidfds = -1;
}

/* What was readable, and was not a user's descriptor, is not any more. */
static void clear(tr_waitset *set)
{
    struct epoll_event events[EVENTS];
    struct self *me = &set->arena->self;
    int got = ask(set, events);
    bool busy = false;

    for (int i = 0; i < got; i++) {
        int fd = (int)events[i].data.u64;

        if (fd == set->timer) {
            tick(set);
            continue;
        }
        if (is_pidfds(set, fd)) {
            alarm_rings(set);
            continue;
        }
        busy = true;
        if (fd == set->wake_fd)
            eventfds_clear(set->wake_fd);
        else if (fd == pollable_fd(me, &set->pollable))
            pollable_clear(me, &set->pollable);
    }
    if (busy && set->idle_slices > 0)
        (void)set_timer(set, waitset_slice_ns);
    if (busy)
        set->idle_slices = 0;
}

/* Not later than a member is ready by the clock. */
static void hasten(tr_waitset *set)
{
    int64_t due = waitset_due(set), left;

    if (due >= set->timer_at)
        return;
    left = due - os->now_ns();
    (void)set_timer(set, left > 0 ? left : 1);
}

/* 0, or -errno: the pollable no longer works. */
static int arm(tr_waitset *set)
{
    struct self *me = &set->arena->self;
    uint32_t seen = notify_arm(me, pollable_flags(&set->pollable));

    waitset_listen(set);
    return pollable_arm(me, &set->pollable, seen);
}

void waitset_fd_arm(tr_waitset *set)
{
    clear(set);
    if (pollable_is_unfit(&set->arena->self, &set->pollable, POLLABLE_URING))
        (void)replace_pollable(set);
    set->armed = true;
    if (arm(set) < 0 && (replace_pollable(set) < 0 || arm(set) < 0))
        waitset_fd_wake(set); /* better too often than never */
    hasten(set);
}

void waitset_fd_wake(tr_waitset *set)
{
    eventfds_ring(set->wake_fd);
    set->armed = false;
}

void waitset_fd_level(tr_waitset *set)
{
    if (set->armed && notify_armed(&set->arena->self, pollable_flags(&set->pollable)))
        waitset_fd_wake(set);
    set->armed = false;
}
