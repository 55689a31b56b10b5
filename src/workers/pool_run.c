/* SPDX-License-Identifier: MIT */
/* The supervisor's loop for programs that have none: signals come from a descriptor, so no
 * handler is installed. */
#include <errno.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "src/base/error.h"
#include "src/workers/pool_internal.h"

static const int taken[] = {SIGTERM, SIGINT, SIGHUP, SIGTTIN, SIGTTOU};

/* A request that cannot be done now (TR_EBUSY, TR_EAGAIN) is dropped: the
 * sender sees the pool as it was, and can ask again. */
static void obey(tr_pool *pool, uint32_t signal)
{
    switch (signal) {
    case SIGHUP:
        (void)!pool_reload(pool);
        break;
    case SIGTTIN:
        (void)!pool_resize(pool, pool->workers + 1);
        break;
    case SIGTTOU:
        if (pool->workers > 1)
            (void)!pool_resize(pool, pool->workers - 1);
        break;
    default:
        if (pool->stopping)
            pool_signal(pool, SIGKILL);
        else
            pool_drain(pool);
    }
}

static int loop(tr_pool *pool, int signals)
{
    struct pollfd watched[2] = {{.fd = signals, .events = POLLIN},
                                {.fd = pool->epoll, .events = POLLIN}};

    for (;;) {
        struct signalfd_siginfo info;
        int result = pool_step(pool, TR_NOWAIT);

        if (result == TR_ECLOSED)
            return 0;
        if (result && result != TR_EAGAIN && result != TR_EINTR)
            return result;
        if (!result)
            continue;
        if (poll(watched, 2, -1) < 0 && errno != EINTR)
            return tr_fail_errno(-errno, "pool: waiting for workers and signals");
        while (read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
            obey(pool, info.ssi_signo);
    }
}

static int run(tr_pool *pool)
{
    sigset_t set, before;
    int signals, result;

    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
        sigaddset(&set, taken[i]);
    signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0)
        return tr_fail_errno(-errno, "pool: a descriptor for signals");
    sigprocmask(SIG_BLOCK, &set, &before);
    result = loop(pool, signals);
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(signals);
    return result;
}

int pool_run(struct tr_pool *pool)
{
    int cancel = uncancel_begin();
    int result = run(pool);

    uncancel_end(cancel);
    return result;
}
