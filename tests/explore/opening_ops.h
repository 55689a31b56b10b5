/* SPDX-License-Identifier: MIT */
/* opening_ops.h - opening channels that nobody has made yet. */
#ifndef TR_TESTS_OPENING_OPS_H
#define TR_TESTS_OPENING_OPS_H

#include "tests/explore/queue_ops.h"

void opening_build(const struct scenario *scenario);
void opening_killed(struct actor *actor);
const char *opening_check(const struct scenario *scenario);

void do_make(struct actor *me, const struct op *op);

/* Queue "a" + n, of that capacity. */
/* clang-format off */
#define MAKE(n, capacity) {do_make, (n), (capacity)}
/* clang-format on */

#endif
