/* SPDX-License-Identifier: MIT */
/* request_ops.h - requests and replies: channel a is asked, channel b is actor 0's inbox. */
#ifndef TR_TESTS_REQUEST_OPS_H
#define TR_TESTS_REQUEST_OPS_H

#include "tests/explore/engine.h"

void request_build(const struct scenario *scenario);
void request_killed(struct actor *actor);
const char *request_check(const struct scenario *scenario);

void do_ask(struct actor *me, const struct op *op);
void do_serve(struct actor *me, const struct op *op);
void do_try_serve(struct actor *me, const struct op *op);
void do_borrow(struct actor *me, const struct op *op);
void do_ask_briefly(struct actor *me, const struct op *op);
void do_need(struct actor *me, const struct op *op);
void do_be_thread(struct actor *me, const struct op *op);

/* clang-format off */
#define ASK(m)          {do_ask, (m), 0} /* ask, and wait for what comes */
#define ASK_BRIEFLY(m)  {do_ask_briefly, (m), 0} /* ask, look for the reply, give up */
#define NEED            {do_need, 0, 0} /* loan, waiting, and give back */
#define BE_THREAD_OF(i) {do_be_thread, (i), 0} /* act for the participant of actor i */
#define SERVE           {do_serve, 0, 0} /* wait for a request, reply in another slot */
#define SERVE_OWN       {do_serve, 1, 0} /* reply in the request's own slot */
#define TRY_SERVE       {do_try_serve, 0, 0}
#define BORROW(m)       {do_borrow, (m), 0} /* loan a slot, send it on channel c */
/* clang-format on */

#endif
