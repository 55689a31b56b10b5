/* SPDX-License-Identifier: MIT */
/* reclaim.h - slots for loans: free ones, and what nobody needs any more. */
#ifndef TR_IPC_RECLAIM_H
#define TR_IPC_RECLAIM_H

#include "ipc/view.h"

/* Take a slot of class @p c. If none is free, free what nobody needs any more. 0, or -EAGAIN.
 * Lock-free. */
int slot_loan(struct self *me, uint32_t c, uint32_t *slot);

/* Whether slot_loan() would find one now. What nobody needs any more is freed for it. */
bool slot_may_loan(const struct view *view, uint32_t c);

/* Whether a broadcast could give up a message that is not read yet, in a slot of class @p c: then a
 * loan finds one, too. This only looks. */
bool reclaim_could_drop(const struct view *view, uint32_t c);

/* Somebody needs a slot of class @p c: free retired ones; if there is none, let broadcasts
 * give up messages that everybody has had, then, if @p lossy and as far as their policies allow,
 * the oldest. Whether there may be a free one now. */
bool reclaim_shared(const struct view *view, uint32_t c, bool lossy);

/* Give back the memory that free slots of a lazy arena have. The bytes. */
uint64_t reclaim_memory(struct self *me);

#endif
