/* SPDX-License-Identifier: MIT */
/* doorbell_ops.h - what actors do with wait sets. An entry has one set, also where several
 * actors are threads of one process; its members are the items of queues. */
#ifndef TR_TESTS_DOORBELL_OPS_H
#define TR_TESTS_DOORBELL_OPS_H

#include "tests/explore/listener.h"
#include "tests/explore/queue_ops.h"

void doorbell_build(const struct scenario *scenario);
void doorbell_killed(struct actor *actor);
const char *doorbell_check(const struct scenario *scenario);
/* And one message woke one listener. */
const char *doorbell_check_herd(const struct scenario *scenario);

void do_thread(struct actor *me, const struct op *op);
void do_vanish(struct actor *me, const struct op *op);
void do_quit(struct actor *me, const struct op *op);
void do_add(struct actor *me, const struct op *op);
void do_remove(struct actor *me, const struct op *op);
void do_ring_take(struct actor *me, const struct op *op);
void do_look(struct actor *me, const struct op *op);
void do_ring_send(struct actor *me, const struct op *op);

/* clang-format off */
#define THREAD(of)      {do_thread, (of), 0} /* of the process of another actor; first of all */
#define VANISH          {do_vanish, 0, 0} /* a death that needs no choice */
#define QUIT            {do_quit, 0, 0} /* leave, with nothing to be swept */
#define ADD(q)          {do_add, (q), 0}
#define REMOVE(q)       {do_remove, (q), 0}
#define TAKE(by, q)     {do_ring_take, (q), (by)} /* a message of any member, of which q stays one */
#define LOOK(by, q)     {do_look, (q), (by)} /* be told of one, and leave it there */
#define RING_SEND(q, m) {do_ring_send, (q), (m)} /* wait for room by the doorbell */
/* clang-format on */

#endif
