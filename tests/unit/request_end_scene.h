/* SPDX-License-Identifier: MIT */
/* request_end_scene.h - what the tests of the ends of requests share. */
#ifndef TR_TESTS_REQUEST_END_SCENE_H
#define TR_TESTS_REQUEST_END_SCENE_H

#include "support.h"

#include <poll.h>

#include "ipc/exchange/reclaim.h"
#include "ipc/exchange/request.h"
#include "src/channel/inbox.h"
#include "src/channel/queue.h"
#include "src/waitset/waitset.h"

#define LONG (INT64_C(30) * 1000 * 1000 * 1000) /* ns: it hangs */
#define SOON (INT64_C(20) * 1000 * 1000)

static tr_queue *open_queue(tr_arena *arena)
{
    tr_queue_options options = TR_QUEUE_OPTIONS_INIT;
    tr_queue *queue;

    options.capacity = 2048;
    assert_ok(tr_queue_open(arena, "ask", &options, &queue));
    return queue;
}

static uint64_t ask_for(tr_queue *queue, int64_t value, int64_t timeout_ns,
                        uint32_t flags)
{
    uint64_t ticket;

    assert_ok(tr_request_send(queue, loan_i64(tr_queue_arena(queue), 4, value), TR_NOWAIT,
                              timeout_ns, flags, &ticket));
    return ticket;
}

static uint64_t ask(tr_queue *queue, int64_t value)
{
    return ask_for(queue, value, TR_FOREVER, 0);
}

static tr_message *take(tr_queue *queue)
{
    tr_message *request;

    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &request));
    assert_true(tr_message_is_request(request));
    return request;
}

static void end(tr_arena *arena, tr_queue *queue, uint64_t slots)
{
    assert_int_equal(stats_of(arena).slots_free, slots);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

#endif
