/* SPDX-License-Identifier: MIT */
/* worker.c - one of those who send, forward, receive, publish, listen, put and get, and who
 * may be killed or stopped anywhere in it. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/storm/storm.h"

#define PATIENCE INT64_C(50000000) /* ns; for room and slots */
#define GLANCE   INT64_C(1000000)  /* for messages: others may all be receivers, too */

static const char *const keys[] = {"one", "two", "three", "four"};
#define KEYS 4

struct worker {
    struct storm *storm;
    struct ledger *ledger;
    uint32_t self;
    uint64_t random;
    tr_subscription *subscription;
};

static bool stopping(const struct worker *worker)
{
    return atomic_load(&worker->ledger->stop) != 0;
}

/* What a call may answer in a storm. */
static void expect(struct worker *worker, const char *what, int code)
{
    if (code == 0 || code == TR_ETIMEDOUT || code == TR_EAGAIN)
        return;
    fprintf(stderr, "worker %u: %s: %s: %s\n", worker->self, what, tr_error_name(code),
            tr_error_detail());
    atomic_fetch_add(&worker->ledger->failed, 1);
    _exit(1);
}

static tr_message *write_message(struct worker *worker, uint64_t number)
{
    uint64_t bytes = 8 * (3 + storm_random(&worker->random) % 100);
    tr_message *message;
    int code;

    if (storm_random(&worker->random) % 32 == 0)
        bytes = 32768;
    code = tr_loan_bytes(worker->storm->arena, bytes, PATIENCE, &message);
    expect(worker, "loan", code);
    if (code)
        return NULL;
    proof_write(tr_message_tensor(message, 0)->data, bytes, number);
    return message;
}

static uint64_t read_message(struct worker *worker, const tr_message *message)
{
    const tr_tensor *tensor = tr_message_tensor(message, 0);
    uint64_t number = proof_read(tensor->data, tensor->nbytes);

    if (number == UINT64_MAX)
        atomic_fetch_add(&worker->ledger->torn, 1);
    return number;
}

static void send_one(struct worker *worker)
{
    uint32_t number = atomic_fetch_add(&worker->ledger->next, 1);
    tr_message *message;
    int code;

    if (number >= STORM_MESSAGES) {
        atomic_store(&worker->ledger->stop, 1);
        return;
    }
    message = write_message(worker, number);
    if (!message)
        return;
    atomic_store(&worker->ledger->entries[number].sent, 1);
    code = tr_queue_send(worker->storm->front, message, PATIENCE);
    expect(worker, "send", code);
    if (code == 0) {
        atomic_store(&worker->ledger->entries[number].sent, 2);
        return;
    }
    atomic_store(&worker->ledger->entries[number].sent, 0);
    tr_release(message);
}

static void forward_one(struct worker *worker)
{
    tr_message *message;
    int code = tr_queue_receive(worker->storm->front, GLANCE, &message);

    expect(worker, "receive", code);
    if (code)
        return;
    read_message(worker, message);
    while ((code = tr_queue_send(worker->storm->back, message, PATIENCE)) &&
           !stopping(worker))
        expect(worker, "forward", code);
    if (code) /* back where it was when we are gone */
        raise(SIGKILL);
}

static void receive_one(struct worker *worker)
{
    tr_message *message;
    int code = tr_queue_receive(worker->storm->back, GLANCE, &message);
    uint64_t number;

    expect(worker, "receive", code);
    if (code)
        return;
    number = read_message(worker, message);
    if (number < STORM_MESSAGES) {
        /* In this order: a death between the two excuses at most what has happened. */
        atomic_store(&worker->ledger->hand[worker->self], (uint32_t)number + 1);
        atomic_fetch_add(&worker->ledger->entries[number].taken, 1);
    }
    tr_release(message);
    atomic_store(&worker->ledger->hand[worker->self], 0);
}

static void publish_one(struct worker *worker)
{
    tr_message *message = write_message(worker, storm_random(&worker->random));
    int code;

    if (!message)
        return;
    code = tr_broadcast_publish(worker->storm->broadcast, message, PATIENCE);
    expect(worker, "publish", code);
    if (code)
        tr_release(message);
}

static void listen_once(struct worker *worker)
{
    tr_message *message;
    int code;

    if (!worker->subscription)
        expect(worker, "subscribe",
               tr_subscribe(worker->storm->broadcast, NULL, &worker->subscription));
    code = tr_subscription_receive(worker->subscription, GLANCE, &message);
    if (code == TR_ELAGGED)
        return;
    expect(worker, "listen", code);
    if (code)
        return;
    read_message(worker, message);
    atomic_fetch_add(&worker->ledger->heard, 1);
    tr_release(message);
}

static void use_board(struct worker *worker)
{
    const char *key = keys[storm_random(&worker->random) % KEYS];
    tr_message *message;
    int code;

    if (storm_random(&worker->random) % 4 == 0) {
        message = write_message(worker, storm_random(&worker->random));
        if (!message)
            return;
        code = tr_board_put(worker->storm->board, key, message, NULL);
        expect(worker, "put", code);
        if (code)
            tr_release(message);
        return;
    }
    code = tr_board_get(worker->storm->board, key, &message, NULL);
    if (code == TR_ENOENT)
        return;
    expect(worker, "get", code);
    if (code)
        return;
    read_message(worker, message);
    atomic_fetch_add(&worker->ledger->looked_up, 1);
    tr_release(message);
}

/* The reply must be to this request, whatever became of others. */
static void ask_one(struct worker *worker)
{
    uint64_t number = storm_random(&worker->random) >> 1;
    tr_message *message = write_message(worker, number), *reply;
    int code;

    if (!message)
        return;
    code = tr_request(worker->storm->service, message, PATIENCE, &reply);
    if (code == TR_EPEERDIED)
        return;
    expect(worker, "ask", code);
    if (code)
        return;
    if (read_message(worker, reply) != number)
        atomic_fetch_add(&worker->ledger->torn, 1);
    atomic_fetch_add(&worker->ledger->answered, 1);
    tr_release(reply);
}

static void serve_one(struct worker *worker)
{
    tr_message *request;
    int code = tr_queue_receive(worker->storm->service, GLANCE, &request);

    expect(worker, "receive", code);
    if (code)
        return;
    read_message(worker, request);
    code = tr_reply(request, NULL); /* itself */
    expect(worker, "reply", code);
    if (code)
        tr_release(request);
}

/* A child of a worker: joins by its first call, and may outlive its parent. */
static void have_a_child(struct worker *worker)
{
    pid_t pid = fork();

    if (pid == 0) {
        worker->subscription = NULL;
        for (int i = 0; i < 3; i++)
            send_one(worker);
        _exit(0);
    }
    if (pid > 0)
        waitpid(pid, NULL, 0);
}

int storm_open(struct storm *storm)
{
    tr_queue_options queue = TR_QUEUE_OPTIONS_INIT;
    tr_broadcast_options broadcast = TR_BROADCAST_OPTIONS_INIT;
    tr_board_options board = TR_BOARD_OPTIONS_INIT;
    int code;

    queue.capacity = 16;
    queue.max_deliveries = 255; /* so that nothing may be given up */
    broadcast.capacity = 7;
    board.capacity = 8;
    code = tr_queue_open(storm->arena, "front", &queue, &storm->front);
    if (code == 0)
        code = tr_queue_open(storm->arena, "back", &queue, &storm->back);
    if (code == 0)
        code = tr_queue_open(storm->arena, "service", &queue, &storm->service);
    if (code == 0)
        code = tr_broadcast_open(storm->arena, "news", &broadcast, &storm->broadcast);
    if (code == 0)
        code = tr_board_open(storm->arena, "board", &board, &storm->board);
    return code;
}

void storm_close(struct storm *storm)
{
    tr_board_close(storm->board);
    tr_broadcast_close(storm->broadcast);
    tr_queue_close(storm->service);
    tr_queue_close(storm->back);
    tr_queue_close(storm->front);
    tr_arena_close(storm->arena);
}

_Noreturn void storm_work(struct storm *storm, uint32_t self, uint64_t seed)
{
    struct worker worker = {
        .storm = storm, .ledger = storm->ledger, .self = self, .random = seed | 1};
    struct storm own = *storm;

    /* Some attach by name, as a stranger does; most use what they inherited. */
    if (storm_random(&worker.random) % 4 == 0) {
        expect(&worker, "attach", tr_arena_attach(&own.arena, storm->name));
        expect(&worker, "open", storm_open(&own));
        worker.storm = &own;
    }
    while (!stopping(&worker)) {
        uint64_t dice = storm_random(&worker.random) % 250;

        if (dice < 50)
            send_one(&worker);
        else if (dice < 108)
            forward_one(&worker);
        else if (dice < 170)
            receive_one(&worker);
        else if (dice < 178)
            publish_one(&worker);
        else if (dice < 186)
            listen_once(&worker);
        else if (dice < 199)
            use_board(&worker);
        else if (dice < 200)
            have_a_child(&worker);
        else if (dice < 222)
            ask_one(&worker);
        else
            serve_one(&worker);
    }
    _exit(0);
}
