/* SPDX-License-Identifier: MIT */
#include "ipc/wait/listen.h"

#include <errno.h>
#include <poll.h>

void listen_begin(const struct self *me, struct listening *listening)
{
    static const int raised[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL,
                                 SIGTRAP, SIGSYS, SIGABRT};
    sigset_t all;

    /* relaxed: set by the handle's owner before it waits. */
    if (listening->on || !atomic_load_explicit(&me->interrupt, memory_order_relaxed))
        return;
    sigfillset(&all);
    for (size_t i = 0; i < sizeof(raised) / sizeof(raised[0]); i++)
        sigdelset(&all, raised[i]);
    listening->on = pthread_sigmask(SIG_BLOCK, &all, &listening->before) == 0;
}

int listen_look(const struct listening *listening)
{
    static const struct timespec at_once = {0, 0};
    int saved = errno, result = 0;

    if (listening->on && ppoll(NULL, 0, &at_once, &listening->before) < 0 &&
        errno == EINTR)
        result = -EINTR;
    errno = saved;
    return result;
}

void listen_end(struct listening *listening)
{
    if (listening->on)
        pthread_sigmask(SIG_SETMASK, &listening->before, NULL);
    listening->on = false;
}
