/* SPDX-License-Identifier: MIT */
/* request_scene.h - what the tests of requests share. */
#ifndef TR_TESTS_REQUEST_SCENE_H
#define TR_TESTS_REQUEST_SCENE_H

#include "support.h"

#include <pthread.h>

#include "src/channel/inbox.h"

#define SHORT 1000000                            /* ns */
#define LONG  (INT64_C(30) * 1000 * 1000 * 1000) /* ns: it hangs */

static tr_queue *open_queue(tr_arena *arena, tr_queue_policy policy)
{
    tr_queue_options options = TR_QUEUE_OPTIONS_INIT;
    tr_queue *queue;

    options.policy = policy;
    options.capacity = 8;
    assert_ok(tr_queue_open(arena, "ask", &options, &queue));
    return queue;
}

static uint64_t ask(tr_queue *queue, int64_t value)
{
    uint64_t ticket;

    assert_ok(tr_request_send(queue, loan_i64(tr_queue_arena(queue), 4, value), LONG,
                              LONG, 0, &ticket));
    return ticket;
}

static tr_message *take(tr_queue *queue, int64_t expected)
{
    tr_message *request;

    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &request));
    assert_true(tr_message_is_request(request));
    assert_int_equal(first_i64(request), expected);
    return request;
}

static int64_t answer_to(tr_arena *arena, uint64_t ticket)
{
    tr_message *reply;
    int64_t value;

    assert_ok(tr_request_wait(arena, ticket, TR_NOWAIT, &reply));
    assert_false(tr_message_is_request(reply));
    value = first_i64(reply);
    tr_message_release(reply);
    return value;
}

static void end(tr_arena *arena, tr_queue *queue, uint64_t slots)
{
    assert_int_equal(stats_of(arena).slots_free, slots);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

#endif
