/* SPDX-License-Identifier: MIT */
/* peek.h - whether the arena behind a name may go, asked by a process that takes no part in it.
 *
 * To close an arena takes a compare-and-swap, and so a mapping, which a writer of the file may
 * truncate under us: SIGBUS. Where the mode lets others than its owner write, a child of ours does
 * it, and dies in our place. */
#ifndef TR_IPC_PEEK_H
#define TR_IPC_PEEK_H

#include <sys/stat.h>

#include "ipc/liveness/participant.h"
#include "ipc/memory/segment.h"

struct peek {
    struct view view; /* lock_fd, dev, ino and geo; no mapping */
    struct stat st;
};

/* A named arena of our own or of root's. 0, or -errno with a refusal; lock_fd is then -1, or that
 * of the refused file. */
int peek_open(const char *name, struct peek *peek, struct segment_report *report);

/* participant_close_arena(). 0: it is closed; -EEXIST: it is open, or that cannot be told; -errno:
 * what this process lacks. */
int peek_close_arena(const struct peek *peek, bool crashed);

void peek_end(struct peek *peek);

#endif
