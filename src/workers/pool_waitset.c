/* SPDX-License-Identifier: MIT */
/* pool_waitset.c - the time to stop as a member of a wait set.
 *
 * The supervisor says it in the worker's line, a word that a set can sleep on, and rings an
 * eventfd that all workers of the pool have, for sets that wait by descriptor: one descriptor
 * however many workers there are, so that a worker may look in vain when another must stop.
 * What nobody tells, the death of the master above all, is looked for now and then. */
#include <unistd.h>

#include "ipc/kernel/os.h"
#include "src/base/error.h"
#include "src/base/options.h"
#include "src/waitset/waitset.h"
#include "src/workers/pool_internal.h"

static const int64_t look_ns = INT64_C(100000000);

/* Takes system calls, and a set looks at its members often. */
static bool found_over(struct tr_pool_worker *worker)
{
    int64_t now_ns = os_lately_ns();

    /* local: a thread that comes later looks later. */
    if (now_ns - atomic_load(&worker->looked_ns) >= look_ns) {
        atomic_store(&worker->looked_ns, now_ns);
        if (getppid() != worker->master || pool_worker_used_up(worker))
            atomic_store(&worker->over, true);
    }
    return atomic_load(&worker->over);
}

static uint32_t stop_ready(const struct waitable *what)
{
    struct tr_pool_worker *worker = what->context;
    uint64_t most = worker->options->max_jobs;

    return atomic_load(&worker->line->stop) ||
                   (most && atomic_load(&worker->line->jobs) >= most) ||
                   found_over(worker)
               ? TR_WAIT_READABLE
               : 0;
}

/* A child of the worker is no worker, or another pool's. */
static uint32_t not_ours(const struct waitable *what)
{
    (void)what;
    return TR_WAIT_READABLE;
}

static int stop_renew(struct waitable *what)
{
    what->ready = not_ours;
    return 0;
}

int tr_waitset_add_pool_worker(tr_waitset *given, tr_pool_worker *worker, uint64_t token)
{
    struct tr_waitset *set = waitset_known(given);
    struct waitable what = {.ready = stop_ready,
                            .renew = stop_renew,
                            .context = worker,
                            .outside = true,
                            .want = TR_WAIT_READABLE};

    if (!set)
        return handle_fail(given, "waitset add worker", "wait set");
    if (!worker)
        return null_fail("waitset add worker", "worker");
    if (getpid() != worker->pid)
        return tr_fail(TR_EFORK, "waitset add worker: the worker is process %d",
                       (int)worker->pid);
    what.word = &worker->line->stop;
    what.fd = worker->stop_fd;
    return waitset_add(set, &what, token);
}
