/* SPDX-License-Identifier: MIT */
/* look.h - a private copy of an arena's tables, for callers that only look.
 *
 * The copy is read, not mapped: what a stranger truncates under us is a short read and no
 * SIGBUS, and nothing in it can change between a check and its use. Its view serves whatever
 * reads tables; payloads are not there. */
#ifndef TR_IPC_LOOK_H
#define TR_IPC_LOOK_H

#include <sys/stat.h>

#include "ipc/memory/segment.h"

/* The file of a named arena, for reading. The descriptor, or -errno with a refusal. */
int look_file(const char *name, struct segment_report *report);

/* Read the control block behind view->lock_fd into view->geo, and judge it. 0, with what the
 * file is, or -errno with a refusal. */
int look_control(struct view *view, struct stat *st, struct segment_report *report);

/* Read the tables behind @p fd, which is taken over. 0, or -errno with a refusal. */
int look_open(int fd, struct view *view, struct segment_report *report);

void look_close(struct view *view);

#endif
