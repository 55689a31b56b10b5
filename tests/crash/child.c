/* SPDX-License-Identifier: MIT */
/* child.c - a child that is forked in the middle of an operation of its parent. It has copies
 * of all private state as it was there: it must be able to use all of the library, and what it
 * does with inherited handles must not touch any messages. */
#include "tests/crash/child.h"

#include <string.h>

static void must(const char *what, int code)
{
    if (code)
        crash_fail(what, code);
}

static void let_go(struct stage *stage)
{
    for (uint32_t i = 0; i < 2; i++)
        if (stage->held[i] && tr_message_release(stage->held[i]) == 0)
            crash_fail("released what its parent held", 0);
    for (uint32_t i = 0; i < 3; i++)
        if (stage->kept[i] && tr_message_release(stage->kept[i]) == 0)
            crash_fail("released what the survivor held", 0);
}

/* What it inherited can't be sent, answered or sealed either. */
static void misuse(struct stage *stage, tr_message *message)
{
    if (message &&
        (tr_queue_send(stage->spare, message, TR_NOWAIT) == 0 ||
         tr_board_put(stage->board, "child", message, NULL) == 0 ||
         tr_broadcast_publish(stage->broadcast, message, TR_NOWAIT) == 0 ||
         tr_request_reply(message, NULL) == 0 || tr_message_seal(message) == 0))
        crash_fail("used what its parent held", 0);
}

static void use_queues(struct stage *stage)
{
    tr_message *message;

    must("send", tr_queue_send(stage->spare, crash_loan(stage, 30), TR_NOWAIT));
    must("receive", tr_queue_receive(stage->spare, TR_NOWAIT, &message));
    must("forward", tr_queue_send(stage->spare, message, TR_NOWAIT));
    must("receive", tr_queue_receive(stage->spare, TR_NOWAIT, &message));
    crash_inspect(message);
    must("release", tr_message_release(message));
}

static void use_board(struct stage *stage)
{
    tr_message *message;

    must("put", tr_board_put(stage->board, "child", crash_loan(stage, 31), NULL));
    must("get", tr_board_get(stage->board, "child", &message, NULL));
    must("delete", tr_board_delete(stage->board, "child", TR_BOARD_ANY_VERSION));
    crash_inspect(message);
    must("release", tr_message_release(message));
}

static void use_broadcast(struct stage *stage)
{
    tr_subscription *subscription;
    tr_broadcast *broadcast;
    tr_message *message;

    must("open", tr_broadcast_open(stage->arena, "child news", NULL, &broadcast));
    must("subscribe", tr_subscription_open(broadcast, NULL, &subscription));
    must("publish", tr_broadcast_publish(broadcast, crash_loan(stage, 32), TR_NOWAIT));
    must("receive", tr_subscription_receive(subscription, TR_NOWAIT, &message));
    crash_inspect(message);
    must("release", tr_message_release(message));
    tr_subscription_close(subscription);
    tr_broadcast_shutdown(broadcast);
    tr_broadcast_close(broadcast);
    /* And the survivor's: the child may listen, too. */
    must("subscribe", tr_subscription_open(stage->broadcast, NULL, &subscription));
    tr_subscription_close(subscription);
    if (tr_subscription_receive(stage->subscription, TR_NOWAIT, &message) == 0)
        crash_fail("heard what is for its parent", 0);
}

static void find_spare(tr_waitset *set)
{
    tr_event event;
    size_t n;

    must("wait", tr_waitset_wait(set, &event, 1, TR_FOREVER, &n));
    if (n != 1 || event.token != CRASH_TOKEN)
        crash_fail("a wait set finds the request", 0);
}

/* It asks, and answers itself. */
static void use_requests(struct stage *stage, tr_waitset *set)
{
    tr_message *request, *reply;
    uint64_t ticket, told;

    must("ask", tr_request_send(stage->spare, crash_loan(stage, 33), TR_FOREVER,
                                TR_FOREVER, 0, &ticket));
    find_spare(set);
    find_spare(stage->set); /* inherited */
    must("serve", tr_queue_receive(stage->spare, TR_NOWAIT, &request));
    must("reply", tr_request_reply(request, crash_loan(stage, 34)));
    must("next", tr_request_next(stage->arena, TR_NOWAIT, &told, &reply));
    if (told != ticket)
        crash_fail("the reply is to its own request", 0);
    crash_inspect(reply);
    must("release", tr_message_release(reply));
}

static void use_all(struct stage *stage)
{
    tr_waitset *set;

    use_queues(stage);
    use_board(stage);
    use_broadcast(stage);
    must("wait set", tr_waitset_open(stage->arena, &set));
    must("add", tr_waitset_add_queue(set, stage->spare, TR_WAIT_READABLE, CRASH_TOKEN));
    use_requests(stage, set);
    tr_waitset_close(set);
}

void crash_child(struct stage *stage, bool dies)
{
    tr_arena_info info = TR_ARENA_INFO_INIT;

    let_go(stage);                                     /* before it has joined */
    if (tr_arena_info_get(stage->arena, &info) == 0) { /* its parent was not closing it */
        use_all(stage);
        let_go(stage);
        for (uint32_t i = 0; i < 2; i++)
            misuse(stage, stage->held[i]);
        if (dies) {
            crash_loan(stage, 35);
            return;
        }
    }
    stage_close(stage);
    let_go(stage);
}
