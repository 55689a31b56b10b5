/* SPDX-License-Identifier: MIT */
/* waits.h - our ways to wait for more than one channel, as transports of tasks.c. */
#ifndef BENCH_WAITS_H
#define BENCH_WAITS_H

#include "transports/transport.h"

extern const struct transport transport_waitset;     /* a set of one queue */
extern const struct transport transport_waitset_100; /* and of 100 more, idle */
/* epoll on the descriptor of a set */
extern const struct transport transport_fd_eventfd, transport_fd_uring, transport_fd_fifo;

#endif
