/* SPDX-License-Identifier: MIT */
/* arena_explain.h - the sentences for what can go wrong with an arena, and its names. */
#ifndef TR_SRC_ARENA_EXPLAIN_H
#define TR_SRC_ARENA_EXPLAIN_H

#include <stdbool.h>

#include "ipc/segment.h"

/* The code of the interface, with its reason, for a result of ipc/. */
int explain_create(int result, const struct segment_wish *wish,
                   const struct segment_report *report);
int explain_attach(int result, const char *name, const struct segment_report *report);

/* TR_ENOSPC, and which limit leaves how much for @p what, and what to do. */
int explain_shortage(const char *what, const struct shortage *shortage);

/* Remove the name if nobody who uses it lives. @p crashed: only if somebody left without
 * saying so. Whether it went. */
bool arena_sweep_name(const char *name, bool crashed);

/* A duplicate that is closed on exec, or -errno. */
int fcntl_dup(int fd);

#endif
