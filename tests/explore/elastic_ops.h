/* SPDX-License-Identifier: MIT */
/* elastic_ops.h - what actors do in an elastic arena, whose pages come from a model of the kernel,
 * and what must hold when they are done. */
#ifndef TR_TESTS_ELASTIC_OPS_H
#define TR_TESTS_ELASTIC_OPS_H

#include "ipc/kernel/limits.h"
#include "tests/explore/loan_ops.h" /* GIVE_BACK */

void elastic_build(const struct scenario *scenario);
const char *elastic_check(const struct scenario *scenario);

void do_elastic_loan(struct actor *me, const struct op *op);
void do_elastic_ring(struct actor *me, const struct op *op);
void do_elastic_use(struct actor *me, const struct op *op);
void do_elastic_trim(struct actor *me, const struct op *op);
void do_elastic_more(struct actor *me, const struct op *op);

/* clang-format off */
#define LOAN_PAGES(n) {do_elastic_loan, (n), 1} /* waiting */
#define RING_PAGES(n, by) {do_elastic_ring, (n), (by)} /* waiting, by a wait set */
#define TRY_PAGES(n)  {do_elastic_loan, (n), 0}
#define USE           {do_elastic_use, 0, 0} /* what is held, if anything */
#define TRIM          {do_elastic_trim, 0, 0}
#define MORE_SLOTS    {do_elastic_more, 0, 0}
/* clang-format on */

#endif
