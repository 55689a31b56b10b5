/* SPDX-License-Identifier: MIT */
/* queue_scene.h - a queue of a given capacity, a number that is sent through it and taken out. */
#ifndef TR_TESTS_UNIT_QUEUE_SCENE_H
#define TR_TESTS_UNIT_QUEUE_SCENE_H

#include "support.h"

static inline tr_queue *open_queue(tr_arena *arena, const char *name, uint32_t capacity)
{
    tr_queue_options options = TR_QUEUE_OPTIONS_INIT;
    tr_queue *queue;

    options.capacity = capacity;
    assert_ok(tr_queue_open(arena, name, &options, &queue));
    return queue;
}

static inline void give(tr_arena *arena, tr_queue *queue, int64_t value)
{
    tr_message *message;

    assert_ok(tr_message_loan_bytes(arena, sizeof(value), TR_FOREVER, &message));
    memcpy(tr_message_tensor(message, 0)->data, &value, sizeof(value));
    assert_ok(tr_queue_send(queue, message, TR_FOREVER));
}

static inline int64_t take(tr_queue *queue)
{
    tr_message *message;
    int64_t value;

    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
    value = first_i64(message);
    tr_message_release(message);
    return value;
}

#endif
