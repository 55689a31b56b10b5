/* SPDX-License-Identifier: MIT */
/* pool_given.c - the calls of a master, from the handle that it has. */
#include <string.h>

#include "src/base/error.h"
#include "src/base/options.h"
#include "src/workers/pool_internal.h"

static int look_up(const tr_pool *given, const char *step, struct tr_pool **out)
{
    *out = pool_known(given);
    return *out ? 0 : handle_fail(given, step, "pool");
}

int tr_pool_step(tr_pool *given, int64_t timeout_ns)
{
    struct tr_pool *pool;
    int result = look_up(given, "pool step", &pool);

    if (!result)
        result = timeout_check("pool step", timeout_ns);
    return result ? result : pool_step(pool, timeout_ns);
}

int tr_pool_stop(tr_pool *given, int64_t timeout_ns)
{
    struct tr_pool *pool;
    int result = look_up(given, "pool stop", &pool);

    if (!result)
        result = timeout_check("pool stop", timeout_ns);
    return result ? result : pool_stop(pool, timeout_ns);
}

int tr_pool_run(tr_pool *given)
{
    struct tr_pool *pool;
    int result = look_up(given, "pool run", &pool);

    return result ? result : pool_run(pool);
}

int tr_pool_resize(tr_pool *given, uint32_t workers)
{
    struct tr_pool *pool;
    int result = look_up(given, "pool resize", &pool);

    return result ? result : pool_resize(pool, workers);
}

int tr_pool_reload(tr_pool *given)
{
    struct tr_pool *pool;
    int result = look_up(given, "pool reload", &pool);

    return result ? result : pool_reload(pool);
}

void tr_pool_signal(tr_pool *given, int signal)
{
    struct tr_pool *pool = pool_known(given);

    if (pool)
        pool_signal(pool, signal);
}

void tr_pool_drain(tr_pool *given)
{
    struct tr_pool *pool = pool_known(given);

    if (pool)
        pool_drain(pool);
}

int tr_pool_fd(const tr_pool *given, int *fd)
{
    const struct tr_pool *pool = pool_known(given);

    if (!pool)
        return handle_fail(given, "pool fd", "pool");
    if (!fd)
        return null_fail("pool fd", "fd");
    *fd = pool->epoll;
    return 0;
}

int tr_pool_status_get(const tr_pool *given, tr_pool_status *out)
{
    const struct tr_pool *pool = pool_known(given);
    tr_pool_status all = TR_POOL_STATUS_INIT;
    int result = pool ? result_size_check(out, sizeof(all), "pool status", "out")
                      : handle_fail(given, "pool status", "pool");

    if (result < 0)
        return result;
    pool_status_read(pool, &all);
    all.struct_size = out->struct_size;
    memcpy(out, &all, all.struct_size);
    return 0;
}

const tr_plan *tr_pool_plan(const tr_pool *given)
{
    const struct tr_pool *pool = pool_known(given);

    return pool ? pool_plan(pool) : NULL;
}

int32_t tr_pool_pid(const tr_pool *given, uint32_t index)
{
    const struct tr_pool *pool = pool_known(given);

    return pool ? pool_pid(pool, index) : 0;
}
