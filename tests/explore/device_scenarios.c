/* SPDX-License-Identifier: MIT */
/* device_scenarios.c - a device writes into a slot while its owner may die. */
#include "ipc/exchange/reclaim.h"
#include "ipc/exchange/ring.h"
#include "ipc/exchange/slot.h"
#include "ipc/kernel/os.h"
#include "ipc/liveness/device.h"
#include "ipc/liveness/participant.h"
#include "tests/explore/families.h"
#include "tests/explore/queue_ops.h"
#include "tests/explore/scenario_words.h"

static void device_build(const struct scenario *scenario)
{
    queue_build(scenario);
    for (uint32_t i = 0; i < world.view.geo.slot_count; i++)
        world_watch(&view_record(&world.view, i)->memory);
}

/* The device begins. */
static void mark(struct actor *me)
{
    uint32_t slot = me->slot - 1;

    device_mark(&world.view, slot);
    world.notes.device_slot = (uint8_t)me->slot;
}

/* @p slot has got an owner. */
static void expect_no_device(uint32_t slot)
{
    if (world.notes.device_slot == slot + 1 && !world.notes.device_done)
        engine_fail("a device writes into the slot of another");
}

static void do_loan_for_device(struct actor *me, const struct op *op)
{
    if (queue_loan(me, op->b, 0))
        mark(me);
}

static void do_keep_for_device(struct actor *me, const struct op *op)
{
    do_keep(me, op);
    if (me->slot)
        mark(me);
}

/* Its driver says that it has ended, and the holder goes on. */
static void do_end_device(struct actor *me, const struct op *op)
{
    (void)op;
    if (!me->slot)
        return;
    world.notes.device_done = 1;
    device_unmark(&world.view, me->slot - 1);
    slot_free(&me->self, me->slot - 1);
    me->slot = 0;
}

/* A step, before which others may come, and which may be the last. */
static void do_work(struct actor *me, const struct op *op)
{
    (void)me, (void)op;
    (void)shm_load(&view_live(&world.view)->monitor_roles,
                   memory_order_relaxed); /* relaxed: */
}

/* It ends by itself, at any time. */
static void do_device_stops(struct actor *me, const struct op *op)
{
    do_work(me, op);
    world.notes.device_done = 1;
}

static void do_loan_and_free(struct actor *me, const struct op *op)
{
    uint32_t slot;

    (void)op;
    if (slot_loan(&me->self, 0, &slot) < 0)
        return;
    expect_no_device(slot);
    slot_free(&me->self, slot);
}

static void do_careful_receive(struct actor *me, const struct op *op)
{
    uint32_t slot;

    if (ring_take(queue_ring(me, op->a), &me->self, &slot) < 0)
        return;
    expect_no_device(slot);
    queue_took(me, op->a, slot);
}

static bool lives(uint32_t who)
{
    for (uint32_t a = 0; a < world.actor_count; a++)
        if (world.actors[a].joined && world.actors[a].self.who == who &&
            world.actors[a].status != DEAD)
            return true;
    return false;
}

/* Nobody owns in the end what waited for the device. */
static const char *device_check(const struct scenario *scenario)
{
    (void)scenario;
    for (uint32_t i = 0; i < world.actor_count; i++)
        if (PARTICIPANT_STATE(shm_get(&view_participant(&world.view, i)->word)) >
            PARTICIPANT_LIVE)
            return "an entry waits for a device that has ended";
    for (uint32_t s = 0; s < world.view.geo.slot_count; s++) {
        uint64_t word = shm_get(&view_record(&world.view, s)->owner);

        if ((SLOT_STATE(word) == SLOT_LOANED || SLOT_STATE(word) == SLOT_RECEIVED) &&
            !lives(SLOT_WHO(word)))
            return "a slot of a dead one was forgotten";
    }
    return NULL;
}

static const char *device_queue_check(const struct scenario *scenario)
{
    const char *why = device_check(scenario);

    return why ? why : queue_check(scenario);
}

/* clang-format off */
#define DO(what) {what, 0, 0}
#define DEVICE(title, slot_count, cells, of)                                               \
    .name = (title), .slots = (slot_count), .capacity = (cells), .check = (of),            \
    .channels = 1, .max_deliveries = 200, .build = device_build, .killed = queue_killed

static const struct scenario devices[] = {
    {DEVICE("a loan under a device, kill 1", 1, 1, device_check), KILLS(1, 4, BIT(1)),
     .programs = {{DO(do_loan_for_device), DO(do_work), END},
                  {DO(do_device_stops), END},
                  {REAP, DO(do_loan_and_free), END},
                  {DO(do_loan_and_free), END}, LAST}},
    {DEVICE("two reapers, kill 1", 2, 1, device_check), KILLS(1, 4, BIT(1) | BIT(2) | BIT(3)),
     .programs = {{DO(do_loan_for_device), DO(do_work), END},
                  {DO(do_device_stops), END},
                  {REAP, DO(do_loan_and_free), END},
                  {REAP, REJOIN, DO(do_loan_and_free), END}, LAST}},
    {DEVICE("a message under a device, kill 1", 2, 2, device_queue_check),
     KILLS(1, 4, BIT(0) | BIT(2)),
     .programs = {{SEND(0, 0), END},
                  {DO(do_keep_for_device), DO(do_work), END},
                  {DO(do_device_stops), END},
                  {REAP, DO(do_careful_receive), END}, LAST}},
    {DEVICE("a device ends in time, kill 1", 1, 1, device_check), KILLS(1, 2, 0),
     .programs = {{DO(do_loan_for_device), DO(do_work), DO(do_end_device), END},
                  {DO(do_loan_and_free), DO(do_loan_and_free), END},
                  {DO(do_device_stops), REAP, REAP, END}}},
};
/* clang-format on */

const struct family device_family = {FAMILY("devices", devices)};
