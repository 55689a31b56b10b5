/* SPDX-License-Identifier: MIT */
/* request_scenarios.c - processes that ask, serve, and die of it. */
#include "tests/explore/families.h"
#include "tests/explore/queue_ops.h"
#include "tests/explore/request_ops.h"
#include "tests/explore/scenario_words.h"

/* clang-format off */

static const struct scenario requests[] = {
    {.name = "given up", ASKING, .slots = 2, .max_deliveries = 200,
     .programs = {{ASK_BRIEFLY(0), END}, {SERVE, END}}},
    {.name = "given up, and asked again", ASKING, .slots = 2, .max_deliveries = 200,
     .programs = {{ASK_BRIEFLY(0), ASK_BRIEFLY(1), END}, {TRY_SERVE, TRY_SERVE, END}}},
    {.name = "given up, another needs memory", ASKING, .slots = 1, .max_deliveries = 200,
     .programs = {{ASK_BRIEFLY(0), END}, {SERVE_OWN, END}, {NEED, END}}},
    {.name = "given up, kill 1", ASKING, .slots = 1, .max_deliveries = 200, KILLS(1, 2, 0),
     .programs = {{ASK_BRIEFLY(0), END}, {SERVE_OWN, END}, LAST}},
    {.name = "given up, 2 threads", ASKING, .slots = 1, .max_deliveries = 200,
     .programs = {{ASK_BRIEFLY(0), END}, {SERVE_OWN, END},
                  {BE_THREAD_OF(1), BORROW(4), END}}},
    {.name = "given up, 2 threads serve", ASKING, .slots = 1, .max_deliveries = 200,
     .programs = {{ASK_BRIEFLY(0), ASK(1), END}, {SERVE_OWN, END},
                  {BE_THREAD_OF(1), SERVE_OWN, END}}},
    {.name = "1 asks, 1 serves, kill 1", ASKING, .slots = 2, .max_deliveries = 200,
     KILLS(1, 2, 0),
     .programs = {{ASK(0), END}, {SERVE, END}, LAST}},
    {.name = "the requester dies, the slot goes on", ASKING, .slots = 2,
     .max_deliveries = 200, KILLS(1, 3, BIT(1) | BIT(2)),
     .programs = {{ASK(0), END}, {SERVE, END}, {REAP, BORROW(4), END}, LAST}},
    {.name = "2 serve, kill 1", ASKING, .slots = 2, .max_deliveries = 200, KILLS(1, 3, BIT(0)),
     .programs = {{ASK(0), END}, {SERVE, END}, {SERVE, END}, LAST}},
    {.name = "not redelivered, kill 1", ASKING, .slots = 2, .max_deliveries = 1,
     KILLS(1, 2, 0),
     .programs = {{ASK(0), END}, {SERVE, END}, LAST}},
    {.name = "not redelivered, a reaper at once", ASKING, .slots = 2, .max_deliveries = 1,
     KILLS(1, 3, BIT(2)),
     .programs = {{ASK(0), END}, {SERVE, END}, {REAP, END}, LAST}},
    {.name = "own slot, kill 1", ASKING, .slots = 1, .max_deliveries = 200, KILLS(1, 2, 0),
     .programs = {{ASK(0), END}, {SERVE_OWN, END}, LAST}},
    {.name = "both die", ASKING, .slots = 2, .max_deliveries = 1, KILLS(2, 2, 0),
     .programs = {{ASK(0), END}, {SERVE, END}, LAST}},
    {.name = "1 asks, 1 serves", ASKING, .slots = 2, .max_deliveries = 200,
     .programs = {{ASK(0), ASK(1), END}, {SERVE, SERVE, END}}},
    {.name = "the reply in the request's slot", ASKING, .slots = 1, .max_deliveries = 200,
     .programs = {{ASK(0), ASK(1), END}, {SERVE_OWN, SERVE_OWN, END}}},
};
/* clang-format on */

const struct family request_family = {FAMILY("request", requests)};
