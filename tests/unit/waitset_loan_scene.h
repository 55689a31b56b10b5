/* SPDX-License-Identifier: MIT */
/* waitset_loan_scene.h - an arena whose slots are all taken, and a thread that waits for one in a
 * set. */
#ifndef TR_TESTS_WAITSET_LOAN_SCENE_H
#define TR_TESTS_WAITSET_LOAN_SCENE_H

#include "broadcast_scene.h"
#include "waitset_scene.h"

#include <sched.h>

#define TOKEN 42

static const int64_t eight = 8;
static const tr_tensor_spec spec = {
    .dtype = {TR_DTYPE_UINT, 8, 1}, .ndim = 1, .shape = &eight};

/* An arena with two slots, or with memory for two messages; and one more participant. */
struct scene {
    tr_arena *arena, *other;
    tr_waitset *set;
    tr_message *held[2];
    tr_queue *queue;
    tr_board *board;
    tr_broadcast *broadcast;
    tr_subscription *subscription;
    uint64_t ticket;
    pid_t child;
};

static inline tr_message *loan(tr_arena *arena)
{
    tr_message *message;

    assert_ok(tr_message_loan(arena, &spec, 1, TR_NOWAIT, &message));
    return message;
}

static inline void release(tr_message **message)
{
    tr_message_release(*message);
    *message = NULL;
}

static inline void take_both(struct scene *scene)
{
    scene->held[0] = loan(scene->other);
    scene->held[1] = loan(scene->other);
}

static inline void read_one(struct scene *scene)
{
    assert_ok(tr_subscription_receive(scene->subscription, TR_NOWAIT, &scene->held[0]));
    release(&scene->held[0]);
}

/* ---- a thread that waits */

static inline void begin_scene(struct scene *scene, uint32_t flags)
{
    tr_slot_class class = {flags & TR_ARENA_ELASTIC ? 8192 : 256,
                           flags & TR_ARENA_ELASTIC ? 16 : 2};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_arena_info info = TR_ARENA_INFO_INIT;

    memset(scene, 0, sizeof(*scene));
    options.classes = &class;
    options.class_count = 1;
    options.max_participants = 8;
    options.max_channels = 200;
    options.flags = flags;
    options.memory_bytes = flags & TR_ARENA_ELASTIC ? 8192 : 0;
    options.spin_ns = 0;
    options.eventfds = 8;
    assert_ok(tr_arena_create(NULL, &options, &scene->arena));
    assert_ok(tr_arena_info_get(scene->arena, &info));
    assert_ok(tr_arena_attach_fd(info.fd, &scene->other));
    scene->queue = open_queue(scene->other, "q", 4);
    assert_ok(tr_board_open(scene->other, "board", NULL, &scene->board));
    scene->broadcast = open_broadcast(scene->other, 8, 1);
    assert_ok(tr_waitset_open(scene->arena, &scene->set));
}

static inline void end_scene(struct scene *scene)
{
    tr_waitset_close(scene->set);
    if (scene->other)
        tr_arena_close(scene->other);
    tr_arena_close(scene->arena);
}

enum mode { BY_WORDS, BY_DOORBELL, BY_DESCRIPTOR };

struct waiter {
    struct scene *scene;
    enum mode mode;
    tr_event event;
    pthread_t thread;
};

static inline void *wait_in_set(void *context)
{
    struct waiter *waiter = context;
    struct pollfd poller = {.events = POLLIN};
    size_t count;
    int result;

    if (waiter->mode == BY_DESCRIPTOR)
        assert_ok(tr_waitset_fd(waiter->scene->set, &poller.fd));
    while (
        (result = tr_waitset_wait(waiter->scene->set, &waiter->event, 1,
                                  waiter->mode == BY_DESCRIPTOR ? TR_NOWAIT : TR_FOREVER,
                                  &count)) == TR_EAGAIN)
        (void)poll(&poller, 1, -1);
    assert_ok(result);
    return NULL;
}

static inline bool somebody_waits(tr_arena *arena)
{
    tr_class_stats class;
    size_t n;

    assert_ok(tr_stats_classes(arena, &class, sizeof(class), 1, &n));
    return class.waiting;
}

#endif
