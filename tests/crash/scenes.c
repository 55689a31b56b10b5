/* SPDX-License-Identifier: MIT */
#include "tests/crash/scenes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/exchange/budget.h"
#include "ipc/exchange/slot.h"
#include "src/arena/arena.h"
#include "tests/unit/records_bytes.h"

#define BYTES 192

_Noreturn void crash_fail(const char *what, int code)
{
    fprintf(stderr, "%s: %s: %s\n", what, code ? tr_error_name(code) : "not so",
            tr_error_detail());
    _exit(1);
}

static void must(const char *what, int code)
{
    if (code)
        crash_fail(what, code);
}

tr_message *crash_loan(struct stage *stage, uint32_t number)
{
    tr_message *message;

    must("loan", tr_message_loan_bytes(stage->arena, BYTES, TR_NOWAIT, &message));
    memset(tr_message_tensor(message, 0)->data, (int)number, BYTES);
    return message;
}

void crash_inspect(const tr_message *message)
{
    const tr_tensor *tensor = tr_message_tensor(message, 0);
    const uint8_t *bytes = tensor->data;

    for (size_t i = 0; i < BYTES; i++)
        if (tensor->nbytes != BYTES || bytes[i] != bytes[0] || bytes[0] == 0)
            crash_fail("a torn message", 0);
}

static void fill_first(struct stage *stage)
{
    must("send", tr_queue_send(stage->first, crash_loan(stage, 1), TR_NOWAIT));
}

static void fill_both(struct stage *stage)
{
    fill_first(stage);
    for (uint32_t i = 0; i < CRASH_CAPACITY; i++)
        must("send", tr_queue_send(stage->second, crash_loan(stage, 2 + i), TR_NOWAIT));
}

static void hold_loan(struct stage *stage)
{
    stage->held[0] = crash_loan(stage, 7);
}

static void hold_received(struct stage *stage)
{
    must("receive", tr_queue_receive(stage->first, TR_NOWAIT, &stage->held[0]));
}

static void hold_both(struct stage *stage)
{
    hold_received(stage);
    stage->held[1] = crash_loan(stage, 8);
}

static void act_loan(struct stage *stage)
{
    crash_loan(stage, 9);
}

static void act_send(struct stage *stage)
{
    must("send", tr_queue_send(stage->first, stage->held[0], TR_NOWAIT));
}

static void act_forward(struct stage *stage)
{
    must("forward", tr_queue_send(stage->second, stage->held[0], TR_NOWAIT));
}

static void act_forward_full(struct stage *stage)
{
    int code = tr_queue_send(stage->second, stage->held[0], INT64_C(1000000));

    if (code != TR_ETIMEDOUT)
        crash_fail("forward to a full queue", code);
}

static void act_receive(struct stage *stage)
{
    must("receive", tr_queue_receive(stage->first, TR_NOWAIT, &stage->held[0]));
}

static void act_trim(struct stage *stage)
{
    must("trim", tr_arena_trim(stage->arena, NULL));
}

static void leave_memory(struct stage *stage)
{
    tr_message_release(crash_loan(stage, 3));
}

/* All memory is known to somebody; free slots give it back, retired ones of board or broadcast
 * need not. */
static void memory_is_known(struct stage *stage)
{
    const struct view *view = &arena_known(stage->arena)->view;
    tr_arena_info info = TR_ARENA_INFO_INIT;
    const struct live *live = view_live(view);
    struct budget_use use = budget_use(view);
    uint64_t known;

    if (shm_get(&live->reserved_bytes) != use.reserved ||
        shm_get(&live->warm_bytes) != use.warm)
        crash_fail("the counters are right", 0);
    tr_message_release(crash_loan(stage, 3)); /* finds what was reserved for records */
    must("trim", tr_arena_trim(stage->arena, NULL));
    must("info", tr_arena_info_get(stage->arena, &info));
    known = tables_bytes(view);
    for (uint32_t i = records_from(view, 0); i < view->geo.slot_count;
         i = records_from(view, i + 1)) {
        const struct slot_record *record = view_record(view, i);
        uint64_t bytes = MEMORY_PAGES(shm_get(&record->memory)) * ARENA_PAGE;

        if (bytes && SLOT_STATE(shm_get(&record->owner)) == SLOT_FREE)
            crash_fail("a free slot has no memory", 0);
        known += bytes;
    }
    if (info.resident_bytes != known)
        crash_fail("all memory is known", 0);
}

static void act_wait(struct stage *stage)
{
    int code = tr_queue_receive(stage->second, INT64_C(1000000), &stage->held[0]);

    if (code != TR_ETIMEDOUT)
        crash_fail("receive from an empty queue", code);
}

static void act_wait_set(struct stage *stage)
{
    tr_waitset *set = stage->set;
    tr_event event;
    size_t n;
    int code;

    if (!set) {
        must("open", tr_waitset_open(stage->arena, &set));
        must("add", tr_waitset_add_queue(set, stage->spare, TR_WAIT_READABLE, 1));
    }
    code = tr_waitset_wait(set, &event, 1, INT64_C(1000000), &n);
    if (code != TR_ETIMEDOUT)
        crash_fail("wait for an empty queue", code);
    if (!stage->set)
        tr_waitset_close(set);
}

static void act_release(struct stage *stage)
{
    tr_message_release(stage->held[0]);
}

static void act_shutdown(struct stage *stage)
{
    tr_queue *queue;

    must("open", tr_queue_open(stage->arena, "third", NULL, &queue));
    tr_queue_shutdown(queue);
}

static void act_open(struct stage *stage)
{
    tr_queue *queue;

    must("open", tr_queue_open(stage->arena, "fourth", NULL, &queue));
}

static void act_close(struct stage *stage)
{
    tr_arena_close(stage->arena);
}

static void act_attach(struct stage *stage)
{
    tr_arena_info info = TR_ARENA_INFO_INIT;
    tr_arena *again;

    must("info", tr_arena_info_get(stage->arena, &info));
    must("attach", tr_arena_attach_fd(info.fd, &again));
    tr_arena_close(again);
}

/* Another one died with a loan and a received message: this one reaps. */
static void leave_a_corpse(struct stage *stage)
{
    pid_t pid;

    fill_first(stage);
    pid = fork();
    if (pid == 0) {
        hold_both(stage);
        must("publish",
             tr_broadcast_publish(stage->broadcast, crash_loan(stage, 3), TR_NOWAIT));
        _exit(0);
    }
    if (waitpid(pid, NULL, 0) != pid)
        crash_fail("wait", 0);
}

static void act_reap(struct stage *stage)
{
    must("reap", tr_arena_reap(stage->arena, NULL));
}

static void act_publish(struct stage *stage)
{
    must("publish", tr_broadcast_publish(stage->broadcast, stage->held[0], TR_NOWAIT));
}

static void publish_one(struct stage *stage)
{
    must("publish",
         tr_broadcast_publish(stage->broadcast, crash_loan(stage, 4), TR_NOWAIT));
}

static void act_subscribe(struct stage *stage)
{
    tr_subscription_options options = TR_SUBSCRIPTION_OPTIONS_INIT;
    tr_subscription *subscription;
    tr_message *message;

    options.last = 1;
    must("subscribe", tr_subscription_open(stage->broadcast, &options, &subscription));
    must("receive", tr_subscription_receive(subscription, TR_NOWAIT, &message));
    crash_inspect(message);
    tr_message_release(message);
    tr_subscription_close(subscription);
}

static void put_one(struct stage *stage)
{
    must("put", tr_board_put(stage->board, "key", crash_loan(stage, 5), NULL));
}

static void act_put(struct stage *stage)
{
    must("put", tr_board_put(stage->board, "key", stage->held[0], NULL));
}

static void act_get(struct stage *stage)
{
    tr_message *message;

    must("get", tr_board_get(stage->board, "key", &message, NULL));
    crash_inspect(message);
    tr_message_release(message);
}

static void act_delete(struct stage *stage)
{
    must("delete", tr_board_delete(stage->board, "key", TR_BOARD_ANY_VERSION));
}

/* Nobody serves: given up in the end. */
static void act_ask(struct stage *stage)
{
    tr_message *reply;
    int code = tr_request_call(stage->first, stage->held[0], INT64_C(1000000), &reply);

    if (code != TR_ETIMEDOUT)
        crash_fail("ask in vain", code);
}

static void ask_first(struct stage *stage)
{
    uint64_t ticket;

    must("ask", tr_request_send(stage->first, crash_loan(stage, 6), TR_FOREVER,
                                TR_FOREVER, 0, &ticket));
}

static void act_reply(struct stage *stage)
{
    must("reply", tr_request_reply(stage->held[0], NULL));
}

static void act_reply_error(struct stage *stage)
{
    must("reply", tr_request_fail(stage->held[0], 5, "no"));
}

static void act_let_go(struct stage *stage)
{
    tr_message_release(stage->held[0]);
}

/* What the survivor has when it forks: a received message, a loan, a value of the board. */
static void keep_all(struct stage *stage)
{
    fill_first(stage);
    must("receive", tr_queue_receive(stage->first, TR_NOWAIT, &stage->kept[0]));
    stage->kept[1] = crash_loan(stage, 10);
    must("put", tr_board_put(stage->board, "key", crash_loan(stage, 11), NULL));
    must("get", tr_board_get(stage->board, "key", &stage->kept[2], NULL));
}

/* The child joins; it gets a value of its own by the board, and releases what is not its own. */
static void act_inherit(struct stage *stage)
{
    tr_message *own;

    must("get", tr_board_get(stage->board, "key", &own, NULL));
    for (uint32_t i = 0; i < 3; i++)
        if (tr_message_release(stage->kept[i]) == 0)
            crash_fail("released what is the parent's", 0);
    crash_inspect(own);
    must("release", tr_message_release(own));
}

static void act_fork(struct stage *stage)
{
    pid_t pid = fork();

    if (pid == 0) {
        for (uint32_t i = 0; i < 2; i++)
            if (tr_message_release(stage->held[i]) == 0)
                crash_fail("released what is the parent's", 0);
        must("release", tr_message_release(crash_loan(stage, 12)));
        tr_arena_close(stage->arena);
        _exit(0);
    }
    if (waitpid(pid, NULL, 0) != pid)
        crash_fail("wait", 0);
    for (uint32_t i = 0; i < 2; i++) {
        crash_inspect(stage->held[i]);
        must("release", tr_message_release(stage->held[i]));
    }
}

/* A queue that drops what its dead receivers held. */
static void open_dropping(struct stage *stage)
{
    tr_queue_options options = TR_QUEUE_OPTIONS_INIT;

    options.capacity = CRASH_CAPACITY;
    options.policy = TR_QUEUE_DROP;
    options.max_deliveries = 1;
    must("open", tr_queue_open(stage->arena, "third", &options, &stage->third));
    fill_first(stage);
}

static void fill_dropping(struct stage *stage)
{
    open_dropping(stage);
    for (uint32_t i = 0; i < CRASH_CAPACITY; i++)
        must("send", tr_queue_send(stage->third, crash_loan(stage, 13 + i), TR_NOWAIT));
}

static void act_forward_dropping(struct stage *stage)
{
    must("forward", tr_queue_send(stage->third, stage->held[0], TR_NOWAIT));
}

static void act_forward_dropping_full(struct stage *stage)
{
    if (tr_queue_send(stage->third, stage->held[0], TR_NOWAIT) != TR_EAGAIN)
        crash_fail("forward to a full queue", 0);
}

static void open_third(struct stage *stage)
{
    must("open", tr_queue_open(stage->arena, "third", NULL, &stage->third));
    must("send", tr_queue_send(stage->third, crash_loan(stage, 15), TR_NOWAIT));
}

static void shut_third(struct stage *stage)
{
    open_third(stage);
    tr_queue_shutdown(stage->third);
}

static void act_shut(struct stage *stage)
{
    tr_queue_shutdown(stage->third);
}

/* To the end, of which it is told. */
static void act_receive_end(struct stage *stage)
{
    must("receive", tr_queue_receive(stage->third, TR_NOWAIT, &stage->held[0]));
    must("release", tr_message_release(stage->held[0]));
    if (tr_queue_receive(stage->third, TR_NOWAIT, &stage->held[0]) != TR_ECLOSED)
        crash_fail("the end of a queue", 0);
}

static void act_send_closed(struct stage *stage)
{
    if (tr_queue_send(stage->third, stage->held[0], TR_NOWAIT) != TR_ECLOSED)
        crash_fail("send to a closed queue", 0);
}

/* Whatever there was has been drained: it is closed, or can be. */
static void is_closed(struct stage *stage)
{
    tr_message *message = crash_loan(stage, 16), *none;
    int code = tr_queue_send(stage->third, message, TR_NOWAIT);

    if (code == 0) {
        must("receive", tr_queue_receive(stage->third, TR_NOWAIT, &none));
        must("release", tr_message_release(none));
        tr_queue_shutdown(stage->third);
        message = crash_loan(stage, 17);
        code = tr_queue_send(stage->third, message, TR_NOWAIT);
    }
    if (code != TR_ECLOSED)
        crash_fail("send to a closed queue", code);
    must("release", tr_message_release(message));
    code = tr_queue_receive(stage->third, TR_NOWAIT, &none);
    if (code != TR_ECLOSED)
        crash_fail("receive from a closed queue", code);
}

const struct scene scenes[] = {
    {.name = "loan", .act = act_loan},
    {.name = "elastic loan",
     .flags = TR_ARENA_ELASTIC,
     .act = act_loan,
     .after = memory_is_known},
    {.name = "elastic trim",
     .flags = TR_ARENA_ELASTIC,
     .prepare = leave_memory,
     .act = act_trim,
     .after = memory_is_known},
    {.name = "elastic release",
     .flags = TR_ARENA_ELASTIC,
     .warm = 1,
     .prepare = fill_first,
     .enter = hold_received,
     .act = act_release,
     .most = 1,
     .after = memory_is_known},
    {.name = "send", .enter = hold_loan, .act = act_send, .most = 1, .done = 1},
    {.name = "receive",
     .prepare = fill_first,
     .act = act_receive,
     .least = 1,
     .most = 1,
     .done = 1},
    {.name = "receive in vain", .act = act_wait},
    {.name = "wait set in vain", .act = act_wait_set},
    {.name = "release",
     .prepare = fill_first,
     .enter = hold_received,
     .act = act_release,
     .most = 1},
    {.name = "forward",
     .prepare = fill_first,
     .enter = hold_received,
     .act = act_forward,
     .least = 1,
     .most = 1,
     .done = 1},
    {.name = "forward in vain",
     .prepare = fill_both,
     .enter = hold_received,
     .act = act_forward_full,
     .least = 3,
     .most = 3,
     .done = 3},
    {.name = "open", .act = act_open},
    {.name = "open and shut down", .act = act_shutdown},
    {.name = "close",
     .prepare = fill_first,
     .enter = hold_both,
     .act = act_close,
     .least = 1,
     .most = 1,
     .done = 1,
     .gives = true},
    {.name = "attach and leave", .act = act_attach, .gives = true},
    {.name = "reap",
     .prepare = leave_a_corpse,
     .act = act_reap,
     .least = 1,
     .most = 1,
     .done = 1,
     .heard_least = 1,
     .heard_most = 1,
     .gives = true},
    {.name = "publish", .enter = hold_loan, .act = act_publish, .heard_most = 1},
    {.name = "subscribe and receive",
     .prepare = publish_one,
     .act = act_subscribe,
     .heard_least = 1,
     .heard_most = 1},
    {.name = "put", .prepare = put_one, .enter = hold_loan, .act = act_put},
    {.name = "get", .prepare = put_one, .act = act_get},
    {.name = "delete", .prepare = put_one, .act = act_delete},
    {.name = "ask in vain", .enter = hold_loan, .act = act_ask, .most = 1},
    {.name = "reply",
     .prepare = ask_first,
     .enter = hold_received,
     .act = act_reply,
     .most = 1,
     .asked = true},
    {.name = "reply an error",
     .prepare = ask_first,
     .enter = hold_received,
     .act = act_reply_error,
     .most = 1,
     .asked = true},
    {.name = "let go of a request",
     .prepare = ask_first,
     .enter = hold_received,
     .act = act_let_go,
     .most = 1,
     .asked = true},
    {.name = "join with what the parent has", .prepare = keep_all, .act = act_inherit},
    {.name = "fork with messages in hand",
     .prepare = fill_first,
     .enter = hold_both,
     .act = act_fork,
     .most = 1,
     .forks = true},
    {.name = "forward to a queue that drops",
     .prepare = open_dropping,
     .enter = hold_received,
     .act = act_forward_dropping,
     .least = 1,
     .most = 1,
     .done = 1},
    {.name = "forward to a full queue that drops",
     .prepare = fill_dropping,
     .enter = hold_received,
     .act = act_forward_dropping_full,
     .least = 3,
     .most = 3,
     .done = 3},
    {.name = "shut down with a message in it",
     .prepare = open_third,
     .act = act_shut,
     .least = 1,
     .most = 1,
     .done = 1,
     .after = is_closed},
    {.name = "receive to the end",
     .prepare = shut_third,
     .act = act_receive_end,
     .most = 1,
     .after = is_closed},
    {.name = "send to a closed queue",
     .prepare = shut_third,
     .enter = hold_loan,
     .act = act_send_closed,
     .least = 1,
     .most = 1,
     .done = 1,
     .after = is_closed},
};
const uint32_t scene_count = sizeof(scenes) / sizeof(scenes[0]);
