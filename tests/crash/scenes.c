/* SPDX-License-Identifier: MIT */
#include "tests/crash/scenes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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

    must("loan", tr_loan_bytes(stage->arena, BYTES, TR_NOWAIT, &message));
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

static void act_wait(struct stage *stage)
{
    int code = tr_queue_receive(stage->second, INT64_C(1000000), &stage->held[0]);

    if (code != TR_ETIMEDOUT)
        crash_fail("receive from an empty queue", code);
}

static void act_release(struct stage *stage)
{
    tr_release(stage->held[0]);
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
    tr_arena_info info = {.struct_size = sizeof(info)};
    tr_arena *again;

    must("info", tr_arena_info_read(stage->arena, &info));
    must("attach", tr_arena_attach_fd(&again, info.fd));
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
    must("subscribe", tr_subscribe(stage->broadcast, &options, &subscription));
    must("receive", tr_subscription_receive(subscription, TR_NOWAIT, &message));
    crash_inspect(message);
    tr_release(message);
    tr_unsubscribe(subscription);
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
    tr_release(message);
}

static void act_delete(struct stage *stage)
{
    must("delete", tr_board_delete(stage->board, "key", TR_ANY_VERSION));
}

/* Nobody serves: given up in the end. */
static void act_ask(struct stage *stage)
{
    tr_message *reply;
    int code = tr_request(stage->first, stage->held[0], INT64_C(1000000), &reply);

    if (code != TR_ETIMEDOUT)
        crash_fail("ask in vain", code);
}

static void ask_first(struct stage *stage)
{
    uint64_t ticket;

    must("ask",
         tr_request_async(stage->first, crash_loan(stage, 6), TR_FOREVER, &ticket));
}

static void act_reply(struct stage *stage)
{
    must("reply", tr_reply(stage->held[0], NULL));
}

static void act_reply_error(struct stage *stage)
{
    must("reply", tr_reply_error(stage->held[0], 5, "no"));
}

static void act_let_go(struct stage *stage)
{
    tr_release(stage->held[0]);
}

const struct scene scenes[] = {
    {"loan", NULL, NULL, act_loan, 0, 0, 0, 0, 0, false, false},
    {"send", NULL, hold_loan, act_send, 0, 1, 1, 0, 0, false, false},
    {"receive", fill_first, NULL, act_receive, 1, 1, 1, 0, 0, false, false},
    {"receive in vain", NULL, NULL, act_wait, 0, 0, 0, 0, 0, false, false},
    {"release", fill_first, hold_received, act_release, 0, 1, 0, 0, 0, false, false},
    {"forward", fill_first, hold_received, act_forward, 1, 1, 1, 0, 0, false, false},
    {"forward in vain", fill_both, hold_received, act_forward_full, 3, 3, 3, 0, 0, false,
     false},
    {"open", NULL, NULL, act_open, 0, 0, 0, 0, 0, false, false},
    {"open and shut down", NULL, NULL, act_shutdown, 0, 0, 0, 0, 0, false, false},
    {"close", fill_first, hold_both, act_close, 1, 1, 1, 0, 0, true, false},
    {"attach and leave", NULL, NULL, act_attach, 0, 0, 0, 0, 0, true, false},
    {"reap", leave_a_corpse, NULL, act_reap, 1, 1, 1, 1, 1, true, false},
    {"publish", NULL, hold_loan, act_publish, 0, 0, 0, 0, 1, false, false},
    {"subscribe and receive", publish_one, NULL, act_subscribe, 0, 0, 0, 1, 1, false,
     false},
    {"put", put_one, hold_loan, act_put, 0, 0, 0, 0, 0, false, false},
    {"get", put_one, NULL, act_get, 0, 0, 0, 0, 0, false, false},
    {"delete", put_one, NULL, act_delete, 0, 0, 0, 0, 0, false, false},
    {"ask in vain", NULL, hold_loan, act_ask, 0, 1, 0, 0, 0, false, false},
    {"reply", ask_first, hold_received, act_reply, 0, 1, 0, 0, 0, false, true},
    {"reply an error", ask_first, hold_received, act_reply_error, 0, 1, 0, 0, 0, false,
     true},
    {"let go of a request", ask_first, hold_received, act_let_go, 0, 1, 0, 0, 0, false,
     true},
};
const uint32_t scene_count = sizeof(scenes) / sizeof(scenes[0]);
