/* SPDX-License-Identifier: MIT */
/* queue_scenarios.c - what actors do with queues. An actor marked last is the survivor that
 * reaps when nobody else goes on. */
#include "tests/explore/families.h"
#include "tests/explore/queue_ops.h"
#include "tests/explore/scenario_words.h"

/* clang-format off */
#define QUEUE(title, channel_count, slot_count, cells)                         \
    .name = (title), .channels = (channel_count), .slots = (slot_count),       \
    .capacity = (cells), .max_deliveries = 200, .build = queue_build,          \
    .killed = queue_killed, .check = queue_check

/* Small enough to be explored whole; what is broken on purpose is looked for here. */
static const struct scenario traps[] = {
    {QUEUE("one slot, two messages", 1, 1, 1),
     .programs = {{SEND(0, 0), SEND(0, 1), END}, {RECEIVE(0), RECEIVE(0), END}}},
    {QUEUE("own message forwarded", 2, 1, 1),
     .programs = {{SEND(0, 0), FORWARD(0, 1), END}, {TRY_RECEIVE(0), END}}},
    {QUEUE("one slot, two channels", 2, 1, 1),
     .programs = {{TRY_SEND(0, 0), TRY_SEND(1, 1), END}, {TRY_RECEIVE(0), END},
                  {TRY_RECEIVE(0), END}}},
    {QUEUE("full between two channels, kill 1", 2, 2, 1), KILLS(1, 2, 0),
     .programs = {{TRY_SEND(0, 0), TRY_SEND(1, 1), TRY_SEND(1, 2), END},
                  {TRY_RECEIVE(0), TRY_RECEIVE(1), END}, LAST}},
    {QUEUE("a reaper at once, kill 1", 1, 1, 1), KILLS(1, 3, BIT(2)),
     .programs = {{TRY_SEND(0, 0), END}, {TRY_RECEIVE(0), END},
                  {REAP, TRY_RECEIVE(0), END}, LAST}},
    {QUEUE("an old mark, kill 1", 1, 1, 1), KILLS(1, 3, BIT(1) | BIT(2)), .marked = 1,
     .programs = {{TRY_SEND(0, 0), END}, {TRY_RECEIVE(0), END},
                  {TRY_RECEIVE(0), REAP, END}, LAST}},
    {QUEUE("a waker dies, a sleeper stays", 1, 2, 2), KILLS(1, 3, BIT(1) | BIT(2)),
     .programs = {{SEND(0, 0), END}, {RECEIVE(0), END}, {TRY_RECEIVE(0), SEND(0, 1), END},
                  LAST}},
    {QUEUE("two receivers asleep, kill 1", 1, 1, 1), KILLS(1, 3, 0),
     .programs = {{SEND(0, 0), END}, {RECEIVE(0), END}, {RECEIVE(0), END}, LAST}},
    {QUEUE("a spinner and a sleeper", 1, 2, 2), .spins = BIT(1),
     .programs = {{RECEIVE(0), END}, {RECEIVE(0), END}, {SEND(0, 0), SEND(0, 1), END}}},
    {QUEUE("two spinners", 1, 2, 2), .spins = BIT(1) | BIT(2),
     .programs = {{SEND(0, 0), SEND(0, 1), END}, {RECEIVE(0), END}, {RECEIVE(0), END}}},
    {QUEUE("a spinner dies, a sleeper stays", 1, 1, 1), .spins = BIT(1) | BIT(2),
     KILLS(1, 3, BIT(0) | BIT(1)),
     .programs = {{REAP, SEND(0, 0), END}, {RECEIVE(0), END}, {RECEIVE(0), END}, LAST}},
};

/* Nobody waits: what is there is taken, or not. */
static const struct scenario queue[] = {
    {QUEUE("1 sender, 1 receiver", 1, 2, 2),
     .programs = {{SEND(0, 0), SEND(0, 1), SEND(0, 2), END},
                  {RECEIVE(0), RECEIVE(0), RECEIVE(0), END}}},
    {QUEUE("1 sender, 1 receiver, kill 1", 1, 2, 2), KILLS(1, 2, 0),
     .programs = {{TRY_SEND(0, 0), TRY_SEND(0, 1), END},
                  {TRY_RECEIVE(0), TRY_RECEIVE(0), TRY_RECEIVE(0), END}, LAST}},
    {QUEUE("1 sender, 1 receiver, cap 1, kill 2", 1, 2, 1), KILLS(2, 2, 0),
     .programs = {{TRY_SEND(0, 0), TRY_SEND(0, 1), END},
                  {TRY_RECEIVE(0), TRY_RECEIVE(0), END}, LAST}},
    {QUEUE("2 senders, 1 receiver, kill 1", 1, 3, 2), KILLS(1, 3, 0),
     .programs = {{TRY_SEND(0, 0), END}, {TRY_SEND(0, 1), END},
                  {TRY_RECEIVE(0), TRY_RECEIVE(0), END}, LAST}},
    {QUEUE("2 senders, 1 receiver, cap 1, kill 1", 1, 2, 1), KILLS(1, 3, 0),
     .programs = {{TRY_SEND(0, 0), TRY_SEND(0, 2), END}, {TRY_SEND(0, 1), END},
                  {TRY_RECEIVE(0), TRY_RECEIVE(0), END}, LAST}},
    {QUEUE("1 sender, 2 receivers, kill 1", 1, 2, 2), KILLS(1, 3, 0),
     .programs = {{TRY_SEND(0, 0), TRY_SEND(0, 1), END},
                  {TRY_RECEIVE(0), TRY_RECEIVE(0), END}, {TRY_RECEIVE(0), END}, LAST}},
    {QUEUE("1 sender, 2 receivers, drop, kill 1", 1, 2, 1), KILLS(1, 3, 0), .drop = 1,
     .programs = {{TRY_SEND(0, 0), TRY_SEND(0, 1), END}, {TRY_RECEIVE(0), END},
                  {TRY_RECEIVE(0), END}, LAST}},
    {QUEUE("a reaper while they work, kill 1", 1, 2, 2), KILLS(1, 3, 0),
     .programs = {{TRY_SEND(0, 0), TRY_SEND(0, 1), END},
                  {TRY_RECEIVE(0), TRY_RECEIVE(0), END}, {REAP, TRY_RECEIVE(0), END},
                  LAST}},
    {QUEUE("two reapers, one may die, kill 2", 1, 1, 1), KILLS(2, 3, 0),
     .programs = {{TRY_SEND(0, 0), TRY_RECEIVE(0), END}, {REAP, TRY_RECEIVE(0), END},
                  {REAP, TRY_RECEIVE(0), END}, LAST}},
    {QUEUE("a newcomer and a reaper, kill 1", 1, 1, 1), KILLS(1, 3, 0),
     .programs = {{TRY_SEND(0, 0), TRY_RECEIVE(0), END}, {REAP, TRY_RECEIVE(0), END},
                  {LEAVE, REJOIN, TRY_RECEIVE(0), END}, LAST}},
    {QUEUE("the next in the entry of the dead", 1, 1, 1),
     KILLS(1, 4, BIT(1) | BIT(2) | BIT(3)),
     .programs = {{TRY_SEND(0, 0), TRY_RECEIVE(0), END}, {REAP, END}, {REAP, END},
                  {LEAVE, REJOIN, TRY_SEND(0, 1), END}, LAST}},
    {QUEUE("forward, kill 1", 2, 2, 1), KILLS(1, 3, 0),
     .programs = {{TRY_SEND(0, 0), TRY_SEND(0, 1), END}, {FORWARD(0, 1), END},
                  {TRY_RECEIVE(1), TRY_RECEIVE(1), END}, LAST}},
    {QUEUE("a slot between two channels, kill 2", 2, 2, 1), KILLS(2, 2, 0),
     .programs = {{TRY_SEND(0, 0), TRY_SEND(1, 1), TRY_SEND(1, 2), END},
                  {TRY_RECEIVE(0), TRY_RECEIVE(1), END}, LAST}},
};

/* All waits are unlimited, and no sleep ends by itself. */
static const struct scenario wakeups[] = {
    {QUEUE("2 sleeping receivers", 1, 2, 2),
     .programs = {{SEND(0, 0), SEND(0, 1), END}, {RECEIVE(0), END}, {RECEIVE(0), END}}},
    {QUEUE("2 sleeping senders", 1, 3, 1),
     .programs = {{SEND(0, 0), END}, {SEND(0, 1), END}, {RECEIVE(0), RECEIVE(0), END}}},
    {QUEUE("2 sleeping loaners", 1, 1, 2),
     .programs = {{SEND(0, 0), END}, {SEND(0, 1), END}, {RECEIVE(0), RECEIVE(0), END}}},
    {QUEUE("3 sleeping receivers, 2 senders", 1, 2, 2),
     .programs = {{SEND(0, 0), END}, {SEND(0, 1), END}, {RECEIVE(0), END},
                  {RECEIVE(0), END}}},
    {QUEUE("a sleeping receiver, kill 1", 1, 2, 2), KILLS(1, 3, 0),
     .programs = {{SEND(0, 0), SEND(0, 1), END}, {RECEIVE(0), END}, {RECEIVE(0), END},
                  LAST}},
    {QUEUE("a sleeping sender, kill 1", 1, 3, 1), KILLS(1, 3, 0),
     .programs = {{SEND(0, 0), END}, {SEND(0, 1), END}, {RECEIVE(0), RECEIVE(0), END},
                  LAST}},
    {QUEUE("a sleeping loaner, kill 1", 1, 1, 2), KILLS(1, 3, 0),
     .programs = {{SEND(0, 0), END}, {SEND(0, 1), END}, {RECEIVE(0), RECEIVE(0), END},
                  LAST}},
    {QUEUE("a sleeping forwarder, kill 1", 2, 2, 1), KILLS(1, 3, 0),
     .programs = {{SEND(0, 0), SEND(0, 1), END}, {FORWARD(0, 1), FORWARD(0, 1), END},
                  {RECEIVE(1), RECEIVE(1), END}, LAST}},
    {QUEUE("sleepers and two dead", 1, 1, 1), KILLS(2, 3, 0),
     .programs = {{SEND(0, 0), END}, {SEND(0, 1), END}, {RECEIVE(0), RECEIVE(0), END},
                  LAST}},
    {QUEUE("spinners, 2 senders", 1, 3, 2), .spins = BIT(2) | BIT(3),
     .programs = {{SEND(0, 0), SEND(0, 2), END}, {SEND(0, 1), END}, {RECEIVE(0), END},
                  {RECEIVE(0), RECEIVE(0), END}}},
    {QUEUE("3 spinners, 1 sender", 1, 3, 2), .spins = BIT(1) | BIT(2) | BIT(3),
     .programs = {{SEND(0, 0), SEND(0, 1), SEND(0, 2), END}, {RECEIVE(0), END},
                  {RECEIVE(0), END}, {RECEIVE(0), END}}},
    {QUEUE("spinners, kill 1", 1, 2, 2), .spins = BIT(1) | BIT(2), KILLS(1, 3, 0),
     .programs = {{SEND(0, 0), SEND(0, 1), END}, {RECEIVE(0), END}, {RECEIVE(0), END},
                  LAST}},
};
/* clang-format on */

const struct family trap_family = {FAMILY("traps", traps)};
const struct family queue_family = {FAMILY("queue", queue)};
const struct family wakeup_family = {FAMILY("wakeups", wakeups)};
