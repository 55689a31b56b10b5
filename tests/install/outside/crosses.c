/* SPDX-License-Identifier: MIT */
/* One message goes from an arena to another one, over loopback, by the bridge that PATH has. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <tensoring/tensoring.h>

#define LONGEST INT64_C(60000000000)

struct side {
    char name[64];
    tr_arena *arena;
    tr_queue *queue;
    tr_bridge *bridge;
};

static struct side here, there;

static void check(int result)
{
    if (result == 0)
        return;
    fprintf(stderr, "%s\n", tr_error_detail());
    exit(1);
}

static void open_side(struct side *side, const char *name)
{
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_queue_options queue = TR_QUEUE_OPTIONS_INIT;
    tr_slot_class class = {8192, 64};

    snprintf(side->name, sizeof(side->name), "%s.%d", name, (int)getpid());
    options.classes = &class;
    options.class_count = 1;
    queue.max_deliveries = 255;
    check(tr_arena_create(side->name, &options, &side->arena));
    check(tr_queue_open(side->arena, "jobs", &queue, &side->queue));
}

static void close_side(struct side *side)
{
    tr_bridge_close(side->bridge);
    tr_queue_close(side->queue);
    tr_arena_close(side->arena);
    if (*side->name && tr_arena_unlink(side->name))
        fprintf(stderr, "%s\n", tr_error_detail());
}

static void close_all(void)
{
    close_side(&here);
    close_side(&there);
}

static void start(struct side *side, const char *peer, tr_bridge_direction direction)
{
    tr_bridge_options options = TR_BRIDGE_OPTIONS_INIT;

    options.flags = TR_BRIDGE_PLAIN_TRUST_NETWORK;
    options.peer = peer;
    options.bind = peer ? NULL : "127.0.0.1:0";
    check(tr_bridge_start(side->arena, &options, &side->bridge));
    check(tr_bridge_queue(side->bridge, "jobs", direction, 0));
}

static tr_bridge_status status(const struct side *side)
{
    tr_bridge_status status = TR_BRIDGE_STATUS_INIT;

    check(tr_bridge_status_read(side->bridge, &status));
    return status;
}

static void send_one(int64_t value)
{
    const int64_t shape[] = {1};
    const tr_tensor_spec spec = {
        .dtype = {TR_DTYPE_INT, 64, 1}, .ndim = 1, .shape = shape};
    tr_message *message;

    check(tr_message_loan(here.arena, &spec, 1, LONGEST, &message));
    *(int64_t *)tr_message_tensor(message, 0)->data = value;
    check(tr_queue_send(here.queue, message, LONGEST));
}

static int64_t receive_one(void)
{
    tr_message *message;
    int64_t value;

    check(tr_queue_receive(there.queue, LONGEST, &message));
    value = *(const int64_t *)tr_message_tensor(message, 0)->data;
    check(tr_message_release(message));
    return value;
}

int main(void)
{
    atexit(close_all);
    open_side(&here, "here");
    open_side(&there, "there");
    start(&there, NULL, TR_BRIDGE_IN);
    while (!*status(&there).endpoint)
        sched_yield();
    start(&here, status(&there).endpoint, TR_BRIDGE_OUT);
    check(tr_bridge_wait(here.bridge, TR_BRIDGE_CONNECTED, LONGEST));
    send_one(42);
    return receive_one() == 42 ? 0 : 1;
}
