/* SPDX-License-Identifier: MIT */
/* backing.h - memory for parts of an arena's file that come and go while it is in use. */
#ifndef TR_IPC_BACKING_H
#define TR_IPC_BACKING_H

#include "ipc/kernel/limits.h"
#include "ipc/view.h"

/* Whole pages, after a look at the limits; what is there stays as it is. 0, -errno with a
 * shortage: some of it may be there. */
int backing_reserve(const struct view *view, uint64_t off, uint64_t bytes,
                    struct shortage *shortage);

/* Give it back. 0, -errno. */
int backing_punch(const struct view *view, uint64_t off, uint64_t bytes);

#endif
