/* SPDX-License-Identifier: MIT */
/* wait.h - spin for a short while that adapts (spin.h), then sleep in slices. */
#ifndef TR_IPC_WAIT_H
#define TR_IPC_WAIT_H

#include "ipc/attempt.h"
#include "ipc/view.h"

/* How to sleep on something other than one word. */
struct sleeper {
    /* What wake.h and notify.h require before the check: say that we are about to sleep. */
    void (*announce)(struct sleeper *self);
    /* Until woken, or the absolute time. 0, -EAGAIN, -EINTR, -ETIMEDOUT. */
    int (*sleep)(struct sleeper *self, int64_t until_ns);
    wait_idle *idle; /* may be NULL */
};

/* Try until it is done or the deadline comes; @p word changes when a try may succeed.
 * 0, -EAGAIN (timeout 0), -ETIMEDOUT, -EINTR (if the participant wants it), or what the try
 * says. */
int wait_for(struct self *me, _Atomic uint32_t *word, wait_try *attempt, void *context,
             int64_t timeout_ns);

/* The same, with fewer instructions between two looks of a spin. */
int wait_for_idle(struct self *me, _Atomic uint32_t *word, wait_try *attempt,
                  wait_idle *idle, void *context, int64_t timeout_ns);

/* The same, sleeping as @p sleeper does. */
int wait_with(struct self *me, struct sleeper *sleeper, wait_try *attempt, void *context,
              int64_t timeout_ns);

#endif
