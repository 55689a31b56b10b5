/* SPDX-License-Identifier: MIT */
/* ending_scenarios.c - closes beside sends and receives, forwards that are cut short, and
 * counters that begin near their ends. Small enough to be explored whole, mostly. */
#include "ipc/exchange/broadcast.h"
#include "ipc/exchange/channel.h"
#include "tests/explore/families.h"
#include "tests/explore/opening_ops.h"
#include "tests/explore/scenario_words.h"
#include "tests/explore/shared_ops.h"

/* clang-format off */
#define QUEUE .max_deliveries = 200, .build = queue_build, .killed = queue_killed, \
              .check = queue_check
#define OPENING .unopened = 1, .slots = 1, .capacity = 1, .build = opening_build, \
                .killed = opening_killed, .check = opening_check

static const struct scenario endings[] = {
    {.name = "a close of what is forwarded to, kill 1", QUEUE, .channels = 2, .slots = 1, .capacity = 1,
     KILLS(1, 3, BIT(0) | BIT(2)),
     .programs = {{SEND(0, 0), END}, {TRY_FORWARD(0, 1), END}, {CLOSE(1), TRY_RECEIVE(1), END}, LAST}},
    {.name = "forward to one that drops, kill 1", QUEUE, .channels = 2, .slots = 1, .capacity = 1,
     .drop = BIT(1), KILLS(1, 2, BIT(0)),
     .programs = {{SEND(0, 0), END}, {TRY_FORWARD(0, 1), END}, LAST}},
    {.name = "forward to a full one that drops, kill 1", QUEUE, .channels = 2, .slots = 2, .capacity = 1,
     .drop = BIT(1), KILLS(1, 2, BIT(0)),
     .programs = {{SEND(1, 1), SEND(0, 0), END}, {TRY_FORWARD(0, 1), END}, LAST}},
    {.name = "the last turn, cap 1, kill 1", QUEUE, .channels = 1, .slots = 2, .capacity = 1, .late = 1,
     KILLS(1, 2, 0),
     .programs = {{TRY_SEND(0, 0), TRY_SEND(0, 1), END}, {TRY_RECEIVE(0), TRY_RECEIVE(0), END}, LAST}},
    {.name = "2 keys of one hash, kill 1", BOARD, .slots = 2, .alike = 1, KILLS(1, 2, 0),
     .programs = {{PUT(0, 0), END}, {PUT(1, 1), GET(0), END}, LAST}},
    {.name = "the last lap, kill 1", NEWS, .slots = 2, .late = 1, KILLS(1, 2, 0),
     .programs = {{TRY_PUBLISH(0), TRY_PUBLISH(1), END},
                  {SUBSCRIBE(TR_LAG_DROP_OLDEST, 1), TRY_LISTEN, TRY_LISTEN, END}, LAST}},
    {.name = "a channel that does not fit", OPENING, .channels = 2,
     .programs = {{MAKE(2, 4096), MAKE(3, 4096), END}, {MAKE(0, 1), END}}},
    {.name = "2 open one name, kill 1", OPENING, .channels = 2, KILLS(1, 2, 0),
     .programs = {{MAKE(0, 1), MAKE(1, 1), END}, {MAKE(1, 1), MAKE(0, 1), END}, LAST}},
    {.name = "the last version, kill 1", BOARD, .slots = 2, .late = 1, KILLS(1, 2, 0),
     .programs = {{PUT(0, 0), PUT(0, 1), PUT(0, 2), END}, {GET(0), GET(0), END}, LAST}},
    {.name = "2 keys of one hash, 2 late versions", BOARD, .slots = 3, .alike = 1, .late = 1,
     .programs = {{PUT(0, 0), PUT(0, 2), END}, {PUT(1, 1), END}, {AWAIT(0), GET(1), END}}},
    {.name = "news, and a close", NEWS, .slots = 2,
     .programs = {{TRY_PUBLISH(0), TRY_PUBLISH(1), END}, {CLOSE_NEWS, END},
                  {SUBSCRIBE(TR_LAG_DROP_OLDEST, 1), LISTEN, LISTEN, END}}},
    {.name = "a close, 1 sender, 1 receiver", QUEUE, .channels = 1, .slots = 1, .capacity = 1,
     .programs = {{TRY_SEND(0, 0), TRY_SEND(0, 1), END}, {CLOSE(0), END}, {RECEIVE(0), RECEIVE(0), END}}},
    {.name = "a close, a sleeping sender", QUEUE, .channels = 1, .slots = 2, .capacity = 1,
     .programs = {{SEND(0, 0), SEND(0, 1), END}, {CLOSE(0), END}, {RECEIVE(0), END}}},
    {.name = "a close, 2 receivers", QUEUE, .channels = 1, .slots = 2, .capacity = 2,
     .programs = {{TRY_SEND(0, 0), END}, {CLOSE(0), END}, {RECEIVE(0), END}, {RECEIVE(0), END}}},
    {.name = "a close, 2 senders", QUEUE, .channels = 1, .slots = 2, .capacity = 2,
     .programs = {{TRY_SEND(0, 0), END}, {TRY_SEND(0, 1), END}, {CLOSE(0), RECEIVE(0), RECEIVE(0), END}}},
    {.name = "a close, a loan that waits", QUEUE, .channels = 1, .slots = 1, .capacity = 1, .first = 1,
     .programs = {{TRY_SEND(0, 0), END}, {LOAN_FOR(0), END}, {CLOSE(0), END}}},
    {.name = "a close, kill 1", QUEUE, .channels = 1, .slots = 1, .capacity = 1, KILLS(1, 3, 0),
     .programs = {{TRY_SEND(0, 0), END}, {CLOSE(0), END}, {RECEIVE(0), END}, LAST}},
    {.name = "the last turn, cap 3", QUEUE, .channels = 1, .slots = 3, .capacity = 3, .late = 1,
     .programs = {{SEND(0, 0), SEND(0, 1), SEND(0, 2), SEND(0, 3), END},
                  {RECEIVE(0), RECEIVE(0), RECEIVE(0), RECEIVE(0), END}}},
    {.name = "the last turn, and a close", QUEUE, .channels = 1, .slots = 2, .capacity = 1, .late = 1,
     .programs = {{TRY_SEND(0, 0), TRY_SEND(0, 1), END}, {CLOSE(0), END}, {RECEIVE(0), END}}},
    {.name = "news, a close, a sleeping publisher", NEWS, .slots = 3,
     .programs = {{PUBLISH(0), PUBLISH(1), PUBLISH(2), END}, {CLOSE_NEWS, END},
                  {SUBSCRIBE(TR_LAG_BLOCK, 1), LISTEN, END}}},
    {.name = "news, a close, kill 1", NEWS, .slots = 2, KILLS(1, 3, 0),
     .programs = {{TRY_PUBLISH(0), END}, {CLOSE_NEWS, END}, {SUBSCRIBE(TR_LAG_DROP_OLDEST, 1), LISTEN, END}, LAST}},
    {.name = "the last lap, 1 that blocks", NEWS, .slots = 3, .late = 1,
     .programs = {{PUBLISH(0), PUBLISH(1), PUBLISH(2), END}, {SUBSCRIBE(TR_LAG_BLOCK, 0), LISTEN, END}}},
};
/* clang-format on */

const struct family ending_family = {FAMILY("endings", endings)};
