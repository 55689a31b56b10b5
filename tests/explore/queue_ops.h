/* SPDX-License-Identifier: MIT */
/* queue_ops.h - what actors do with queues, and what must hold when they are done. */
#ifndef TR_TESTS_QUEUE_OPS_H
#define TR_TESTS_QUEUE_OPS_H

#include "tests/explore/engine.h"

void queue_build(const struct scenario *scenario);
void queue_killed(struct actor *actor);
const char *queue_check(const struct scenario *scenario);

/* Where a slot is, by what its word says now. */
uint64_t location_now(struct slot_record *record);

/* How an actor sees a channel. */
struct ring *queue_ring(const struct actor *me, uint32_t channel);

/* A message of @p channel was taken into @p slot: note it, and give the slot back. */
void queue_took(struct actor *me, uint32_t channel, uint32_t slot);

/* Loan a slot for a message, and note the result of the send. */
bool queue_loan(struct actor *me, uint32_t message, int64_t timeout_ns);
void queue_sending(const struct actor *me, uint32_t channel, uint32_t message);
void queue_sent(struct actor *me, uint32_t message, bool sent);

void do_send(struct actor *me, const struct op *op);
void do_try_send(struct actor *me, const struct op *op);
void do_loan_for(struct actor *me, const struct op *op);
void do_receive(struct actor *me, const struct op *op);
void do_try_receive(struct actor *me, const struct op *op);
void do_keep(struct actor *me, const struct op *op);
void do_forward(struct actor *me, const struct op *op);
void do_try_forward(struct actor *me, const struct op *op);
void do_close(struct actor *me, const struct op *op);
void do_reap(struct actor *me, const struct op *op);
void do_rejoin(struct actor *me, const struct op *op);
void do_leave(struct actor *me, const struct op *op);

/* One line of a program. @p q is a channel, @p m a message below MESSAGES. */
/* clang-format off */
#define SEND(q, m)         {do_send, (q), (m)} /* loan and send, waiting */
#define LOAN_FOR(q)        {do_loan_for, (q), 0} /* loan, until it is closed, and give back */
#define TRY_SEND(q, m)     {do_try_send, (q), (m)} /* loan and send, or give up */
#define RECEIVE(q)         {do_receive, (q), 0} /* receive, waiting, and release */
#define TRY_RECEIVE(q)     {do_try_receive, (q), 0}
#define KEEP(q)            {do_keep, (q), 0} /* receive, waiting, and hold */
#define FORWARD(q, to)     {do_forward, (q), (to)} /* receive and send on, waiting */
#define TRY_FORWARD(q, to) {do_try_forward, (q), (to)} /* receive and send on, or consume */
#define CLOSE(q)           {do_close, (q), 0}
#define REAP               {do_reap, 0, 0} /* wait for a death, then reap */
#define REJOIN             {do_rejoin, 0, 0} /* wait for a free entry and join */
#define LEAVE              {do_leave, 0, 0}
/* clang-format on */

#endif
