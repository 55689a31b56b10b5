/* SPDX-License-Identifier: MIT */
/* eventfds.h - eventfds: one for each participant, made before the fork and inherited over it,
 * so that related processes can wake each other by descriptor; and single ones for a process's own
 * use. */
#ifndef TR_IPC_EVENTFDS_H
#define TR_IPC_EVENTFDS_H

#include <stdbool.h>
#include <stdint.h>

/* Descriptor i rings participant i. */
struct eventfds_table {
    int *fds; /* NULL: there are none */
    uint32_t count;
};

/* 0, -ENOMEM, -EMFILE; then there are none. */
int eventfds_table_open(struct eventfds_table *table, uint32_t count);
void eventfds_table_close(struct eventfds_table *table);

/* A new one, readable by nobody yet; or -errno. */
int eventfds_open(void);

/* An epoll instance, a timer; or -errno. */
int eventfds_epoll(void);
int eventfds_timer(void);

/* Whether the number still stands for one that was made here: the program may have closed it,
 * and have another file by that number. */
bool eventfds_ours(int fd);

/* Close one of them, if it still is ours. */
void eventfds_close(int fd);

/* Make it readable. False: somebody closed it. */
bool eventfds_ring(int fd);

/* Make it unreadable. */
void eventfds_clear(int fd);

#endif
