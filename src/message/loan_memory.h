/* SPDX-License-Identifier: MIT */
/* loan_memory.h - the memory of slots that are loaned or grow, in lazy and elastic arenas. */
#ifndef TR_SRC_LOAN_MEMORY_H
#define TR_SRC_LOAN_MEMORY_H

#include "src/arena/arena.h"
#include "src/message/descriptor.h"

/* Memory for what is planned in a slot that was just loaned. On error the slot goes back. 0,
 * TR_ENOSPC, ... */
int loan_reserve(struct tr_arena *arena, uint32_t slot, const struct plan *plan);

/* The same for a message that is ours and changes. On error it stays as it is. */
int loan_grow(struct tr_arena *arena, uint32_t slot, const struct plan *plan);

/* Whether memory_bytes is enough for what is planned: 0, TR_EMSGSIZE. */
int loan_within_limit(const struct view *view, const struct plan *plan);

/* A slot of an elastic arena with the memory for what is planned, of class @p c or a larger one.
 * @p found: *slot is ours already. As message_loan_for(); @p channel may be NULL. */
int loan_elastic(struct tr_arena *arena, uint32_t c, const struct plan *plan,
                 int64_t timeout_ns, const struct channel *channel, bool found,
                 uint32_t *slot);

#endif
