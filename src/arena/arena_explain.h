/* SPDX-License-Identifier: MIT */
/* arena_explain.h - the sentences for what can go wrong with an arena, and its names. */
#ifndef TR_SRC_ARENA_EXPLAIN_H
#define TR_SRC_ARENA_EXPLAIN_H

#include "ipc/memory/segment.h"

/* The code of the interface, with its reason, for a result of ipc/. */
int explain_create(int result, const struct segment_spec *spec,
                   const struct segment_report *report);
/* @p step: "attach", "look at". */
int explain_attach(const char *step, int result, const char *given,
                   const struct segment_report *report);

/* TR_ENOSPC, and which limit leaves how much for @p what, and what to do. */
int explain_shortage(const char *what, const struct shortage *shortage);

/* The same where the arena is there already. */
int explain_shortage_of_loan(const char *what, const struct shortage *shortage);

int explain_taken(const char *name);

/* Make way for a new arena of that name (arena_names.c): remove one whose users have crashed.
 * 0: the name is free, TR_EEXIST, TR_EBUSY, ... */
int arena_clear_name(const char *name);

/* Between two tries of what another process is about to finish. */
void arena_pause(void);

#endif
