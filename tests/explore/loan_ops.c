/* SPDX-License-Identifier: MIT */
#include "tests/explore/loan_ops.h"

#include <errno.h>

#include "ipc/exchange/reclaim.h"
#include "ipc/exchange/slot.h"
#include "ipc/signal/notify.h"

static _Atomic uint32_t *word(void)
{
    return view_freed(&world.view, 0);
}

static void listen(struct actor *me)
{
    notify_listen(&me->self, word());
}

/* The look of a member. */
static int try_look(void *context)
{
    (void)context;
    return slot_may_loan(&world.view, 0) ? 0 : -EAGAIN;
}

/* The member is removed. */
static void leave(struct actor *me)
{
    notify_leave(&me->self, word());
    if (!MUTANT(LEAVER_SILENT) && try_look(me) == 0)
        wake_one(&world.view, word());
}

static void wait_until_told(struct actor *me, const struct op *op)
{
    if (listener_wait(me, (enum by)op->b, listen, try_look, me) != 0)
        engine_fail("a wait without end ended");
}

void do_ring_loan(struct actor *me, const struct op *op)
{
    uint32_t slot;

    do /* others may be faster */
        wait_until_told(me, op);
    while (slot_loan(&me->self, 0, &slot) < 0);
    me->slot = slot + 1;
    leave(me);
}

void do_ring_told(struct actor *me, const struct op *op)
{
    wait_until_told(me, op);
    leave(me);
}

void do_listen_for_slot(struct actor *me, const struct op *op)
{
    (void)op;
    listen(me);
}

void do_give_back(struct actor *me, const struct op *op)
{
    uint32_t slot = me->slot;

    (void)op;
    if (!slot)
        return;
    me->slot = 0;
    slot_free(&me->self, slot - 1);
}

static bool some_slot_is_free(void)
{
    for (uint32_t s = 0; s < world.view.geo.slot_count; s++)
        if (SLOT_STATE(shm_get(&view_record(&world.view, s)->owner)) == SLOT_FREE)
            return true;
    return false;
}

const char *loan_check(const struct scenario *scenario)
{
    for (uint32_t i = 0; i < world.actor_count; i++) {
        const struct actor *actor = &world.actors[i];

        if (actor->status == ASLEEP && actor->program[actor->pc].run == do_ring_loan &&
            some_slot_is_free())
            return "a loan listens beside a free slot";
    }
    return queue_check(scenario);
}

const char *loan_check_herd(const struct scenario *scenario)
{
    if (world.notes.rung > 1)
        return "one free slot woke several loans";
    return loan_check(scenario);
}
