/* SPDX-License-Identifier: MIT */
#include "tests/explore/member_ops.h"

#include <errno.h>

#include "ipc/exchange/channel.h"
#include "ipc/liveness/participant.h"
#include "ipc/liveness/reap.h"

enum { ADMITTED = 1, CLOSED, OPENED };
#define CAPACITY 3

/* As participant_join() does. */
void do_join(struct actor *me, const struct op *op)
{
    me->joined = false;
    do_rejoin(me, op);
    if (!me->joined)
        return;
    if (participant_admitted(&world.view)) {
        me->note = ADMITTED;
        return;
    }
    reap_self(&me->self);
    me->joined = false;
}

void do_close_arena(struct actor *me, const struct op *op)
{
    (void)op;
    if (participant_close_arena(&world.view, false) == ADMISSION_CLOSED)
        me->note = CLOSED;
}

void do_open(struct actor *me, const struct op *op)
{
    struct channel_spec spec = {
        .name = "z", .kind = CHANNEL_QUEUE, .capacity = CAPACITY, .max_deliveries = 2};
    struct ring ring;
    uint32_t index;

    (void)op;
    if (channel_open(&me->self, &spec, &index) < 0)
        return; /* another is making it */
    if (channel_ring(&world.view, index, &ring) < 0 || ring.capacity != CAPACITY ||
        ring.max_deliveries != 2)
        engine_fail("a channel was opened half");
    me->note = OPENED + index;
}

void member_killed(struct actor *actor)
{
    (void)actor;
}

const char *member_check(const struct scenario *scenario)
{
    bool closed = false, admitted = false;
    uint64_t opened = 0;

    (void)scenario;
    for (uint32_t i = 0; i < world.actor_count; i++) {
        const struct actor *actor = &world.actors[i];

        closed |= actor->note == CLOSED;
        admitted |= actor->note == ADMITTED && actor->status != DEAD;
        if (actor->note < OPENED)
            continue;
        if (opened && opened != actor->note)
            return "two channels of one name";
        opened = actor->note;
    }
    if (closed && admitted)
        return "an arena was closed although somebody is in it";
    return engine_something_dead() ? "a dead one that nobody reaps" : NULL;
}
