/* SPDX-License-Identifier: MIT */
/* A request with a reply in its own slot, as a round trip. Side 0 asks. */
#include <stdlib.h>
#include <tensoring/tensoring.h>

#include "transports/transport.h"

#define SPIN_NS INT64_C(1000000000)
#define SLOTS   64

struct service {
    tr_arena *arena;
    tr_queue *queue;
    int64_t shape[1];
    tr_tensor_spec spec;
};

static void must(int err, const char *what)
{
    if (err)
        die("%s: %s: %s", what, tr_strerror(err), tr_error_detail());
}

static int service_open(size_t bytes, void **state)
{
    struct service *s = calloc(1, sizeof *s);
    const tr_slot_class class = {bytes, SLOTS};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;

    if (!s)
        die("no memory");
    options.flags = TR_ARENA_POPULATE;
    options.classes = &class;
    options.class_count = 1;
    must(tr_arena_create(NULL, &options, &s->arena), "tr_arena_create");
    must(tr_queue_open(s->arena, "service", NULL, &s->queue), "tr_queue_open");
    s->shape[0] = (int64_t)bytes;
    s->spec = (tr_tensor_spec){
        .dtype = {TR_DTYPE_UINT, 8, 1}, .ndim = 1, .shape = s->shape};
    *state = s;
    return 0;
}

static void service_close(void *state)
{
    struct service *s = state;

    tr_queue_close(s->queue);
    tr_arena_close(s->arena);
    free(s);
}

static void service_configure(struct end *end)
{
    struct service *s = end->state;

    tr_arena_set_spin(s->arena, end->mode == MODE_SPIN ? SPIN_NS : 0);
}

static void ask(struct end *end)
{
    struct service *s = end->state;
    tr_message *message, *reply;

    end_produce(end);
    must(tr_message_loan(s->arena, &s->spec, 1, TR_FOREVER, &message), "tr_message_loan");
    if (end->touch != TOUCH_NONE)
        must(tr_tensor_fill(tr_message_tensor(message, 0), end->out, NULL), "fill");
    must(tr_request_call(s->queue, message, TR_FOREVER, &reply), "tr_request_call");
    end_consume(end, tr_message_tensor(reply, 0)->data);
    tr_message_release(reply);
}

static void answer(struct end *end)
{
    struct service *s = end->state;
    tr_message *request;

    must(tr_queue_receive(s->queue, TR_FOREVER, &request), "tr_queue_receive");
    end_consume(end, tr_message_tensor(request, 0)->data);
    end_produce(end);
    if (end->touch != TOUCH_NONE)
        must(tr_tensor_fill(tr_message_tensor(request, 0), end->out, NULL), "fill");
    must(tr_request_reply(request, NULL), "tr_request_reply");
}

static void service_pingpong(struct end *end, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        if (end->side == 0)
            ask(end);
        else
            answer(end);
    }
}

const struct transport transport_request = {
    .name = "request",
    .comparison = "request",
    .modes = MODE_SPIN | MODE_BLOCK,
    .open = service_open,
    .configure = service_configure,
    .pingpong = service_pingpong,
    .close = service_close,
};
