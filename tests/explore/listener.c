/* SPDX-License-Identifier: MIT */
#include "tests/explore/listener.h"

#include <errno.h>

#include "ipc/kernel/os.h"
#include "ipc/signal/notify.h"

struct listener {
    struct sleeper base;
    struct actor *actor;
    void (*listen)(struct actor *me);
    uint32_t seen;
};

static _Atomic uint32_t *doorbell_of(const struct actor *me)
{
    return &view_participant(&world.view, me->self.who)->doorbell;
}

static void announce(struct sleeper *self)
{
    struct listener *listener = (struct listener *)self;

    listener->seen = notify_arm(&listener->actor->self, WAKE_ASLEEP);
    listener->listen(listener->actor);
}

static int sleep_in(struct sleeper *self, int64_t until_ns)
{
    struct listener *listener = (struct listener *)self;
    _Atomic uint32_t *doorbell = doorbell_of(listener->actor);
    int result;

    STEP(doorbell, SHM_SYSTEM);
    result = os->futex_wait(doorbell, listener->seen, until_ns);
    if (result == 0)
        world.notes.rung++;
    return result;
}

/* An event loop: its descriptor is cleared and armed when a look has found nothing. */
static int poll_for(struct actor *me, enum by by, void (*listen)(struct actor *me),
                    wait_try *attempt, void *context)
{
    _Atomic uint32_t *doorbell = doorbell_of(me);
    int result;

    if (by == BY_EVENTFD) /* as pollable_open() does; relaxed: told with the doorbell */
        shm_or(&view_participant(&world.view, me->self.who)->notify, NOTIFY_EVENTFD,
               memory_order_relaxed);
    for (;;) {
        uint32_t seen;

        result = attempt(context);
        if (result != -EAGAIN)
            return result;
        STEP(doorbell, SHM_SYSTEM);
        me->readable = 0;
        seen = notify_arm(&me->self, by == BY_URING ? WAKE_ASLEEP : WAKE_POLLED);
        listen(me);
        if (by == BY_URING) {
            STEP(doorbell, SHM_SYSTEM);
            engine_submit(me, doorbell, seen);
        }
        result = attempt(context);
        if (result != -EAGAIN)
            return result;
        STEP(doorbell, SHM_SYSTEM);
        engine_poll(me);
        world.notes.rung++;
    }
}

int listener_wait(struct actor *me, enum by by, void (*listen)(struct actor *me),
                  wait_try *attempt, void *context)
{
    struct listener listener = {
        .base = {.announce = announce, .sleep = sleep_in}, .actor = me, .listen = listen};

    if (by != BY_FUTEX)
        return poll_for(me, by, listen, attempt, context);
    return wait_with(&me->self, &listener.base, attempt, context, -1);
}
