/* SPDX-License-Identifier: MIT */
/* doorbell_scenarios.c - processes that listen by a doorbell, ring it, and die between. */
#include "ipc/exchange/broadcast.h"
#include "ipc/exchange/channel.h"
#include "tests/explore/doorbell_ops.h"
#include "tests/explore/families.h"
#include "tests/explore/scenario_words.h"
#include "tests/explore/shared_ops.h"

/* clang-format off */
#define SET_OF(n, all, room, checked) .listen = 1, .channels = (n), .slots = (all), \
        .capacity = (room), .max_deliveries = 200, .build = doorbell_build, \
        .killed = doorbell_killed, .check = checked
#define SET    SET_OF(1, 2, 2, doorbell_check)
#define HERD   SET_OF(1, 2, 2, doorbell_check_herd)
#define SETS   SET_OF(2, 2, 2, doorbell_check)

/* The small ones first: mutants are looked for in this order. */
static const struct scenario doorbells[] = {
    {.name = "a listener, 1 sender", SET,
     .programs = {{SEND(0, 0), SEND(0, 1), END},
                  {ADD(0), TAKE(BY_FUTEX, 0), TAKE(BY_FUTEX, 0), END}}},
    {.name = "an eventfd, 1 sender", SET,
     .programs = {{SEND(0, 0), SEND(0, 1), END},
                  {ADD(0), TAKE(BY_EVENTFD, 0), TAKE(BY_EVENTFD, 0), END}}},
    {.name = "an io_uring, 1 sender", SET,
     .programs = {{SEND(0, 0), SEND(0, 1), END},
                  {ADD(0), TAKE(BY_URING, 0), TAKE(BY_URING, 0), END}}},
    {.name = "a ringer dies", SET, KILLS(1, 2, BIT(1)),
     .programs = {{SEND(0, 0), END}, {ADD(0), TAKE(BY_FUTEX, 0), END}, LAST}},
    {.name = "a ringer dies, a descriptor", SET, KILLS(1, 2, BIT(1)),
     .programs = {{SEND(0, 0), END}, {ADD(0), TAKE(BY_EVENTFD, 0), END}, LAST}},
    {.name = "a member is added", SETS,
     .programs = {{SEND(0, 0), END},
                  {ADD(1), TAKE(BY_FUTEX, 1), END},
                  {THREAD(1), ADD(0), END}}},
    {.name = "2 listeners, 1 message", HERD,
     .programs = {{SEND(0, 0), END},
                  {ADD(0), TAKE(BY_FUTEX, 0), END},
                  {ADD(0), TAKE(BY_FUTEX, 0), END}}},
    {.name = "a busy one is passed by", SETS,
     .programs = {{SEND(1, 0), SEND(0, 1), END},
                  {ADD(0), ADD(1), TAKE(BY_FUTEX, 0), END},
                  {ADD(0), TAKE(BY_FUTEX, 0), END}}},
    {.name = "told, and gone", SET,
     .programs = {{SEND(0, 0), END},
                  {ADD(0), LOOK(BY_FUTEX, 0), REMOVE(0), END},
                  {ADD(0), TAKE(BY_FUTEX, 0), END}}},
    {.name = "a listener, 3 messages", SET_OF(1, 3, 4, doorbell_check),
     .programs = {{SEND(0, 0), SEND(0, 1), SEND(0, 2), END},
                  {ADD(0), TAKE(BY_FUTEX, 0), TAKE(BY_FUTEX, 0), TAKE(BY_FUTEX, 0), END}}},
    {.name = "2 descriptors, 2 messages", SET,
     .programs = {{SEND(0, 0), SEND(0, 1), END},
                  {ADD(0), TAKE(BY_EVENTFD, 0), REMOVE(0), END},
                  {ADD(0), TAKE(BY_URING, 0), REMOVE(0), END}}},
    {.name = "a listener, 2 senders", SET,
     .programs = {{SEND(0, 0), END},
                  {SEND(0, 1), END},
                  {ADD(0), TAKE(BY_FUTEX, 0), TAKE(BY_FUTEX, 0), END}}},
    {.name = "a sleeper and a listener", SET,
     .programs = {{SEND(0, 0), SEND(0, 1), END},
                  {RECEIVE(0), END},
                  {ADD(0), TAKE(BY_FUTEX, 0), END}}},
    {.name = "a ringer dies, and its reaper", SET, KILLS(2, 3, BIT(1)),
     .programs = {{SEND(0, 0), END}, {ADD(0), TAKE(BY_EVENTFD, 0), END}, {REAP, END}, LAST}},
    {.name = "a listener dies, another is there", SET, KILLS(1, 3, BIT(0) | BIT(2)),
     .programs = {{SEND(0, 0), END},
                  {ADD(0), TAKE(BY_EVENTFD, 0), END},
                  {ADD(0), TAKE(BY_FUTEX, 0), END},
                  LAST}},
    {.name = "anybody dies, a sleeper, a listener", SET, KILLS(1, 3, 0),
     .programs = {{SEND(0, 0), SEND(0, 1), END},
                  {RECEIVE(0), END},
                  {ADD(0), TAKE(BY_FUTEX, 0), END},
                  LAST}},
    {.name = "told, and left", SET,
     .programs = {{SEND(0, 0), END},
                  {ADD(0), LOOK(BY_FUTEX, 0), LEAVE, END},
                  {ADD(0), TAKE(BY_FUTEX, 0), END}}},
    {.name = "a member is removed", SETS,
     .programs = {{SEND(0, 0), END},
                  {ADD(0), ADD(1), TAKE(BY_FUTEX, 1), END},
                  {THREAD(1), REMOVE(0), END},
                  {ADD(0), TAKE(BY_FUTEX, 0), END}}},
    {.name = "a sender listens for room", SET_OF(1, 3, 1, doorbell_check),
     .programs = {{SEND(0, 0), RING_SEND(0, 1), END},
                  {RING_SEND(0, 2), END},
                  {RECEIVE(0), RECEIVE(0), RECEIVE(0), END}}},
    {.name = "a broadcast rings all", .listen = 1, NEWS, .slots = 2,
     .programs = {{PUBLISH(0), END},
                  {SUBSCRIBE(TR_LAG_DROP_OLDEST, 0), RING_LISTEN(BY_FUTEX), END},
                  {SUBSCRIBE(TR_LAG_DROP_OLDEST, 0), RING_LISTEN(BY_EVENTFD), END}}},
    {.name = "a publisher dies", .listen = 1, NEWS, .slots = 2, KILLS(1, 3, BIT(1) | BIT(2)),
     .programs = {{PUBLISH(0), END},
                  {SUBSCRIBE(TR_LAG_DROP_OLDEST, 0), RING_LISTEN(BY_FUTEX), END},
                  {SUBSCRIBE(TR_LAG_DROP_OLDEST, 0), LISTEN, END},
                  LAST}},
};

/* Long: for the mutant that only it can see. */
static const struct scenario newcomers[] = {
    {.name = "a slow reaper, a newcomer listens", SET, .last = BIT(3),
     .programs = {{VANISH, END},
                  {REAP, END},
                  {REAP, QUIT, REJOIN, ADD(0), TAKE(BY_EVENTFD, 0), END},
                  {SEND(0, 0), END}}},
};
/* clang-format on */

const struct family doorbell_family = {FAMILY("doorbells", doorbells), .part = 2};
const struct family newcomer_family = {FAMILY("newcomers", newcomers), .part = 2};
/* What is private to a process orders nothing here, not even the mutex of a set: less than
 * there is. */
const struct family weak_doorbell_family = {FAMILY("doorbells", doorbells), .lags = 2};
const struct family weak_newcomer_family = {FAMILY("newcomers", newcomers), .part = 2,
                                            .lags = 2};
