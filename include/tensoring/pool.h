/* SPDX-License-Identifier: MIT */
/* pool.h - a pre-forking supervisor: n workers by a plan, restarted when they die.
 *
 *  master                                  worker
 *  tr_pool_start(&options, &pool)          run(worker, context):
 *  while (tr_pool_step(pool, ns) != ...)       while (!tr_pool_worker_receive(worker, ...))
 *  tr_pool_stop(pool, ns)                          ...one job...
 *  tr_pool_close(pool)                         return 0
 *
 * Start it before the master has threads. The supervisor installs no signal handler and
 * waits for its own children alone, through pidfds; tr_pool_step() does all the work, from
 * a loop of yours or of tr_pool_run(). A worker that the supervisor has left behind stops at
 * its next job.
 *
 * A worker is a fork of the master as the master is *at that moment*: a restarted one inherits
 * what has been opened, changed and accepted since. See "What a worker inherits" in
 * docs/how-to/worker-pool.md; TR_POOL_CLOSE_INHERITED and options.child are the ways out. */
#ifndef TENSORING_POOL_H
#define TENSORING_POOL_H

#include <tensoring/enter.h>
#include <tensoring/waitset.h>

TR_BEGIN_DECLS

/** The supervisor. Threads: one. */
typedef struct tr_pool tr_pool;
/** This process as a worker. Threads: one. */
typedef struct tr_pool_worker tr_pool_worker;

/** Which workers are started again. A worker that recycles itself always is. */
typedef enum tr_restart {
    TR_RESTART_ON_FAILURE = 0, /**< killed, or ended with another code than 0 */
    TR_RESTART_ALWAYS = 1,
    TR_RESTART_NEVER = 2
} tr_restart;

enum {
    TR_POOL_NO_PLAN = 1u << 0, /**< do not bind, do not set thread counts */
    /** The kernel sends workers SIGTERM when the thread that started them ends. */
    TR_POOL_DIE_WITH_MASTER = 1u << 1,
    /** Do not wait for tr_pool_worker_ready(): workers that become another program. */
    TR_POOL_READY_AT_START = 1u << 2,
    /** Workers close the files, sockets and pipes that they inherit, except 0, 1, 2, options.keep
     *  and the library's. */
    TR_POOL_CLOSE_INHERITED = 1u << 3
};

/** How one worker ended. */
typedef struct tr_pool_death {
    uint32_t struct_size; /**< what this library has filled */
    uint32_t worker;      /**< its index in the plan */
    uint32_t generation;  /**< how many reloads it came after */
    int32_t pid;
    int32_t signal;    /**< that killed it, or 0 */
    int32_t exit_code; /**< or -1: killed, or somebody else has waited for it */
    uint32_t dumped;   /**< 1: it left a core */
    uint32_t expected; /**< 1: asked to stop, or recycled itself */
    /** Failures of this worker one after the other; that of a process which had been ready
     *  counts as the first. */
    uint32_t in_a_row;
    uint32_t reserved;
    uint64_t lived_ns;
    uint64_t jobs;
    uint64_t max_rss_bytes;
    int64_t restart_ns; /**< when its successor starts; -1: there is none */
    uint32_t reaped;    /**< what tr_arena_reap() of options.arena did then: its dead */
    uint32_t freed;
    uint32_t redelivered;
    uint32_t dropped;
} tr_pool_death;
TR_ASSERT_SIZE(tr_pool_death, 88);

/** Start from TR_POOL_OPTIONS_INIT. Fields are only ever added at the end. */
typedef struct tr_pool_options {
    uint32_t struct_size;
    uint32_t workers; /**< 1 to TR_MAX_WORKERS; 0: one for each core there is */
    uint32_t flags;   /**< TR_POOL_... */
    uint32_t restart; /**< tr_restart */
    /** What a worker does; its result is the exit code. The worker ends by _exit(): flush
     *  what you print. */
    int (*run)(tr_pool_worker *worker, void *context);
    /** Told of each death, in tr_pool_step(); NULL for none. */
    void (*died)(const tr_pool_death *death, void *context);
    void *context;
    const tr_plan_options *plan; /**< NULL for defaults */
    tr_arena *arena;             /**< reaped at each death; NULL for none */
    uint64_t max_jobs;          /**< a worker recycles itself after this many; 0: never */
    uint64_t max_private_bytes; /**< or with more memory of its own than that; 0: never */
    /** Before the restart of a worker that failed before it was ready, doubled in a row. One
     *  that had been ready restarts at once if it lived so long, else after this time. With
     *  TR_POOL_READY_AT_START all failures are of the first kind. */
    int64_t backoff_ns;
    /** Upper bound of that; a worker that lived longer resets it to backoff_ns. */
    int64_t backoff_max_ns;
    int64_t drain_ns; /**< from the stop request to SIGKILL; -1: never */
    /** Also sent to a worker that should stop; 0: it notices at its next job. */
    int32_t stop_signal;
    uint32_t enter_flags; /**< TR_ENTER_... */
    /** The first thing in a new worker, before it is placed, closes anything or takes a
     *  signal: to close or reset what it should not inherit. NULL for none. */
    void (*child)(uint32_t worker, void *context);
    const int *keep; /**< descriptors that TR_POOL_CLOSE_INHERITED spares; copied */
    uint32_t keep_count;
    uint32_t reserved; /**< 0 */
} tr_pool_options;
TR_ASSERT_SIZE(tr_pool_options, 128);
/* clang-format off */
#define TR_POOL_OPTIONS_INIT {sizeof(tr_pool_options), 0, 0, TR_RESTART_ON_FAILURE, NULL, NULL, \
                              NULL, NULL, NULL, 0, 0, INT64_C(100000000),             \
                              INT64_C(10000000000), INT64_C(30000000000), 0, 0,      \
                              NULL, NULL, 0, 0}
/* clang-format on */

typedef struct tr_pool_status {
    uint32_t struct_size; /**< in: sizeof(tr_pool_status) of the caller */
    uint32_t workers;     /**< wanted */
    uint32_t alive;       /**< processes, those that are draining among them */
    uint32_t ready;       /**< of the newest generation, and at work */
    uint32_t draining;    /**< asked to stop */
    uint32_t waiting;     /**< to be restarted later */
    uint32_t generation;
    uint32_t reserved;
    uint64_t deaths;  /**< that nobody had asked for */
    uint64_t started; /**< processes in all */
    uint64_t jobs;    /**< done by all of them */
} tr_pool_status;
TR_ASSERT_SIZE(tr_pool_status, 56);
#define TR_POOL_STATUS_INIT TR_RESULT_INIT(tr_pool_status)

/* ---- the master ---- */

/**
 * Plan, and start the workers.
 * @return 0, TR_EINVAL, TR_ENOTSUP (no pidfds: Linux before 5.4), TR_ENFILE, TR_ENOMEM,
 *         TR_EAGAIN (no process can be made). On error no worker is left.
 * Owner:   the caller, until tr_pool_close(). Threads: one: it forks.
 * Syscalls: some dozens a worker. Crash: workers stop at their next job.
 */
TR_API TR_CHECK int tr_pool_start(const tr_pool_options *options, tr_pool **out);

/**
 * Handle pending events: see which workers have died, reap what they held, tell options.died, start
 * successors when their time has come, kill workers that do not stop.
 *
 * A worker whose pidfd the program has closed by mistake is found by a look every second, for
 * which the timer behind tr_pool_fd() wakes.
 *
 * @param timeout_ns  how long to wait if there is nothing
 * @return 0 (something happened), TR_EAGAIN and TR_ETIMEDOUT (the detail says which worker
 *         should stop and does not, and its state), TR_EINTR, TR_ECLOSED (no worker
 *         is left, and none will be started), TR_EFORK (called in a worker).
 * Threads: one. Progress: blocks. Syscalls: some. Crash: as tr_pool_start().
 */
TR_API TR_CHECK int tr_pool_step(tr_pool *pool, int64_t timeout_ns);

/** A descriptor that polls readable when tr_pool_step() has something to do. It stays the
 *  pool's.
 *  @return 0, TR_EINVAL (NULL). Threads: any. Syscalls: none. */
TR_API TR_CHECK int tr_pool_fd(const tr_pool *pool, int *fd);

/**
 * tr_pool_step() until no worker is left, taking signals from a descriptor meanwhile:
 * SIGTERM and SIGINT drain (the second kills), SIGHUP reloads, SIGTTIN and SIGTTOU add and
 * remove a worker. The signals are blocked in this thread during the call alone.
 * @return 0, TR_EFORK, TR_ENFILE.
 * Threads: one. Progress: blocks. Crash: as tr_pool_start().
 */
TR_API TR_CHECK int tr_pool_run(tr_pool *pool);

/**
 * Change the number of workers. Those that stay get their new cores at once and their new
 * thread count at their next job; those that are too many are drained.
 * @param workers  at most TR_MAX_WORKERS; 0: one for each core there is
 * @return 0, TR_EINVAL, TR_ENOMEM, TR_ENFILE, TR_EAGAIN, TR_EFORK, TR_ECLOSED (it is stopping).
 *         TR_EAGAIN and TR_ENOMEM also if the number has changed, but some processes can't be
 *         made now: tr_pool_step() tries again within a second (tr_pool_status.waiting counts
 *         them).
 * Threads: one. Syscalls: some dozens a worker. Crash: as tr_pool_start().
 */
TR_API TR_CHECK int tr_pool_resize(tr_pool *pool, uint32_t workers);

/**
 * Start a new generation beside the old. Each old worker is drained when its successor is
 * ready; as long as none gets ready, the old ones work on.
 * @return 0, TR_EAGAIN (too many processes are there, old ones among them), TR_ECLOSED (it is
 *         stopping), TR_EBUSY (the last reload is not through), TR_EFORK: nothing has changed.
 *         TR_EAGAIN and TR_ENOMEM also if the new generation has begun, but some of its
 *         processes can't be made now: as tr_pool_resize().
 * Threads: one. Crash: as tr_pool_start().
 */
TR_API TR_CHECK int tr_pool_reload(tr_pool *pool);

/** Send @p signal to every worker. Threads: one. */
TR_API void tr_pool_signal(tr_pool *pool, int signal);

/** Ask every worker to stop after its job; none is restarted. Threads: one. */
TR_API void tr_pool_drain(tr_pool *pool);

/**
 * Drain, and wait until no worker is left.
 * @return 0, TR_ETIMEDOUT and TR_EAGAIN (as tr_pool_step()), TR_EINTR, TR_EFORK.
 * Threads: one. Progress: blocks. Crash: as tr_pool_start().
 */
TR_API TR_CHECK int tr_pool_stop(tr_pool *pool, int64_t timeout_ns);

/** Kill the remaining workers, and free the pool. Never fails; NULL is allowed. In a worker it
 *  frees this process's copy alone. Threads: one. */
TR_API void tr_pool_close(tr_pool *pool);

/** How it is.
 *  @return 0, TR_EINVAL (struct_size, NULL). Threads: one. Syscalls: none. */
TR_API TR_CHECK int tr_pool_status_get(const tr_pool *pool, tr_pool_status *out);

/** The plan it works by; valid until the next tr_pool_resize(). Threads: one. */
TR_API const tr_plan *tr_pool_plan(const tr_pool *pool);

/** The process that is worker @p index now, or 0. Threads: one. */
TR_API int32_t tr_pool_pid(const tr_pool *pool, uint32_t index);

/* ---- the worker ---- */

/**
 * Take a job from @p queue, unless the worker should stop. It counts for options.max_jobs.
 * @return 0, TR_ECANCELED (stop now: return from run()), or as tr_queue_receive().
 * Owner: the caller, as tr_queue_receive(). Threads: one. Progress: blocks.
 * Syscalls: one, and two or three every 32 jobs. Crash: the queue's policy decides.
 */
TR_API TR_CHECK int tr_pool_worker_receive(tr_pool_worker *worker, tr_queue *queue,
                                           int64_t timeout_ns, tr_message **out);

/** Whether this worker should stop: it was asked to, has done its jobs, has grown too large, or
 *  its master is gone. Adopts a changed plan. For loops without tr_pool_worker_receive(). The first
 *  call says that the worker is ready. Threads: one. Syscalls: as tr_pool_worker_receive(). */
TR_API bool tr_pool_worker_stopping(tr_pool_worker *worker);

/**
 * Wait in a set for the time to stop, too: TR_WAIT_READABLE when tr_pool_worker_stopping() would
 * return true. So one wait serves for jobs, subscriptions, watches and the supervisor:
 *
 *     tr_waitset_add_queue(set, jobs, TR_WAIT_READABLE, 1);
 *     tr_waitset_add_pool_worker(set, worker, 2);
 *     while (!tr_pool_worker_stopping(worker)) {
 *         if (tr_waitset_wait(set, events, 8, TR_FOREVER, &n))
 *             break;
 *         ... take what is there with TR_NOWAIT, and tr_pool_worker_job_done() after each job
 *     }
 *
 * The supervisor's request (drain, reload, a smaller pool) wakes the set at once. That the master
 * has died, or the worker has too much memory, is seen when the set is looked at, within 2 s.
 * A changed plan does not wake it. A set that a child of the worker inherits is ready at once.
 *
 * @param worker  this process; a set has it once
 * @return 0, TR_EINVAL, TR_EFORK (a child of the worker), TR_EEXIST, TR_ENOSPC (TR_MAX_WAITABLE),
 *         TR_ENOMEM.
 * Threads: any. Syscalls: one if somebody waits. Crash: as tr_pool_start().
 */
TR_API TR_CHECK int tr_waitset_add_pool_worker(tr_waitset *set, tr_pool_worker *worker,
                                               uint64_t token);

/** A job is done; counts for options.max_jobs. Threads: one. Syscalls: none. */
TR_API void tr_pool_worker_job_done(tr_pool_worker *worker);

/** The worker can work now: its predecessor may go. Threads: any. Syscalls: none. */
TR_API void tr_pool_worker_ready(tr_pool_worker *worker);

/** Its index in the plan (TR_PLAN_UNKNOWN for NULL), and how many reloads it came after. Threads:
 * any. */
TR_API uint32_t tr_pool_worker_index(const tr_pool_worker *worker);
TR_API uint32_t tr_pool_worker_generation(const tr_pool_worker *worker);

/** The plan that it has adopted. Threads: one. */
TR_API const tr_plan *tr_pool_worker_plan(const tr_pool_worker *worker);

TR_END_DECLS
#endif
