/* SPDX-License-Identifier: MIT */
/* workers.h - workers with cores of their own: plan, enter, pool. */
#ifndef TENSORING_WORKERS_H
#define TENSORING_WORKERS_H

#include <tensoring/enter.h>
#include <tensoring/plan.h>
#include <tensoring/pool.h>

TR_BEGIN_DECLS

/**
 * Keep @p plan in @p arena, for all that attach: they need no discovery of their own, and see
 * what their siblings have. It replaces the one that was there. It takes a slot of
 * tr_plan_bytes() bytes, and one channel, the board "tensoring.plan".
 *
 * @return 0, TR_EINVAL (not a plan), and as tr_board_open(), tr_message_loan() and tr_board_put().
 * Threads: any. Progress: lock-free. Syscalls: none. Crash: the old or the new one
 * is there.
 */
TR_API TR_CHECK int tr_plan_put(tr_arena *arena, const tr_plan *plan);

/**
 * Copy the plan out that is kept in @p arena.
 * @return 0, TR_ENOENT (there is none), TR_EINVAL (it was made by another version), and as
 *         tr_board_open() and tr_board_get().
 * Owner: the caller's own memory. Threads: any. Progress: lock-free. Syscalls: none.
 */
TR_API TR_CHECK int tr_plan_get(tr_arena *arena, tr_plan *plan);

TR_END_DECLS

#endif
