/* SPDX-License-Identifier: MIT */
/* request.c - a client or a server is killed before each step it takes in shared memory;
 * the other one gets exactly one end of each request, and nothing is left behind.
 *
 *   crash_request */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tensoring/tensoring.h>

#include "src/arena/arena.h"
#include "tests/crash/audit.h"

#define SLOTS  6
#define VALUE  7
#define ANSWER 77

struct stage {
    tr_arena *arena;
    tr_queue *queue;
    uint64_t ticket; /* the survivor's request, 0: it has none */
    tr_queue_policy policy;
};

struct scene {
    const char *name;
    void (*prepare)(struct stage *stage); /* the survivor */
    void (*act)(struct stage *stage);     /* the victim */
};

static uint32_t steps, fatal;

static void step(const char *site, const void *at, enum shm_kind kind)
{
    (void)site;
    (void)at;
    (void)kind;
    if (++steps == fatal)
        raise(SIGKILL);
}

static _Noreturn void fail(const char *what, int code)
{
    fprintf(stderr, "%s: %s: %s\n", what, code ? tr_error_name(code) : "not so",
            tr_error_detail());
    _exit(1);
}

static void must(const char *what, int code)
{
    if (code)
        fail(what, code);
}

static tr_message *loan(struct stage *stage, int value)
{
    tr_message *message;

    must("loan", tr_message_loan_bytes(stage->arena, 64, TR_NOWAIT, &message));
    memset(tr_message_tensor(message, 0)->data, value, 64);
    return message;
}

static int value_of(const tr_message *message)
{
    return *(const uint8_t *)tr_message_tensor(message, 0)->data;
}

static void ask(struct stage *stage)
{
    must("ask", tr_request_send(stage->queue, loan(stage, VALUE), INT64_C(1000000000),
                                INT64_C(1000000000), 0, &stage->ticket));
}

static void act_ask(struct stage *stage)
{
    tr_message *reply;

    ask(stage);
    if (tr_request_wait(stage->arena, stage->ticket, TR_NOWAIT, &reply) != TR_EAGAIN)
        fail("nobody has answered", 0);
    must("cancel", tr_request_cancel(stage->arena, stage->ticket));
}

static void act_answer_in_place(struct stage *stage)
{
    const int64_t n = 64;
    const tr_tensor_spec spec = {.dtype = {TR_DTYPE_UINT, 8, 1}, .ndim = 1, .shape = &n};
    tr_message *request;

    must("receive", tr_queue_receive(stage->queue, TR_NOWAIT, &request));
    must("reuse", tr_request_reuse(request, &spec, 1));
    memset(tr_message_tensor(request, 0)->data, ANSWER, 64);
    must("reply", tr_request_reply(request, NULL));
}

static void act_answer_anew(struct stage *stage)
{
    tr_message *request;

    must("receive", tr_queue_receive(stage->queue, TR_NOWAIT, &request));
    must("reply", tr_request_reply(request, loan(stage, ANSWER)));
}

static void act_forget(struct stage *stage)
{
    tr_message *request;

    must("receive", tr_queue_receive(stage->queue, TR_NOWAIT, &request));
    tr_message_release(request);
}

static void act_all(struct stage *stage)
{
    tr_message *reply;

    ask(stage);
    act_answer_in_place(stage);
    must("take", tr_request_wait(stage->arena, stage->ticket, TR_NOWAIT, &reply));
    tr_message_release(reply);
}

/* Answered, and nobody waits for it any more: before the answer, and after it. */
static void act_give_up(struct stage *stage)
{
    tr_message *request;

    ask(stage);
    act_answer_in_place(stage);
    must("cancel", tr_request_cancel(stage->arena, stage->ticket));
    ask(stage);
    must("receive", tr_queue_receive(stage->queue, TR_NOWAIT, &request));
    must("cancel", tr_request_cancel(stage->arena, stage->ticket));
    must("reply", tr_request_reply(request, loan(stage, ANSWER)));
}

/* A server has died with the survivor's request: the victim reaps it. */
static void ask_a_mortal(struct stage *stage)
{
    tr_message *request;
    pid_t pid;

    ask(stage);
    pid = fork();
    if (pid == 0) {
        must("receive", tr_queue_receive(stage->queue, TR_NOWAIT, &request));
        _exit(0);
    }
    if (waitpid(pid, NULL, 0) != pid)
        fail("wait", 0);
}

static void act_reap(struct stage *stage)
{
    must("reap", tr_arena_reap(stage->arena, NULL));
}

static const struct scene scenes[] = {
    {"ask", NULL, act_ask},
    {"answer in place", ask, act_answer_in_place},
    {"answer again", ask, act_answer_anew},
    {"forget", ask, act_forget},
    {"all of it", NULL, act_all},
    {"give up", NULL, act_give_up},
    {"reap a server", ask_a_mortal, act_reap},
};

static void set_up(struct stage *stage)
{
    static const tr_slot_class class = {64, SLOTS};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_queue_options queue = TR_QUEUE_OPTIONS_INIT;

    options.classes = &class;
    options.class_count = 1;
    options.max_participants = 8;
    options.max_channels = 8;
    options.pins = 2;
    options.spin_ns = 0;
    options.ring_bytes = 131072;
    queue.capacity = 2;
    queue.policy = stage->policy;
    must("create", tr_arena_create(NULL, &options, &stage->arena));
    must("open", tr_queue_open(stage->arena, "service", &queue, &stage->queue));
}

/* Whatever is in the queue is answered. */
static void serve(struct stage *stage)
{
    tr_message *request;

    while (tr_queue_receive(stage->queue, TR_NOWAIT, &request) == 0) {
        if (value_of(request) != VALUE)
            fail("a request that another server wrote into", 0);
        must("reply", tr_message_is_request(request)
                          ? tr_request_reply(request, loan(stage, ANSWER))
                          : 1);
    }
}

/* The survivor's request has one end. */
static void end_of(struct stage *stage)
{
    tr_message *reply;
    int code = tr_request_wait(stage->arena, stage->ticket, TR_NOWAIT, &reply);

    if (code == 0) {
        if (value_of(reply) != ANSWER)
            fail("the answer", 0);
        tr_message_release(reply);
    } else if (code != TR_EPEERDIED && code != TR_EREMOTE) {
        fail("the end of a request", code);
    }
    if (tr_request_wait(stage->arena, stage->ticket, TR_NOWAIT, &reply) != TR_EINVAL)
        fail("one end", 0);
}

static void inspect(struct stage *stage)
{
    struct audit found;
    uint64_t ticket;
    tr_message *reply;

    must("reap", tr_arena_reap(stage->arena, NULL));
    serve(stage);
    if (stage->ticket)
        end_of(stage);
    /* a second answer, by a server that died between its reply and its release */
    if (tr_request_next(stage->arena, TR_NOWAIT, &ticket, &reply) != TR_EAGAIN)
        fail("nothing else", 0);
    audit_arena(&arena_known(stage->arena)->view, &found);
    if (found.fault)
        fail(found.fault, 0);
    if (found.free != SLOTS || found.living != 1)
        fail("every slot is free", 0);
    stage->ticket = 0;
    ask(stage);
    serve(stage);
    end_of(stage);
}

/* Whether the operation has a step @p at. */
static bool try_point(const struct scene *scene, uint32_t at, tr_queue_policy policy)
{
    struct stage stage = {.policy = policy};
    int status;
    pid_t pid;

    set_up(&stage);
    if (scene->prepare)
        scene->prepare(&stage);
    pid = fork();
    if (pid == 0) {
        alarm(60);
        fatal = at;
        shm_step_hook = step;
        scene->act(&stage);
        shm_step_hook = NULL;
        _exit(0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        fail("fork", 0);
    if (!(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) &&
        !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
        fail("the operation itself", 0);
    inspect(&stage);
    tr_queue_close(stage.queue);
    tr_arena_close(stage.arena);
    return WIFSIGNALED(status);
}

int main(void)
{
    for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++)
        for (uint32_t policy = TR_QUEUE_REDELIVER; policy <= TR_QUEUE_DROP; policy++) {
            uint32_t at = 1;

            fprintf(stderr, "%s, policy %u:", scenes[i].name, policy);
            while (try_point(&scenes[i], at, (tr_queue_policy)policy))
                at++;
            fprintf(stderr, " %u steps\n", at - 1);
        }
    return 0;
}
