/* SPDX-License-Identifier: MIT */
/* notifier.h - what a process has for one arena to ring others, and to be rung. Private. */
#ifndef TR_IPC_NOTIFIER_H
#define TR_IPC_NOTIFIER_H

#include <pthread.h>

#include "ipc/kernel/eventfds.h"
#include "ipc/signal/fifo.h"

struct pollable;

struct notifier {
    struct eventfds_table table; /* of relatives; not changed after it was made */
    pthread_mutex_t mutex;       /* of what follows */
    struct fifo_cache fifos;     /* of others */
    int fifo;                    /* our own, -1: none */
    uint64_t fifo_ino;           /* of it */
    uint32_t fifo_users;         /* pollables that use it */
    struct pollable *pollables;  /* all of this process */
};

#endif
