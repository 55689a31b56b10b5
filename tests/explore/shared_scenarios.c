/* SPDX-License-Identifier: MIT */
/* shared_scenarios.c - what actors do with broadcasts and boards. */
#include "ipc/exchange/broadcast.h"
#include "ipc/exchange/channel.h"
#include "tests/explore/families.h"
#include "tests/explore/scenario_words.h"
#include "tests/explore/shared_ops.h"

/* clang-format off */

static const struct scenario broadcasts[] = {
    {.name = "1 publisher, 1 reader", NEWS, .slots = 2,
     .programs = {{TRY_PUBLISH(0), TRY_PUBLISH(1), TRY_PUBLISH(2), END},
                  {SUBSCRIBE(TR_LAG_DROP_OLDEST, 1), TRY_LISTEN, TRY_LISTEN, END}}},
    {.name = "1 publisher, 1 that blocks", NEWS, .slots = 2,
     .programs = {{TRY_PUBLISH(0), TRY_PUBLISH(1), TRY_PUBLISH(2), END},
                  {SUBSCRIBE(TR_LAG_BLOCK, 1), TRY_LISTEN, TRY_LISTEN, END}}},
    {.name = "1 publisher, 1 reader, kill 1", NEWS, .slots = 2, KILLS(1, 2, 0),
     .programs = {{TRY_PUBLISH(0), TRY_PUBLISH(1), END},
                  {SUBSCRIBE(TR_LAG_DROP_OLDEST, 1), TRY_LISTEN, TRY_LISTEN, END},
                  LAST}},
    {.name = "2 publishers, 1 reader, kill 1", NEWS, .slots = 3, KILLS(1, 3, BIT(2)),
     .programs = {{TRY_PUBLISH(0), END},
                  {TRY_PUBLISH(1), END},
                  {SUBSCRIBE(TR_LAG_DROP_OLDEST, 2), TRY_LISTEN, END},
                  LAST}},
    {.name = "1 publisher, 2 readers, kill 1", NEWS, .slots = 2, KILLS(1, 3, 0),
     .programs = {{TRY_PUBLISH(0), TRY_PUBLISH(1), END},
                  {SUBSCRIBE(TR_LAG_DROP_OLDEST, 1), TRY_LISTEN, END},
                  {SUBSCRIBE(TR_LAG_BLOCK, 1), TRY_LISTEN, END},
                  LAST}},
    {.name = "a sleeping reader, kill 1", NEWS, .slots = 2, KILLS(1, 2, 0),
     .programs = {{PUBLISH(0), PUBLISH(1), END},
                  {SUBSCRIBE(TR_LAG_BLOCK, 0), LISTEN, END},
                  LAST}},
    {.name = "a sleeping publisher", NEWS, .slots = 3,
     .programs = {{PUBLISH(0), PUBLISH(1), PUBLISH(2), END},
                  {SUBSCRIBE(TR_LAG_BLOCK, 1), LISTEN, LISTEN, END}}},
};

static const struct scenario boards[] = {
    {.name = "2 writers", BOARD, .slots = 2,
     .programs = {{PUT(0, 0), END}, {PUT(0, 1), END}}},
    {.name = "1 writer, 1 reader", BOARD, .slots = 2,
     .programs = {{PUT(0, 0), PUT(0, 1), PUT(0, 2), END}, {GET(0), GET(0), END}}},
    {.name = "2 writers, 1 reader, kill 1", BOARD, .slots = 3, KILLS(1, 3, BIT(2)),
     .programs = {{PUT(0, 0), END}, {PUT(0, 1), END}, {GET(0), GET(0), END}, LAST}},
    {.name = "2 writers, 2 keys, kill 1", BOARD, .slots = 3, KILLS(1, 3, BIT(2)),
     .programs = {{PUT(0, 0), END}, {PUT(1, 1), END}, {GET(1), GET(0), END}, LAST}},
    {.name = "put, get, delete, kill 1", BOARD, .slots = 2, KILLS(1, 3, 0),
     .programs = {{PUT(0, 0), PUT(0, 1), END}, {GET(0), END}, {DELETE(0), END}, LAST}},
    {.name = "1 writer, 2 readers, 1 slot more", BOARD, .slots = 2,
     .programs = {{PUT(0, 0), PUT(0, 1), PUT(0, 2), END}, {GET(0), END}, {GET(0), END}}},
    {.name = "a reader that waits, kill 1", BOARD, .slots = 2, KILLS(1, 2, 0),
     .programs = {{PUT(0, 0), PUT(0, 1), END}, {AWAIT(0), AWAIT(0), END}, LAST}},
};
/* clang-format on */

const struct family broadcast_family = {FAMILY("broadcast", broadcasts)};
const struct family board_family = {FAMILY("board", boards)};
