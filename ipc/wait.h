/* SPDX-License-Identifier: MIT */
/* wait.h - spin for a short while that adapts, then sleep in slices. */
#ifndef TR_IPC_WAIT_H
#define TR_IPC_WAIT_H

#include "ipc/view.h"

/* One try: 0 done; -EAGAIN not yet; another code ends the wait. */
typedef int wait_try(void *context);

/* Try until it is done or the deadline comes; @p word changes when a try may succeed.
 * 0, -EAGAIN (timeout 0), -ETIMEDOUT, -EINTR (if the peer wants it), or what the try says. */
int wait_for(struct peer *me, _Atomic uint32_t *word, wait_try *attempt, void *context,
             int64_t timeout_ns);

#endif
