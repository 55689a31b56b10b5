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
    /* Both may be NULL. Before a spin: wakers may leave what comes to us. After it: it is over. */
    void (*watch)(struct sleeper *self);
    void (*watched)(struct sleeper *self, void *context);
};

/* Try until it is done or the deadline comes; @p word changes when a try may succeed.
 * 0, -EAGAIN (timeout 0), -ETIMEDOUT, -EINTR (if the participant wants it), or what the try
 * says. */
int wait_for(struct self *me, _Atomic uint32_t *word, wait_try *attempt, void *context,
             int64_t timeout_ns);

/* How one of several that wait takes what came. */
struct wait_taking {
    wait_try *take;
    wait_try *more;  /* 0: there is something to take */
    wait_idle *idle; /* fewer instructions between two looks of a spin; may be NULL */
};

/* The same where each change is for one of the waiters. While this one spins the others sleep
 * on, see wake.h. */
int wait_to_take(struct self *me, _Atomic uint32_t *word,
                 const struct wait_taking *taking, void *context, int64_t timeout_ns);

/* The same, sleeping as @p sleeper does. */
int wait_with(struct self *me, struct sleeper *sleeper, wait_try *attempt, void *context,
              int64_t timeout_ns);

#endif
