/* SPDX-License-Identifier: MIT */
/* member_ops.h - actors that join, close the arena to newcomers, and make a channel. */
#ifndef TR_TESTS_MEMBER_OPS_H
#define TR_TESTS_MEMBER_OPS_H

#include "tests/explore/queue_ops.h"

void do_join(struct actor *me, const struct op *op);
void do_close_arena(struct actor *me, const struct op *op);
void do_open(struct actor *me, const struct op *op);
void member_killed(struct actor *actor);
const char *member_check(const struct scenario *scenario);

/* clang-format off */
#define JOIN        {do_join, 0, 0} /* enter, be admitted, or go again */
#define CLOSE_ARENA {do_close_arena, 0, 0} /* unless somebody is there */
#define OPEN        {do_open, 0, 0} /* a channel, or make it */
/* clang-format on */

#endif
