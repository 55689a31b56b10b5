/* SPDX-License-Identifier: MIT */
/* loan_ops.h - loans that wait by a wait set: they listen to the word of freed slots. */
#ifndef TR_TESTS_LOAN_OPS_H
#define TR_TESTS_LOAN_OPS_H

#include "tests/explore/listener.h"
#include "tests/explore/queue_ops.h"

const char *loan_check(const struct scenario *scenario);
/* And a slot that was freed woke one of the loans. */
const char *loan_check_herd(const struct scenario *scenario);

void do_ring_loan(struct actor *me, const struct op *op);
void do_ring_told(struct actor *me, const struct op *op);
void do_listen_for_slot(struct actor *me, const struct op *op);
void do_give_back(struct actor *me, const struct op *op);

/* clang-format off */
#define RING_LOAN(by) {do_ring_loan, 0, (by)} /* wait for a slot, and hold it */
#define RING_TOLD(by) {do_ring_told, 0, (by)} /* wait for a slot, and leave it there */
#define LISTEN_FOR_SLOT {do_listen_for_slot, 0, 0} /* and no more */
#define GIVE_BACK     {do_give_back, 0, 0} /* the slot that is held, if any */
/* clang-format on */

#endif
