/* SPDX-License-Identifier: MIT */
/* shared_ops.h - what actors do with broadcasts and boards, and what must hold then. */
#ifndef TR_TESTS_SHARED_OPS_H
#define TR_TESTS_SHARED_OPS_H

#include <tensoring/broadcast.h>

#include "tests/explore/listener.h"
#include "tests/explore/queue_ops.h"

void broadcast_build(const struct scenario *scenario);
void board_build(const struct scenario *scenario);
void shared_killed(struct actor *actor);
const char *broadcast_check(const struct scenario *scenario);
const char *board_check(const struct scenario *scenario);

void do_publish(struct actor *me, const struct op *op);
void do_try_publish(struct actor *me, const struct op *op);
void do_subscribe(struct actor *me, const struct op *op);
void do_listen(struct actor *me, const struct op *op);
void do_try_listen(struct actor *me, const struct op *op);
void do_ring_listen(struct actor *me, const struct op *op);
void do_close_news(struct actor *me, const struct op *op);
void do_put(struct actor *me, const struct op *op);
void do_get(struct actor *me, const struct op *op);
void do_await(struct actor *me, const struct op *op);
void do_delete(struct actor *me, const struct op *op);

/* clang-format off */
#define PUBLISH(m)        {do_publish, (m), 0} /* loan and publish, waiting */
#define TRY_PUBLISH(m)    {do_try_publish, (m), 0}
#define SUBSCRIBE(lag, n) {do_subscribe, (lag), (n)} /* with the last n */
#define LISTEN            {do_listen, 0, 0} /* the next, waiting */
#define TRY_LISTEN        {do_try_listen, 0, 0}
#define RING_LISTEN(by)   {do_ring_listen, (by), 0} /* the next, told by the doorbell */
#define CLOSE_NEWS        {do_close_news, 0, 0}
#define PUT(k, m)         {do_put, (k), (m)} /* message m under key k */
#define GET(k)            {do_get, (k), 0}
#define AWAIT(k)          {do_await, (k), 0} /* a version that we have not seen */
#define DELETE(k)         {do_delete, (k), 0}
/* clang-format on */

#endif
