/* SPDX-License-Identifier: MIT */
#include "tests/explore/opening_ops.h"

#include <errno.h>

#include "ipc/exchange/channel.h"

#define NAMES 4

/* Bits 8n to 8n + 7 of an actor's note: where it found name n, + 1. */
static uint32_t found_at(const struct actor *actor, uint32_t n)
{
    return (uint32_t)(actor->note >> 8 * n & 0xff);
}

static int open_name(struct self *me, uint32_t n, uint32_t capacity, uint32_t *index)
{
    const char name[2] = {(char)('a' + n), 0};
    struct channel_spec spec = {
        .name = name, .kind = CHANNEL_QUEUE, .capacity = capacity, .max_deliveries = 200};

    return channel_open(me, &spec, index);
}

void opening_build(const struct scenario *scenario)
{
    (void)scenario;
    world_watch(&view_live(&world.view)->rings_used);
    for (uint32_t i = 0; i < world.view.geo.channel_count; i++) {
        struct channel *channel = view_channel(&world.view, i);

        world_watch(&channel->word);
        world_watch(&channel->ring_off);
        world_watch(&channel->name[0]);
    }
}

void opening_killed(struct actor *actor)
{
    (void)actor;
}

void do_make(struct actor *me, const struct op *op)
{
    uint32_t index = 0;
    int result = open_name(&me->self, op->a, op->b, &index);

    if (result != 0 && result != -EAGAIN && result != -ENOBUFS)
        engine_fail("an opening that fails for no reason");
    if (result == 0)
        me->note |= (uint64_t)(index + 1) << 8 * op->a;
}

/* A channel that a dead process was making can be made again, also by the next owner of its
 * entry. */
static const char *check_makers(void)
{
    for (uint32_t i = 0; i < world.view.geo.channel_count; i++) {
        uint64_t word = shm_get(&view_channel(&world.view, i)->word);

        if (CHANNEL_STATE(word) == CHANNEL_MAKING && CHANNEL_KIND(word) != 0)
            return "a channel that a dead one is making";
    }
    return NULL;
}

const char *opening_check(const struct scenario *scenario)
{
    if (engine_something_dead())
        return "a dead one that nobody reaps";
    if (check_makers())
        return check_makers();
    /* As many as there are entries can be opened, and each name has one place. */
    for (uint32_t n = 0; n < scenario->channels; n++) {
        uint32_t index;

        if (open_name(&world.auditor, n, 1, &index) != 0)
            return "a name that can't be opened";
        for (uint32_t a = 0; a < world.actor_count; a++)
            if (found_at(&world.actors[a], n) &&
                found_at(&world.actors[a], n) != index + 1)
                return "one name in two places";
    }
    return NULL;
}
