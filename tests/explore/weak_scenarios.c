/* SPDX-License-Identifier: MIT */
/* weak_scenarios.c - few steps under C11's memory. */
#include "ipc/exchange/broadcast.h"
#include "ipc/exchange/channel.h"
#include "tests/explore/elastic_ops.h"
#include "tests/explore/families.h"
#include "tests/explore/member_ops.h"
#include "tests/explore/request_ops.h"
#include "tests/explore/scenario_words.h"
#include "tests/explore/shared_ops.h"

/* clang-format off */
/* Under the memory of C11 (memory.h): an actor may read old values twice in a run. */
#define WEAK(scene) .lags = 2, scene
#define QUEUE_OF(n) .channels = (n), .max_deliveries = 200, .lags = 2, .capacity = 1, \
              .build = queue_build, .killed = queue_killed, .check = queue_check
#define QUEUE  QUEUE_OF(1)
#define QUEUES QUEUE_OF(2)
#define MEMBERS .max_deliveries = 200, .lags = 2, .slots = 1, .channels = 1, .capacity = 1, \
                .killed = member_killed, .check = member_check

static const struct scenario queues[] = {
    {.name = "one slot, two messages", QUEUE, .slots = 1,
     .programs = {{SEND(0, 0), SEND(0, 1), END}, {RECEIVE(0), RECEIVE(0), END}}},
    {.name = "1 sender, 1 receiver", QUEUE, .slots = 2,
     .programs = {{TRY_SEND(0, 0), TRY_SEND(0, 1), END},
                  {TRY_RECEIVE(0), TRY_RECEIVE(0), END}}},
    {.name = "2 senders asleep", QUEUE, .slots = 2,
     .programs = {{SEND(0, 0), END}, {SEND(0, 1), END}, {RECEIVE(0), RECEIVE(0), END}}},
    {.name = "2 senders, 2 receivers", QUEUE, .slots = 2,
     .programs = {{TRY_SEND(0, 0), END}, {TRY_SEND(0, 1), END}, {TRY_RECEIVE(0), END},
                  {TRY_RECEIVE(0), END}}},
    {.name = "one slot, two channels", QUEUES, .slots = 1,
     .programs = {{TRY_SEND(0, 0), TRY_SEND(1, 1), END},
                  {TRY_RECEIVE(0), END},
                  {TRY_RECEIVE(0), END}}},
    {.name = "1 sender, 1 receiver, kill 1", QUEUE, .slots = 1, KILLS(1, 2, 0),
     .programs = {{TRY_SEND(0, 0), END}, {TRY_RECEIVE(0), END}, LAST}},
    {.name = "a reaper at once, kill 1", QUEUE, .slots = 1, KILLS(1, 3, BIT(2)),
     .programs = {{TRY_SEND(0, 0), END}, {TRY_RECEIVE(0), END},
                  {REAP, TRY_RECEIVE(0), END}, LAST}},
    {.name = "an orphan for another, kill 1", QUEUE, .slots = 1, KILLS(1, 3, BIT(1) | BIT(2)),
     .programs = {{TRY_SEND(0, 0), TRY_RECEIVE(0), END}, {TRY_RECEIVE(0), END},
                  {REAP, END}, LAST}},
    {.name = "the next in the entry of the dead", QUEUE, .slots = 1, KILLS(1, 3, BIT(1) | BIT(2)),
     .programs = {{TRY_SEND(0, 0), END}, {REAP, END},
                  {LEAVE, REJOIN, TRY_SEND(0, 1), END}, LAST}},
    {.name = "a sleeping receiver, kill 1", QUEUE, .slots = 1, KILLS(1, 3, 0),
     .programs = {{SEND(0, 0), END}, {RECEIVE(0), END}, {RECEIVE(0), END}, LAST}},
    {.name = "a close, 1 sender, 1 receiver", QUEUE, .slots = 1,
     .programs = {{TRY_SEND(0, 0), TRY_SEND(0, 1), END}, {CLOSE(0), END},
                  {RECEIVE(0), RECEIVE(0), END}}},
    {.name = "a close, 2 receivers", QUEUE, .slots = 1,
     .programs = {{TRY_SEND(0, 0), END}, {CLOSE(0), END}, {RECEIVE(0), END},
                  {RECEIVE(0), END}}},
    {.name = "forward, kill 1", QUEUES, .slots = 1, KILLS(1, 3, BIT(0) | BIT(2)),
     .programs = {{SEND(0, 0), END}, {FORWARD(0, 1), END},
                  {TRY_RECEIVE(0), TRY_RECEIVE(1), END}, LAST}},
};

static const struct scenario broadcasts[] = {
    {.name = "1 publisher, 1 reader", WEAK(NEWS), .slots = 2,
     .programs = {{TRY_PUBLISH(0), TRY_PUBLISH(1), TRY_PUBLISH(2), END},
                  {SUBSCRIBE(TR_LAG_DROP_OLDEST, 1), TRY_LISTEN, TRY_LISTEN, END}}},
    {.name = "1 publisher, 1 that blocks", WEAK(NEWS), .slots = 2,
     .programs = {{TRY_PUBLISH(0), TRY_PUBLISH(1), TRY_PUBLISH(2), END},
                  {SUBSCRIBE(TR_LAG_BLOCK, 1), TRY_LISTEN, TRY_LISTEN, END}}},
    {.name = "2 publishers, 1 that blocks", WEAK(NEWS), .slots = 3,
     .programs = {{TRY_PUBLISH(0), TRY_PUBLISH(1), END},
                  {TRY_PUBLISH(2), END},
                  {SUBSCRIBE(TR_LAG_BLOCK, 1), TRY_LISTEN, END}}},
    {.name = "a sleeping publisher", WEAK(NEWS), .slots = 3,
     .programs = {{PUBLISH(0), PUBLISH(1), PUBLISH(2), END},
                  {SUBSCRIBE(TR_LAG_BLOCK, 1), LISTEN, LISTEN, END}}},
    {.name = "1 publisher, 1 reader, kill 1", WEAK(NEWS), .slots = 2, KILLS(1, 2, 0),
     .programs = {{TRY_PUBLISH(0), TRY_PUBLISH(1), END},
                  {SUBSCRIBE(TR_LAG_DROP_OLDEST, 1), TRY_LISTEN, END},
                  LAST}},
    {.name = "1 publisher, 2 that block", WEAK(NEWS), .slots = 3,
     .programs = {{TRY_PUBLISH(0), TRY_PUBLISH(1), TRY_PUBLISH(2), END},
                  {SUBSCRIBE(TR_LAG_BLOCK, 0), TRY_LISTEN, END},
                  {SUBSCRIBE(TR_LAG_BLOCK, 0), END}}},
    {.name = "news, and a close", WEAK(NEWS), .slots = 2,
     .programs = {{TRY_PUBLISH(0), TRY_PUBLISH(1), END}, {CLOSE_NEWS, END},
                  {SUBSCRIBE(TR_LAG_DROP_OLDEST, 1), LISTEN, LISTEN, END}}},
};

static const struct scenario boards[] = {
    {.name = "2 writers", WEAK(BOARD), .slots = 2,
     .programs = {{PUT(0, 0), END}, {PUT(0, 1), END}}},
    {.name = "2 writers, 2 keys", WEAK(BOARD), .slots = 2,
     .programs = {{PUT(0, 0), END}, {PUT(1, 1), END}, {GET(1), END}}},
    {.name = "1 writer, 1 reader", WEAK(BOARD), .slots = 2,
     .programs = {{PUT(0, 0), PUT(0, 1), PUT(0, 2), END}, {GET(0), GET(0), END}}},
    {.name = "1 writer, 2 readers", WEAK(BOARD), .slots = 2,
     .programs = {{PUT(0, 0), PUT(0, 1), PUT(0, 2), END}, {GET(0), END}, {GET(0), END}}},
    {.name = "a reader that waits", WEAK(BOARD), .slots = 2,
     .programs = {{PUT(0, 0), PUT(0, 1), END}, {AWAIT(0), AWAIT(0), END}}},
    {.name = "put, get, delete, kill 1", WEAK(BOARD), .slots = 2, KILLS(1, 3, 0),
     .programs = {{PUT(0, 0), PUT(0, 1), END}, {GET(0), END}, {DELETE(0), END}, LAST}},
    {.name = "a reader dies, another comes", WEAK(BOARD), .slots = 2, KILLS(1, 3, BIT(1) | BIT(2)),
     .programs = {{GET(0), END}, {PUT(0, 0), PUT(0, 1), END},
                  {LEAVE, REJOIN, GET(0), END}, LAST}},
};

static const struct scenario requests[] = {
    {.name = "given up", WEAK(ASKING), .slots = 1, .max_deliveries = 200,
     .programs = {{ASK_BRIEFLY(0), END}, {SERVE_OWN, END}}},
    {.name = "given up, and asked again", WEAK(ASKING), .slots = 2, .max_deliveries = 200,
     .programs = {{ASK_BRIEFLY(0), ASK_BRIEFLY(1), END}, {TRY_SERVE, TRY_SERVE, END}}},
    {.name = "given up, another needs memory", WEAK(ASKING), .slots = 1, .max_deliveries = 200,
     .programs = {{ASK_BRIEFLY(0), END}, {SERVE_OWN, END}, {NEED, END}}},
    {.name = "given up, kill 1", WEAK(ASKING), .slots = 1, .max_deliveries = 200, KILLS(1, 2, 0),
     .programs = {{ASK_BRIEFLY(0), END}, {SERVE_OWN, END}, LAST}},
    {.name = "1 asks, 1 serves", WEAK(ASKING), .slots = 2, .max_deliveries = 200,
     .programs = {{ASK(0), END}, {SERVE, END}}},
    {.name = "the reply in the request's slot", WEAK(ASKING), .slots = 1, .max_deliveries = 200,
     .programs = {{ASK(0), ASK(1), END}, {SERVE_OWN, SERVE_OWN, END}}},
    {.name = "1 asks, 1 serves, kill 1", WEAK(ASKING), .slots = 2, .max_deliveries = 200,
     KILLS(1, 2, 0),
     .programs = {{ASK(0), END}, {SERVE, END}, LAST}},
    {.name = "the requester dies, the slot goes on", WEAK(ASKING), .slots = 2,
     .max_deliveries = 200, KILLS(1, 3, BIT(1) | BIT(2)),
     .programs = {{ASK(0), END}, {SERVE, END}, {REAP, BORROW(4), END}, LAST}},
    {.name = "not redelivered, a reaper at once", WEAK(ASKING), .slots = 2, .max_deliveries = 1,
     KILLS(1, 3, BIT(2)),
     .programs = {{ASK(0), END}, {SERVE, END}, {REAP, END}, LAST}},
};

static const struct scenario members[] = {
    {.name = "an entry changes hands, kill 1", MEMBERS, .kills = 1, .spare = 1,
     .last = BIT(1), .immortal = BIT(1),
     .programs = {{LEAVE, REJOIN, OPEN, END}, LAST}},
    {.name = "a reaper at once, kill 1", MEMBERS, .kills = 1, .spare = 1,
     .last = BIT(2), .immortal = BIT(1) | BIT(2),
     .programs = {{LEAVE, REJOIN, OPEN, END}, {REAP, END}, LAST}},
    {.name = "a join, and the end of the arena", MEMBERS, .absent = BIT(0) | BIT(1),
     .programs = {{JOIN, END}, {CLOSE_ARENA, END}}},
    {.name = "2 joins, and the end of the arena", MEMBERS,
     .absent = BIT(0) | BIT(1) | BIT(2),
     .programs = {{JOIN, END}, {JOIN, END}, {CLOSE_ARENA, CLOSE_ARENA, END}}},
    {.name = "2 make a channel", MEMBERS, .spare = 2,
     .programs = {{OPEN, END}, {OPEN, END}}},
    {.name = "3 make a channel", MEMBERS, .spare = 2,
     .programs = {{OPEN, END}, {OPEN, END}, {OPEN, END}}},
};

static const struct scenario elastics[] = {
    {.name = "2 take slots into use", ELASTIC, .lags = 2, .slots = 2, .memory = 4, .warm = 4,
     .programs = {{TRY_PAGES(1), USE, END}, {TRY_PAGES(1), USE, GIVE_BACK, END}}},
    {.name = "2 take slots into use, kill 1", ELASTIC, .lags = 2, .slots = 2, .memory = 4,
     .warm = 4, KILLS(1, 2, 0),
     .programs = {{TRY_PAGES(1), USE, END}, {TRY_PAGES(1), USE, END}, LAST}},
    {.name = "2 at the limit", ELASTIC, .lags = 2, .slots = 2, .memory = 2, .warm = 2,
     .programs = {{LOAN_PAGES(1), GIVE_BACK, END}, {LOAN_PAGES(2), GIVE_BACK, END}}},
    {.name = "a release beyond the budget", ELASTIC, .lags = 2, .slots = 1, .memory = 4, .warm = 1,
     .first = 1,
     .programs = {{TRY_PAGES(2), GIVE_BACK, END}, {TRY_PAGES(2), USE, END}}},
};
/* clang-format on */

#define WEAK_FAMILY(title, scenarios) \
    &(const struct family)            \
    {                                 \
        FAMILY(title, scenarios)      \
    }
const struct family *const weak_families[WEAK_FAMILIES] = {
    WEAK_FAMILY("queue", queues),    WEAK_FAMILY("broadcast", broadcasts),
    WEAK_FAMILY("board", boards),    WEAK_FAMILY("request", requests),
    WEAK_FAMILY("members", members), &weak_doorbell_family,
    &weak_newcomer_family,           WEAK_FAMILY("elastic", elastics),
};

const struct scenario *family_scenario(const struct family *family, uint32_t i)
{
    static struct scenario weak;

    if (!family->lags)
        return &family->scenarios[i];
    weak = family->scenarios[i];
    weak.lags = family->lags;
    return &weak;
}
