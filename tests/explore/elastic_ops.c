/* SPDX-License-Identifier: MIT */
#include "tests/explore/elastic_ops.h"

#include <errno.h>

#include "ipc/exchange/budget.h"
#include "ipc/exchange/elastic.h"
#include "ipc/exchange/pages.h"
#include "ipc/exchange/reclaim.h"
#include "ipc/exchange/records.h"
#include "ipc/exchange/slot.h"
#include "ipc/signal/notify.h"
#include "ipc/wait/wait.h"
#include "tests/explore/listener.h"
#include "tests/explore/page_model.h"

/* Slots of the class that is explored. */
static uint32_t first_slot(void)
{
    return world.view.geo.classes[ELASTIC_CLASS].first_slot;
}

void elastic_build(const struct scenario *scenario)
{
    struct live *live = view_live(&world.view);

    (void)scenario;
    world_watch(&live->reserved_bytes);
    world_watch(&live->warm_bytes);
    world_watch(&live->memory);
    if (world.scenario->listen)
        world_watch(&live->memory_listeners[0]);
    world_watch(&live->classes[ELASTIC_CLASS].last); /* and the mark */
    for (uint32_t i = first_slot(); i < world.view.geo.slot_count; i++)
        world_watch(&view_record(&world.view, i)->memory);
}

/* What a holder may write to. */
static void expect_pages(uint32_t slot, uint64_t pages)
{
    uint64_t off = view_payload_off(&world.view, slot);

    for (uint64_t i = 0; i < pages; i++)
        if (!page_there(off + i * ARENA_PAGE))
            engine_fail("what is held has lost its memory");
}

/* What was loaned is held now. */
static void hold(struct actor *me, const struct op *op, uint32_t slot)
{
    if (!slot_is(shm_get(&view_record(&world.view, slot)->owner), SLOT_LOANED, &me->self))
        engine_fail("a loan that another holds");
    me->slot = slot + 1;
    me->note = op->a;
    expect_pages(slot, op->a);
}

static struct elastic_spec spec_of(struct actor *me, const struct op *op)
{
    return (struct elastic_spec){
        .me = &me->self, .c = ELASTIC_CLASS, .bytes = (uint64_t)op->a * ARENA_PAGE};
}

void do_elastic_loan(struct actor *me, const struct op *op)
{
    struct elastic_spec spec = spec_of(me, op);
    int result = elastic_loan(&spec, false);

    if (result == -EAGAIN && op->b)
        result = wait_for(&me->self, view_freed(&world.view, ELASTIC_CLASS),
                          elastic_attempt, &spec, -1);
    if (result == 0)
        hold(me, op, spec.slot);
}

static void listen(struct actor *me)
{
    notify_listen(&me->self, view_freed(&world.view, ELASTIC_CLASS));
}

static int try_look(void *context)
{
    const struct elastic_spec *spec = context;

    return elastic_may_loan(&world.view, spec->c, spec->bytes) ? 0 : -EAGAIN;
}

void do_elastic_ring(struct actor *me, const struct op *op)
{
    struct elastic_spec spec = spec_of(me, op);

    do /* others may be faster */
        if (listener_wait(me, (enum by)op->b, listen, try_look, &spec) != 0)
            engine_fail("a wait without end ended");
    while (elastic_loan(&spec, false) < 0);
    hold(me, op, spec.slot);
    notify_leave(&me->self, view_freed(&world.view, ELASTIC_CLASS));
    if (try_look(&spec) == 0)
        wake_one(&world.view, view_freed(&world.view, ELASTIC_CLASS));
}

void do_elastic_use(struct actor *me, const struct op *op)
{
    (void)op;
    (void)shm_load(&view_live(&world.view)->monitor_roles,
                   memory_order_relaxed); /* relaxed: */
    if (me->slot)
        expect_pages(me->slot - 1, me->note);
}

void do_elastic_trim(struct actor *me, const struct op *op)
{
    (void)op;
    (void)reclaim_memory(&me->self);
}

/* A mark never goes back: nobody would find what is beyond it. */
void do_elastic_more(struct actor *me, const struct op *op)
{
    struct shortage shortage;
    uint32_t now;

    (void)op;
    (void)records_more(&me->self, ELASTIC_CLASS, &shortage);
    now = shm_get(&view_live(&world.view)->classes[ELASTIC_CLASS].used);
    if (now < world.notes.mark)
        engine_fail("a mark has gone back");
    world.notes.mark = (uint8_t)now;
}

/* Above the mark nothing has ever happened. */
static bool is_used(uint32_t slot)
{
    return slot - first_slot() < records_used(&world.view, ELASTIC_CLASS);
}

static uint64_t word_of(uint32_t slot)
{
    return shm_get(&view_record(&world.view, slot)->owner);
}

static bool some_slot_is_free(void)
{
    for (uint32_t s = first_slot(); s < world.view.geo.slot_count; s++)
        if (SLOT_STATE(word_of(s)) == SLOT_FREE)
            return true;
    return false;
}

static const char *check_sleepers(void)
{
    for (uint32_t i = 0; i < world.actor_count; i++) {
        const struct actor *actor = &world.actors[i];
        uint64_t bytes = (uint64_t)actor->program[actor->pc].a * ARENA_PAGE;

        if (actor->status == ASLEEP && some_slot_is_free() &&
            elastic_has_room(&world.view, bytes))
            return "a loaner sleeps beside a slot and memory";
    }
    return NULL;
}

static bool held_by_the_living(uint32_t slot)
{
    for (uint32_t i = 0; i < world.actor_count; i++)
        if (world.actors[i].status != DEAD && world.actors[i].slot == slot + 1 &&
            slot_is(word_of(slot), SLOT_LOANED, &world.actors[i].self))
            return true;
    return false;
}

/* The record and the kernel agree. */
static const char *check_pages(uint32_t slot)
{
    uint64_t memory = shm_get(&view_record(&world.view, slot)->memory);
    uint64_t off = view_payload_off(&world.view, slot);

    for (uint64_t i = 0; i < ELASTIC_STRIDE; i++) {
        bool there = page_there(off + i * ARENA_PAGE);

        if (there && i >= MEMORY_PAGES(memory))
            return "memory that nobody knows of";
        if (!there && i < MEMORY_PAGES(memory) && memory & MEMORY_RESIDENT)
            return "memory that is not there";
    }
    return NULL;
}

static const char *check_slots(void)
{
    const char *why = NULL;

    for (uint32_t s = first_slot(); s < world.view.geo.slot_count && !why; s++) {
        if (!is_used(s) && word_of(s) != 0)
            return "a slot beyond the mark was used";
        if (SLOT_STATE(word_of(s)) != SLOT_FREE && !held_by_the_living(s))
            return "a slot leaked";
        why = check_pages(s);
    }
    return why;
}

/* What free slots keep can be had back, and then the counters are right. */
static const char *check_budget(void)
{
    struct live *live = view_live(&world.view);
    struct budget_use use;

    (void)reclaim_memory(&world.auditor);
    use = budget_use(&world.view);
    if (use.warm)
        return "a free slot has memory after a trim";
    if (shm_get(&live->reserved_bytes) != use.reserved || shm_get(&live->warm_bytes))
        return "the counters stay wrong";
    return NULL;
}

/* All slots can still be had, as far as there is memory for them. */
static const char *check_service(void)
{
    struct elastic_spec spec = {
        .me = &world.auditor, .c = ELASTIC_CLASS, .bytes = ARENA_PAGE};
    uint32_t slots[16], n = 0, held = 0;

    while (n < 16 && elastic_has_room(&world.view, ARENA_PAGE) &&
           elastic_loan(&spec, false) == 0)
        slots[n++] = spec.slot;
    for (uint32_t i = 0; i < world.actor_count; i++)
        held += world.actors[i].status != DEAD && world.actors[i].slot != 0;
    if (n + held < world.scenario->slots && elastic_has_room(&world.view, ARENA_PAGE))
        return "a slot can not be loaned any more";
    while (n > 0)
        slot_free(&world.auditor, slots[--n]);
    return NULL;
}

const char *elastic_check(const struct scenario *scenario)
{
    const char *why = check_sleepers();

    (void)scenario;
    if (!why && engine_something_dead())
        why = "a dead one that nobody reaps";
    why = why ? why : check_slots();
    why = why ? why : check_budget();
    return why ? why : check_service();
}
