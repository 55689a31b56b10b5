/* SPDX-License-Identifier: MIT */
/* tensoring itself, twice: with one copy in from private memory, and filled in place. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tensoring/tensoring.h>

#include "transports/payload.h"
#include "transports/transport.h"

#define SPIN_NS    INT64_C(1000000000)
#define POOL_BYTES ((size_t)64 << 20) /* of slots, but never fewer than 4 */
#define CAPACITY   256u               /* the library's default */

struct ours {
    tr_arena *arena;
    tr_queue *queue[2]; /* [side]: that side sends here */
    int64_t shape[1];
    tr_tensor_spec spec;
};

static void must(int err, const char *what)
{
    if (err)
        die("%s: %s: %s", what, tr_strerror(err), tr_error_detail());
}

static int ours_open(size_t bytes, void **state)
{
    struct ours *o = calloc(1, sizeof *o);
    uint64_t slots = POOL_BYTES / (bytes ? bytes : 1);

    if (!o)
        die("no memory");
    slots = slots < 4 ? 4 : slots > 2 * CAPACITY ? 2 * CAPACITY : slots;
    const tr_slot_class class = {bytes, slots};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    options.flags = TR_ARENA_POPULATE;
    options.classes = &class;
    options.class_count = 1;
    const int err = tr_arena_create(NULL, &options, &o->arena);
    if (err) { /* too large for this machine */
        fprintf(stderr, "tensoring-bench: %s\n", tr_error_detail());
        free(o);
        return err;
    }

    tr_queue_options queue = TR_QUEUE_OPTIONS_INIT;
    queue.capacity = CAPACITY;
    must(tr_queue_open(o->arena, "there", &queue, &o->queue[0]), "tr_queue_open");
    must(tr_queue_open(o->arena, "back", &queue, &o->queue[1]), "tr_queue_open");

    o->shape[0] = (int64_t)bytes;
    o->spec = (tr_tensor_spec){
        .dtype = {TR_DTYPE_UINT, 8, 1}, .ndim = 1, .shape = o->shape};
    *state = o;
    return 0;
}

static void ours_close(void *state)
{
    struct ours *o = state;

    tr_queue_close(o->queue[0]);
    tr_queue_close(o->queue[1]);
    tr_arena_close(o->arena);
    free(o);
}

static void ours_configure(struct end *end)
{
    struct ours *o = end->state;

    /* Four processes on two processors: let the library decide when to sleep. */
    const int64_t spin = end->oversubscribed ? -1 : SPIN_NS;
    tr_arena_set_spin(o->arena, end->mode == MODE_SPIN ? spin : 0);
}

static void copy_send(struct end *end)
{
    struct ours *o = end->state;
    tr_message *message;

    end_produce(end);
    must(tr_message_loan(o->arena, &o->spec, 1, TR_FOREVER, &message), "tr_message_loan");
    if (end->touch != TOUCH_NONE)
        must(tr_tensor_fill(tr_message_tensor(message, 0), end->out, NULL),
             "tr_tensor_fill");
    must(tr_queue_send(o->queue[end->side], message, TR_FOREVER), "tr_queue_send");
}

static void loan_send(struct end *end)
{
    struct ours *o = end->state;
    tr_message *message;

    must(tr_message_loan(o->arena, &o->spec, 1, TR_FOREVER, &message), "tr_message_loan");
    if (end->touch != TOUCH_NONE)
        payload_fill(tr_message_tensor(message, 0)->data, end->bytes, end->sent++);
    must(tr_queue_send(o->queue[end->side], message, TR_FOREVER), "tr_queue_send");
}

static void ours_receive(struct end *end)
{
    struct ours *o = end->state;
    tr_message *message;

    must(tr_queue_receive(o->queue[1 - end->side], TR_FOREVER, &message),
         "tr_queue_receive");
    end_consume(end, tr_message_tensor(message, 0)->data);
    tr_message_release(message);
}

#define OURS(its_name, its_send)                                                       \
    {                                                                                  \
        .name = (its_name), .comparison = "ours", .modes = MODE_SPIN | MODE_BLOCK,     \
        .streams = true, .many = true, .open = ours_open, .configure = ours_configure, \
        .send = (its_send), .receive = ours_receive, .close = ours_close               \
    }

const struct transport transport_ours = OURS("ours", copy_send);
const struct transport transport_ours_loan = OURS("ours-loan", loan_send);
