/* SPDX-License-Identifier: MIT */
/* uncancel.h - no thread is cancelled (pthread_cancel) inside a call: it could leave a mutex
 * locked, or a wake-up undone. Calls that lock, or that reach a function
 * which POSIX makes a cancellation point, stand between these two. A futex is none. */
#ifndef TR_IPC_UNCANCEL_H
#define TR_IPC_UNCANCEL_H

#include <pthread.h>

static inline int uncancel_begin(void)
{
    int before = PTHREAD_CANCEL_ENABLE;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    return before;
}

static inline void uncancel_end(int before)
{
    pthread_setcancelstate(before, &(int){0});
}

#endif
