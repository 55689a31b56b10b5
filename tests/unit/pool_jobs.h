/* SPDX-License-Identifier: MIT */
/* pool_jobs.h - jobs that workers of a supervisor do, and what they tell of them. */
#ifndef TR_TESTS_POOL_JOBS_H
#define TR_TESTS_POOL_JOBS_H

#include "pool_scene.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "src/workers/plan_bytes.h"

enum { JOBS = 120 };

/* What workers and master tell one another beside the pool; workers inherit it. */
static struct shared {
    _Atomic uint32_t done[JOBS]; /* local: to the test; how often each job was finished */
    _Atomic uint32_t begun;      /* local */
    _Atomic uint32_t threads;    /* local */
    _Atomic uint32_t held;       /* local: jobs of a generation that must not be ready */
} * shared;

static int set_up(void **state)
{
    static const tr_slot_class class = {4096, 2 * JOBS};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;

    *state = (void *)(intptr_t)descriptors();
    options.classes = &class;
    options.class_count = 1;
    options.max_participants = 128;
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return shared == MAP_FAILED || scene_open(&options);
}

static int tear_down(void **state)
{
    scene_close();
    munmap(shared, sizeof(*shared));
    if (descriptors() != (int)(intptr_t)*state)
        return -1;
    return childless() ? 0 : -1;
}

static void send_job(uint32_t number)
{
    tr_message *message;

    assert_int_equal(tr_message_loan_bytes(arena, sizeof(number), TR_FOREVER, &message),
                     0);
    memcpy(tr_message_tensor(message, 0)->data, &number, sizeof(number));
    assert_int_equal(tr_queue_send(queue, message, TR_FOREVER), 0);
}

static uint32_t job_number(tr_message *message)
{
    uint32_t number;

    memcpy(&number, tr_message_tensor(message, 0)->data, sizeof(number));
    return number;
}

static int work(tr_pool_worker *worker, void *context)
{
    tr_message *message;
    int err;

    (void)context;
    while (!(err = tr_pool_worker_receive(worker, queue, TR_FOREVER, &message))) {
        atomic_fetch_add(&shared->done[job_number(message)], 1);
        tr_message_release(message);
    }
    return err == TR_ECANCELED || err == TR_ECLOSED ? 0 : 1;
}

/* Each seventh job kills the first worker that takes it. */
static int work_and_die(tr_pool_worker *worker, void *context)
{
    tr_header header = TR_HEADER_INIT;
    tr_message *message;

    (void)context;
    while (!tr_pool_worker_receive(worker, queue, TR_FOREVER, &message)) {
        if (tr_message_header_get(message, &header))
            return 1;
        if (job_number(message) % 7 == 0 && header.deliveries == 0)
            raise(SIGKILL);
        atomic_fetch_add(&shared->done[job_number(message)], 1);
        tr_message_release(message);
    }
    return 0;
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

#endif
