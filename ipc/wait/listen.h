/* SPDX-License-Identifier: MIT */
/* listen.h - signals that come while a wait is not inside a system call. A handler that runs
 * then leaves no trace, and a wait that the signal should end would sleep on. So signals are
 * blocked while the wait does something else, and taken in a system call that says so. */
#ifndef TR_IPC_LISTEN_H
#define TR_IPC_LISTEN_H

#include <signal.h>

#include "ipc/view.h"

struct listening {
    bool on;
    sigset_t before; /* the mask */
};

/* If waits of @p me end on signals: block them, except those that an instruction raises. */
void listen_begin(const struct self *me, struct listening *listening);

/* Take the signals that have come. 0, -EINTR. */
int listen_look(const struct listening *listening);

void listen_end(struct listening *listening);

#endif
