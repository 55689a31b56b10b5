/* SPDX-License-Identifier: MIT */
/* evfd.h - eventfds: one for each participant, made before the fork and inherited over it,
 * so that relatives can ring each other by descriptor; and single ones for a process's own
 * use. */
#ifndef TR_IPC_EVFD_H
#define TR_IPC_EVFD_H

#include <stdbool.h>
#include <stdint.h>

/* Descriptor i rings participant i. */
struct evfd_table {
    int *fds; /* NULL: there are none */
    uint32_t count;
};

/* 0, -ENOMEM, -EMFILE; then there are none. */
int evfd_table_open(struct evfd_table *table, uint32_t count);
void evfd_table_close(struct evfd_table *table);

/* A new one, readable by nobody yet; or -errno. */
int evfd_open(void);

/* An epoll instance, a timer; or -errno. */
int evfd_epoll(void);
int evfd_timer(void);

/* Whether the number still stands for one that was made here: the program may have closed it,
 * and have another file by that number. */
bool evfd_ours(int fd);

/* Close one of them, if it still is ours. */
void evfd_close(int fd);

/* Make it readable. False: somebody closed it. */
bool evfd_ring(int fd);

/* Make it unreadable. */
void evfd_clear(int fd);

#endif
