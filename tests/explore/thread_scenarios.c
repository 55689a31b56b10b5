/* SPDX-License-Identifier: MIT */
/* thread_scenarios.c - several threads of one participant: they share its entry, pins and
 * hints, and die together. Those of requests are in request_scenarios.c. */
#include "ipc/exchange/broadcast.h"
#include "ipc/exchange/channel.h"
#include "tests/explore/families.h"
#include "tests/explore/scenario_words.h"
#include "tests/explore/shared_ops.h"

/* clang-format off */
#define QUEUE .max_deliveries = 200, .channels = 1, .capacity = 1, .build = queue_build, \
              .killed = queue_killed, .check = queue_check
/* Actors 1 and 2 are one process. */
#define ONE_AND_TWO .thread_of = {[2] = 1 + 1}

static const struct scenario threads[] = {
    {.name = "2 readers of a board", BOARD, ONE_AND_TWO, .slots = 2,
     .programs = {{PUT(0, 0), PUT(0, 1), PUT(0, 2), END}, {GET(0), END}, {GET(0), END}}},
    {.name = "2 send, kill 1", QUEUE, ONE_AND_TWO, .slots = 2, KILLS(1, 3, BIT(0)),
     .programs = {{TRY_RECEIVE(0), TRY_RECEIVE(0), END}, {TRY_SEND(0, 0), END},
                  {TRY_SEND(0, 1), END}, LAST}},
    {.name = "2 receive, kill 1", QUEUE, ONE_AND_TWO, .slots = 2, KILLS(1, 3, BIT(0)),
     .programs = {{TRY_SEND(0, 0), TRY_SEND(0, 1), END}, {TRY_RECEIVE(0), END},
                  {TRY_RECEIVE(0), END}, LAST}},
    {.name = "1 sends, 1 receives, a reaper, kill 1", QUEUE, ONE_AND_TWO, .slots = 1,
     KILLS(1, 3, BIT(0)),
     .programs = {{REAP, TRY_RECEIVE(0), END}, {TRY_SEND(0, 0), END},
                  {TRY_RECEIVE(0), END}, LAST}},
    {.name = "2 asleep, kill 1", QUEUE, ONE_AND_TWO, .slots = 1, KILLS(1, 4, BIT(0) | BIT(3)),
     .programs = {{SEND(0, 0), END}, {RECEIVE(0), END}, {RECEIVE(0), END},
                  {RECEIVE(0), END}, LAST}},
    {.name = "2 subscribers, kill 1", NEWS, ONE_AND_TWO, .slots = 2, KILLS(1, 3, BIT(0)),
     .programs = {{TRY_PUBLISH(0), TRY_PUBLISH(1), END},
                  {SUBSCRIBE(TR_LAG_DROP_OLDEST, 1), TRY_LISTEN, END},
                  {SUBSCRIBE(TR_LAG_BLOCK, 1), TRY_LISTEN, END}, LAST}},
    {.name = "1 reads, 1 puts, kill 1", BOARD, ONE_AND_TWO, .slots = 3, KILLS(1, 3, BIT(0)),
     .programs = {{PUT(0, 0), GET(0), END}, {GET(0), END}, {PUT(0, 1), END}, LAST}},
};
/* clang-format on */

const struct family thread_family = {FAMILY("threads", threads)};
