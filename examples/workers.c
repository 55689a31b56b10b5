/* SPDX-License-Identifier: MIT */
/* Two workers, each on cores of its own, add up the numbers of matrices. One of them crashes
 * in the middle of a job; the job goes to another, and the supervisor starts a new worker. */
#include <err.h>
#include <signal.h>
#include <stdio.h>

#include <tensoring/tensoring.h>

enum { JOBS = 8, SIDE = 256 };

static tr_queue *jobs, *results;

static void must(int err)
{
    if (err)
        errx(1, "%s: %s", tr_strerror(err), tr_error_detail());
}

static int work(tr_pool_worker *worker, void *unused)
{
    tr_header header = TR_HEADER_INIT;
    tr_message *job;

    (void)unused;
    while (!tr_pool_worker_receive(worker, jobs, TR_FOREVER, &job)) {
        float *x = tr_message_tensor(job, 0)->data;

        must(tr_message_header_get(job, &header));
        if (header.sequence == 2 && header.deliveries == 0)
            raise(SIGKILL); /* what a bug does */
        for (int i = 1; i < SIDE * SIDE; i++)
            x[0] += x[i];
        must(tr_queue_send(results, job, TR_FOREVER)); /* the same slot, without a copy */
    }
    return 0;
}

int main(void)
{
    const int64_t shape[] = {SIDE, SIDE};
    const tr_tensor_spec spec = {
        .dtype = {TR_DTYPE_FLOAT, 32, 1}, .ndim = 2, .shape = shape};
    tr_pool_options options = TR_POOL_OPTIONS_INIT;
    tr_message *message;
    tr_arena *arena;
    tr_pool *pool;
    int left = JOBS;
    float *x;

    must(tr_arena_create(NULL, NULL, &arena));
    must(tr_queue_open(arena, "jobs", NULL, &jobs));
    must(tr_queue_open(arena, "results", NULL, &results));
    options.workers = 2;
    options.run = work;
    options.arena = arena; /* what the dead hold is taken over at once */
    must(tr_pool_start(&options, &pool));
    for (int i = 0; i < JOBS; i++) {
        must(tr_message_loan(arena, &spec, 1, TR_FOREVER, &message));
        x = tr_message_tensor(message, 0)->data;
        for (int j = 0; j < SIDE * SIDE; j++)
            x[j] = (float)i;
        must(tr_queue_send(jobs, message, TR_FOREVER));
    }
    while (left > 0) {
        (void)!tr_pool_step(pool, 1000000); /* let the supervisor see to its workers */
        for (; !tr_queue_receive(results, TR_NOWAIT, &message); left--) {
            x = tr_message_tensor(message, 0)->data;
            printf("sum %.0f\n", (double)x[0]);
            tr_message_release(message);
        }
    }
    must(tr_pool_stop(pool, TR_FOREVER));
    tr_pool_close(pool);
    tr_queue_close(jobs);
    tr_queue_close(results);
    tr_arena_close(arena);
    return 0;
}
