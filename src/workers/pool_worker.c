/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ipc/kernel/os.h"
#include "src/base/error.h"
#include "src/base/options.h"
#include "src/channel/queue.h"
#include "src/workers/pool_internal.h"

enum { LOOK_AT_MEMORY_EVERY = 32 }; /* jobs: it takes two or three system calls */

static const int64_t slice_ns = INT64_C(
    100000000); /* a request to stop is seen within it */

void tr_pool_worker_ready(tr_pool_worker *worker)
{
    uint64_t one = 1;

    if (!worker || atomic_exchange(&worker->line->ready, 1))
        return;
    /* An eventfd: it fails only if its count is full, and then it is readable anyway. */
    while (write(worker->ready, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

/* Memory that is its own: resident, without what it shares with others. 0: unknown. */
static uint64_t private_bytes(void)
{
    char line[128] = "";
    uint64_t resident = 0, shared = 0;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return 0;
    if (read(fd, line, sizeof(line) - 1) > 0)
        (void)sscanf(line, "%*u %" SCNu64 " %" SCNu64, &resident, &shared);
    close(fd);
    return resident > shared ? (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

bool pool_worker_used_up(const struct tr_pool_worker *worker)
{
    uint64_t jobs = atomic_load(&worker->line->jobs);

    if (worker->options->max_jobs && jobs >= worker->options->max_jobs)
        return true;
    return worker->options->max_private_bytes && jobs % LOOK_AT_MEMORY_EVERY == 0 &&
           private_bytes() > worker->options->max_private_bytes;
}

/* The supervisor writes the plan that is not in force and then raises the round; if it has
 * raised it again meanwhile, what was copied may be torn. */
static void adopt_plan(struct tr_pool_worker *worker)
{
    uint32_t round = atomic_load(&worker->page->round);

    if (round == worker->round)
        return;
    while (round != worker->round) {
        memcpy(&worker->plan, &worker->page->plan[round % 2], sizeof(worker->plan));
        worker->round = round;
        round = atomic_load(&worker->page->round);
    }
    if (worker->index < worker->plan.workers)
        (void)!tr_worker_enter(&worker->plan, worker->index, worker->options->enter_flags,
                               NULL);
}

static bool stopping(tr_pool_worker *worker)
{
    if (!worker)
        return false;
    if (!atomic_load(&worker->line->ready))
        tr_pool_worker_ready(worker);
    if (atomic_load(&worker->line->stop) || getppid() != worker->master)
        return true;
    if (pool_worker_used_up(worker)) {
        atomic_store(&worker->line->recycled, 1);
        return true;
    }
    adopt_plan(worker);
    return false;
}

bool tr_pool_worker_stopping(tr_pool_worker *worker)
{
    int cancel = uncancel_begin();
    bool stop = stopping(worker);

    uncancel_end(cancel);
    return stop;
}

void tr_pool_worker_job_done(tr_pool_worker *worker)
{
    if (worker)
        atomic_fetch_add(&worker->line->jobs, 1);
}

int tr_pool_worker_receive(tr_pool_worker *worker, tr_queue *queue, int64_t timeout_ns,
                           tr_message **out)
{
    int64_t end_ns = clock_deadline(os->now_ns(), timeout_ns);
    int bad = worker ? timeout_check("pool receive", timeout_ns)
                     : null_fail("pool receive", "worker");

    if (!bad)
        bad = queue_known(queue) ? 0 : handle_fail(queue, "pool receive", "queue");
    if (!bad && !out)
        bad = null_fail("pool receive", "out");
    while (!bad) {
        int64_t left_ns = end_ns == INT64_MAX ? slice_ns : end_ns - os->now_ns();
        int result;

        if (tr_pool_worker_stopping(worker))
            return tr_fail(TR_ECANCELED, "worker %u should stop", worker->index);
        if (timeout_ns == 0)
            left_ns = TR_NOWAIT;
        else if (left_ns <= 0)
            return tr_fail(TR_ETIMEDOUT, "worker %u: no job came", worker->index);
        result = tr_queue_receive(queue, left_ns < slice_ns ? left_ns : slice_ns, out);
        if (!result) {
            tr_pool_worker_job_done(worker);
            adopt_plan(worker); /* it may have changed while we waited */
        }
        if (result != TR_ETIMEDOUT)
            return result;
    }
    return bad;
}

uint32_t tr_pool_worker_index(const tr_pool_worker *worker)
{
    return worker ? worker->index : TR_PLAN_UNKNOWN;
}

uint32_t tr_pool_worker_generation(const tr_pool_worker *worker)
{
    return worker ? worker->generation : 0;
}

const tr_plan *tr_pool_worker_plan(const tr_pool_worker *worker)
{
    return worker ? &worker->plan : NULL;
}
