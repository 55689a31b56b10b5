/* SPDX-License-Identifier: MIT */
/* pool_explain.c - which worker the supervisor waits for, and why, as the detail of an error. */
#include "ipc/kernel/os.h"
#include "src/base/error.h"
#include "src/base/process.h"
#include "src/workers/pool_internal.h"

/* The child that comes first: by when it is killed or started, else by its line. */
static const struct child *first_of(const tr_pool *pool, enum child_state state,
                                    uint32_t *count)
{
    const struct child *first = NULL;

    *count = 0;
    for (uint32_t i = 0; i < POOL_CHILDREN; i++) {
        const struct child *child = &pool->child[i];

        if (child->state != state || (state == CHILD_ALIVE && !child->draining))
            continue;
        ++*count;
        if (!first || (state == CHILD_ALIVE ? child->kill_ns < first->kill_ns
                                            : child->start_ns < first->start_ns))
            first = child;
    }
    return first;
}

static double seconds_until(int64_t when_ns)
{
    int64_t left_ns = when_ns - os->now_ns();

    return left_ns > 0 ? (double)left_ns / 1e9 : 0;
}

static void explain_draining(const struct child *child, uint32_t others)
{
    struct process process;
    const char *state = process_read((uint32_t)child->pid, &process) < 0
                            ? "not visible in /proc"
                            : process_state_text(process.state);

    tr_fail_more("; worker %u (pid %d) should stop and is %s", child->worker,
                 (int)child->pid, state);
    if (child->killed)
        tr_fail_more(", it was sent SIGKILL");
    else if (child->kill_ns != INT64_MAX)
        tr_fail_more(", it is killed in %.1f s", seconds_until(child->kill_ns));
    if (others)
        tr_fail_more(", and so are %u others", others);
}

void pool_explain(const tr_pool *pool)
{
    uint32_t count;
    const struct child *child = first_of(pool, CHILD_ALIVE, &count);

    if (child)
        explain_draining(child, count - 1);
    child = first_of(pool, CHILD_WAITING, &count);
    if (child)
        tr_fail_more("; worker %u failed %u times in a row, it starts again in %.1f s",
                     child->worker, child->in_a_row, seconds_until(child->start_ns));
}
