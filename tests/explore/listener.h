/* SPDX-License-Identifier: MIT */
/* listener.h - actors that wait as a wait set does (src/waitset/waitset.c,
 * src/waitset/waitset_fd.c): they arm their doorbell, listen to words, look, and sleep on the
 * doorbell or on a descriptor. */
#ifndef TR_TESTS_LISTENER_H
#define TR_TESTS_LISTENER_H

#include "ipc/wait/wait.h"
#include "tests/explore/engine.h"

enum by { BY_FUTEX, BY_EVENTFD, BY_URING };

/* Until the attempt is no longer -EAGAIN. @p listen goes to each word that it looks at. */
int listener_wait(struct actor *me, enum by by, void (*listen)(struct actor *me),
                  wait_try *attempt, void *context);

#endif
