/* SPDX-License-Identifier: MIT */
/* arena_join.h - this process becomes a participant, by creating, attaching, or using the arena
 * in a forked child; and stops being one. */
#ifndef TR_SRC_ARENA_JOIN_H
#define TR_SRC_ARENA_JOIN_H

#include "src/arena/arena.h"

/* Take an entry; @p patient: wait, for a second at most, for those that change hands. 0, or
 * -errno; -ESTALE: the arena is closed. */
int arena_take_part(struct tr_arena *arena, bool patient);

/* What that has said, as a code of the interface with its sentence. */
int arena_explain_join(const struct tr_arena *arena, int result);

/* Give back everything that this process holds, and its entry. */
void arena_leave(struct tr_arena *arena);

#endif
