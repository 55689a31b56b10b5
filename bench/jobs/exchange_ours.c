/* SPDX-License-Identifier: MIT */
/* The job over tensoring: one queue of questions that all workers take from, one queue of
 * answers. The images lie in the slot; nobody copies them out. */
#include <stdlib.h>
#include <string.h>
#include <tensoring/tensoring.h>

#include "jobs/exchange.h"
#include "transports/transport.h"

struct ours {
    tr_arena *arena;
    tr_queue *questions;
    tr_queue *answers;
};

static void must(int err, const char *what)
{
    if (err)
        die("%s: %s: %s", what, tr_strerror(err), tr_error_detail());
}

static void *ours_open(void)
{
    struct ours *o = malloc(sizeof *o);
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;

    if (!o)
        die("no memory");
    const tr_slot_class class = {4096, 256};
    options.flags = TR_ARENA_POPULATE;
    options.classes = &class;
    options.class_count = 1;
    options.spin_ns = 0; /* as the others: asleep while there is nothing */
    must(tr_arena_create(NULL, &options, &o->arena), "tr_arena_create");
    must(tr_queue_open(o->arena, "questions", NULL, &o->questions), "tr_queue_open");
    must(tr_queue_open(o->arena, "answers", NULL, &o->answers), "tr_queue_open");
    return o;
}

static void ours_serve(void *state, unsigned worker,
                       void (*work)(const struct question *, struct answer *))
{
    struct ours *o = state;
    tr_message *question, *answer;
    int err;

    (void)worker;
    while ((err = tr_queue_receive(o->questions, TR_FOREVER, &question)) == 0) {
        must(tr_message_loan_bytes(o->arena, sizeof(struct answer), TR_FOREVER, &answer),
             "tr_message_loan_bytes");
        work(tr_message_tensor(question, 0)->data, tr_message_tensor(answer, 0)->data);
        tr_message_release(question);
        must(tr_queue_send(o->answers, answer, TR_FOREVER), "tr_queue_send");
    }
    if (err != TR_ECLOSED)
        must(err, "tr_queue_receive");
}

static void ours_ask(void *state, unsigned worker, const struct question *question)
{
    struct ours *o = state;
    tr_message *message;

    (void)worker;
    must(tr_message_loan_bytes(o->arena, sizeof *question, TR_FOREVER, &message),
         "tr_message_loan_bytes");
    memcpy(tr_message_tensor(message, 0)->data, question,
           offsetof(struct question, image) + question->count * DIGITS_PIXELS);
    must(tr_queue_send(o->questions, message, TR_FOREVER), "tr_queue_send");
}

static unsigned ours_collect(void *state, struct answer *answer)
{
    struct ours *o = state;
    tr_message *message;

    must(tr_queue_receive(o->answers, TR_FOREVER, &message), "tr_queue_receive");
    memcpy(answer, tr_message_tensor(message, 0)->data, sizeof *answer);
    tr_message_release(message);
    return 0; /* an idle worker takes the next question */
}

static void ours_finish(void *state)
{
    struct ours *o = state;

    tr_queue_shutdown(o->questions);
}

static void ours_close(void *state)
{
    struct ours *o = state;

    tr_queue_close(o->questions);
    tr_queue_close(o->answers);
    tr_arena_close(o->arena);
    free(o);
}

const struct exchange exchange_ours = {
    .name = "ours",
    .open = ours_open,
    .serve = ours_serve,
    .ask = ours_ask,
    .collect = ours_collect,
    .finish = ours_finish,
    .close = ours_close,
};
