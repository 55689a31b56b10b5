/* SPDX-License-Identifier: MIT */
/* pool_internal.h - the supervisor's state. Each process of the pool is a child, on a line of
 * the page that supervisor and workers share; a child that waits for its restart keeps its
 * line. pool.c has the requests (resize, reload, drain), pool_step.c the events,
 * pool_watch.c their pidfds, pool_spawn.c the fork, pool_inherit.c what it leaves behind,
 * pool_worker.c the other side, pool_waitset.c the time to stop in a wait set. */
#ifndef TR_SRC_POOL_INTERNAL_H
#define TR_SRC_POOL_INTERNAL_H

#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include <tensoring/pool.h>

#include "src/base/handle.h"
#include "src/workers/plan_bytes.h"

#include "ipc/kernel/clock.h"
#include "ipc/kernel/uncancel.h"

enum { POOL_CHILDREN = 2 * TR_MAX_WORKERS }; /* two generations side by side */

struct pool_line {
    alignas(
        128) _Atomic uint32_t stop; /* local: to the pool, by the supervisor; a futex */
    _Atomic uint32_t ready;         /* local: to the pool, by the worker */
    _Atomic uint32_t recycled;      /* local: to the pool, by the worker */
    _Atomic uint64_t jobs;          /* local: to the pool, by the worker */
};

struct pool_page {
    _Atomic uint32_t round; /* local: to the pool; plan[round % 2] is in force */
    tr_plan plan[2];
    struct pool_line line[POOL_CHILDREN];
};

enum child_state { CHILD_NONE, CHILD_WAITING, CHILD_ALIVE };

struct child {
    enum child_state state;
    pid_t pid;
    int pidfd; /* -1: no descriptor was free, the pid must do */
    uint32_t worker;
    uint32_t generation;
    uint32_t in_a_row; /* failures */
    bool draining;
    bool killed; /* SIGKILL was sent */
    int64_t started_ns;
    int64_t start_ns; /* WAITING: when */
    int64_t kill_ns;  /* draining: when; INT64_MAX: never, or done */
};

struct tr_pool {
    struct handle handle;
    tr_pool_options options;
    tr_plan_options plan_options;
    struct pool_page *page; /* shared with the workers */
    pid_t master;
    int epoll, timer, ready; /* descriptors; ready is written to by workers */
    int stop_fd;             /* an eventfd that rings when any worker must stop */
    int *keep;               /* those of the program that workers keep */
    int64_t check_ns;        /* when the workers are looked at whatever epoll says */
    sigset_t mask;           /* that workers start with */
    int cancel;              /* the state of cancellation that they start with */
    uint32_t workers;
    uint32_t generation;
    bool stopping;
    uint64_t deaths, started, jobs_before;
    struct child child[POOL_CHILDREN];
};

struct tr_pool_worker {
    struct pool_page *page;
    struct pool_line *line;
    const tr_pool_options *options;
    pid_t master, pid;
    int ready, stop_fd;
    uint32_t index, generation, round;
    _Atomic int64_t
        looked_ns;     /* local: for a wait set: when it last looked for the master */
    _Atomic bool over; /* local: and whether it found a reason to stop then */
    tr_plan plan;
};

/* Whether its jobs or its memory are used up. */
bool pool_worker_used_up(const struct tr_pool_worker *worker);

static inline struct tr_pool *pool_known(const tr_pool *given)
{
    return handle_known(given);
}

/* What the public functions do, for callers that have the pointer. */
int pool_resize(struct tr_pool *pool, uint32_t workers);
int pool_reload(struct tr_pool *pool);
void pool_drain(struct tr_pool *pool);
void pool_signal(struct tr_pool *pool, int signal);
int pool_step(struct tr_pool *pool, int64_t timeout_ns);
const tr_plan *pool_plan(const struct tr_pool *pool);
int pool_stop(struct tr_pool *pool, int64_t timeout_ns);
int pool_run(struct tr_pool *pool);
/* Into a struct that is 0. */
void pool_status_read(const struct tr_pool *pool, tr_pool_status *out);
int32_t pool_pid(const struct tr_pool *pool, uint32_t index);

/* epoll's data: the number of a child, or one of these */
enum { EVENT_TIMER = POOL_CHILDREN, EVENT_READY };

/* Start worker @p worker on line @p at. 0, TR_EAGAIN, TR_ENFILE, TR_ENOTSUP. */
int pool_spawn(tr_pool *pool, uint32_t at, uint32_t worker, uint32_t generation);

/* No process or descriptor is available for it now: later. */
void pool_postpone(tr_pool *pool, struct child *child);

/* A line that nobody uses, or -1. */
int pool_free_line(const tr_pool *pool);

/* Ask it to stop; a waiting one is forgotten. */
void pool_drain_child(tr_pool *pool, struct child *child);

/* The newest process of worker @p index that is not draining, or NULL. */
struct child *pool_find(tr_pool *pool, uint32_t index, uint32_t generation);

/* Open the pidfd of a child and register it. 0, or -errno: then it has none, which a look
 * every second makes up for. */
int pool_watch(tr_pool *pool, struct child *child);

/* Whether its descriptor still is the one that was registered. */
bool pool_watched(const tr_pool *pool, const struct child *child);

/* The same, opened again if it is not. */
void pool_regain(tr_pool *pool, struct child *child);

/* It is dead and has been waited for. */
void pool_unwatch(tr_pool *pool, struct child *child);

void pool_signal_child(tr_pool *pool, struct child *child, int signal);

/* Close epoll, timer and ready, those of them that still are the pool's, and forget them, so
 * that what will have these numbers is not closed by tr_pool_close(). A worker keeps ready. */
void pool_close_own(tr_pool *pool, bool in_worker);

/* Add to the error detail which worker the pool waits for. */
void pool_explain(const tr_pool *pool);

/* Close the supervisor's own descriptors, in a worker. */
void pool_drop_own(tr_pool *pool);

/* Close what a worker has inherited, except for standard descriptors, options.keep and
 * what the library knows as its own. False: /proc does not tell what is open. */
bool pool_close_inherited(const tr_pool *pool, int ready);

/* Set the timer to whatever is due next. */
void pool_arm(tr_pool *pool);

/* Kill all that are alive, and wait for them. */
void pool_kill_all(tr_pool *pool);

/* The worker's side of the fork; does not return. */
_Noreturn void pool_child_main(tr_pool *pool, uint32_t at);

#endif
