/* SPDX-License-Identifier: MIT */
/* worker.c - a process that sends, forwards, receives, publishes, listens, puts and gets, and
 * may be killed or stopped anywhere in it. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/storm/storm.h"

#define PATIENCE INT64_C(50000000) /* ns; for room and slots */
#define GLANCE   INT64_C(1000000)  /* for messages: others may all be receivers, too */

static const char *const keys[] = {"one", "two", "three", "four"};
#define KEYS 4

bool worker_stopping(const struct worker *worker)
{
    return atomic_load(&worker->ledger->stop) != 0;
}

uint32_t worker_random(struct worker *worker, uint32_t below)
{
    return (uint32_t)(storm_random(&worker->random) % below);
}

struct worker worker_like(struct worker *worker)
{
    struct worker other = *worker;

    other.random = storm_random(&worker->random) ^ (uint64_t)storm_now() << 20;
    other.random |= 1;
    other.hand = atomic_fetch_add(&worker->ledger->next_hand, 1) % STORM_HANDS;
    other.subscription = NULL;
    other.set_lent = other.set != NULL;
    return other;
}

_Noreturn void worker_fail(struct worker *worker, const char *what)
{
    fprintf(stderr, "worker %u, process %d: %s: %s\n", worker->self, (int)getpid(), what,
            tr_error_detail());
    atomic_fetch_add(&worker->ledger->failed, 1);
    _exit(1);
}

void worker_expect(struct worker *worker, const char *what, int code)
{
    char text[128];

    if (code == 0 || code == TR_ETIMEDOUT || code == TR_EAGAIN)
        return;
    if (worker->poor && (code == TR_ENOMEM || code == TR_ENOSPC || code == TR_ENFILE))
        return;
    snprintf(text, sizeof(text), "%s: %s", what, tr_error_name(code));
    worker_fail(worker, text);
}

tr_message *worker_loan(struct worker *worker, uint64_t number)
{
    uint64_t bytes = 8 * (3 + storm_random(&worker->random) % 100);
    tr_message *message;
    int code;

    if (storm_random(&worker->random) % 32 == 0)
        bytes = 32768;
    code = tr_message_loan_bytes(worker->storm->arena, bytes, PATIENCE, &message);
    worker_expect(worker, "loan", code);
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

void worker_verify(struct worker *worker, const tr_message *message, uint64_t number)
{
    const tr_tensor *tensor = tr_message_tensor(message, 0);

    if (!tensor)
        worker_fail(worker, "a message that is ours has gone");
    if (proof_read(tensor->data, tensor->nbytes) != number)
        atomic_fetch_add(&worker->ledger->torn, 1);
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
    message = worker_loan(worker, number);
    if (!message)
        return;
    atomic_store(&worker->ledger->entries[number].sent, 1);
    code = tr_queue_send(worker->storm->front, message, PATIENCE);
    worker_expect(worker, "send", code);
    if (code == 0) {
        atomic_store(&worker->ledger->entries[number].sent, 2);
        return;
    }
    atomic_store(&worker->ledger->entries[number].sent, 0);
    tr_message_release(message);
}

static void forward_one(struct worker *worker)
{
    tr_message *message;
    int code = tr_queue_receive(worker->storm->front, GLANCE, &message);

    worker_expect(worker, "receive", code);
    if (code)
        return;
    read_message(worker, message);
    while ((code = tr_queue_send(worker->storm->back, message, PATIENCE)) &&
           !worker_stopping(worker))
        worker_expect(worker, "forward", code);
    if (code) /* back where it was when we are gone */
        raise(SIGKILL);
}

tr_message *worker_receive(struct worker *worker, uint64_t *number)
{
    tr_message *message;
    int code = tr_queue_receive(worker->storm->back, GLANCE, &message);

    worker_expect(worker, "receive", code);
    if (code)
        return NULL;
    *number = read_message(worker, message);
    if (*number < STORM_MESSAGES) {
        /* This order: a death between the two excuses at most what has happened. */
        atomic_store(&worker->ledger->hand[worker->hand], (uint32_t)*number + 1);
        atomic_fetch_add(&worker->ledger->entries[*number].taken, 1);
    }
    return message;
}

void worker_release(struct worker *worker, tr_message *message)
{
    if (tr_message_release(message))
        worker_fail(worker, "release");
    atomic_store(&worker->ledger->hand[worker->hand], 0);
}

static void receive_one(struct worker *worker)
{
    uint64_t number;
    tr_message *message = worker_receive(worker, &number);

    if (message)
        worker_release(worker, message);
}

static void publish_one(struct worker *worker)
{
    tr_message *message = worker_loan(worker, storm_random(&worker->random));
    int code;

    if (!message)
        return;
    code = tr_broadcast_publish(worker->storm->broadcast, message, PATIENCE);
    worker_expect(worker, "publish", code);
    if (code)
        tr_message_release(message);
}

static void listen_once(struct worker *worker)
{
    tr_message *message;
    int code;

    if (!worker->subscription) {
        code = tr_subscription_open(worker->storm->broadcast, NULL,
                                    &worker->subscription);
        worker_expect(worker, "subscribe", code);
        if (code)
            return;
    }
    code = tr_subscription_receive(worker->subscription, GLANCE, &message);
    if (code == TR_ELAGGED)
        return;
    worker_expect(worker, "listen", code);
    if (code)
        return;
    read_message(worker, message);
    atomic_fetch_add(&worker->ledger->heard, 1);
    tr_message_release(message);
}

static void use_board(struct worker *worker)
{
    const char *key = keys[storm_random(&worker->random) % KEYS];
    tr_message *message;
    int code;

    if (storm_random(&worker->random) % 4 == 0) {
        message = worker_loan(worker, storm_random(&worker->random));
        if (!message)
            return;
        code = tr_board_put(worker->storm->board, key, message, NULL);
        worker_expect(worker, "put", code);
        if (code)
            tr_message_release(message);
        return;
    }
    code = tr_board_get(worker->storm->board, key, &message, NULL);
    if (code == TR_ENOENT)
        return;
    worker_expect(worker, "get", code);
    if (code)
        return;
    read_message(worker, message);
    atomic_fetch_add(&worker->ledger->looked_up, 1);
    tr_message_release(message);
}

/* The reply must be to this request. */
static void ask_one(struct worker *worker)
{
    uint64_t number = storm_random(&worker->random) >> 1;
    tr_message *message = worker_loan(worker, number), *reply;
    int code;

    if (!message)
        return;
    code = tr_request_call(worker->storm->service, message, PATIENCE, &reply);
    if (code == TR_EPEERDIED)
        return;
    worker_expect(worker, "ask", code);
    if (code)
        return;
    if (read_message(worker, reply) != number)
        atomic_fetch_add(&worker->ledger->torn, 1);
    atomic_fetch_add(&worker->ledger->answered, 1);
    tr_message_release(reply);
}

static void serve_one(struct worker *worker)
{
    tr_message *request;
    int code = tr_queue_receive(worker->storm->service, GLANCE, &request);

    worker_expect(worker, "receive", code);
    if (code)
        return;
    read_message(worker, request);
    code = tr_request_reply(request, NULL); /* itself */
    worker_expect(worker, "reply", code);
    if (code)
        tr_message_release(request);
}

static void expect_descriptor(struct worker *worker, int code)
{
    if (code == TR_ENOTSUP || (worker->closed && code == TR_EIO))
        return;
    worker_expect(worker, "descriptor of a set", code);
}

/* One that waits for what is read here; by which kind of descriptor, the process chooses. */
static bool open_set(struct worker *worker)
{
    int fd, code = tr_waitset_open(worker->storm->arena, &worker->set);

    worker_expect(worker, "open a set", code);
    if (code)
        return false;
    worker->set_lent = false;
    code = tr_waitset_add_queue(worker->set, worker->storm->back, TR_WAIT_READABLE, 1);
    if (code == 0)
        code = tr_waitset_add_queue(worker->set, worker->storm->service, TR_WAIT_READABLE,
                                    2);
    if (code == 0)
        code = tr_waitset_fd(worker->set, &fd);
    expect_descriptor(worker, code);
    if (code) {
        tr_waitset_close(worker->set);
        worker->set = NULL;
    }
    return code == 0;
}

/* As an event loop does: watch the descriptor, then take events until there are none. */
static void watch_once(struct worker *worker)
{
    struct pollfd poller = {.events = POLLIN};
    tr_event events[4];
    size_t count;
    int code;

    if (!worker->set && !open_set(worker))
        return;
    code = tr_waitset_fd(worker->set, &poller.fd);
    expect_descriptor(worker, code);
    if (code || poll(&poller, 1, 2) != 1)
        return;
    for (int i = 0; i < 3 && code == 0; i++) {
        code = tr_waitset_wait(worker->set, events, 4, TR_NOWAIT, &count);
        worker_expect(worker, "wait for many", code);
        if (code == 0 && events[0].token == 1)
            receive_one(worker);
        else if (code == 0)
            serve_one(worker);
    }
    atomic_fetch_add(&worker->ledger->told, 1);
    if (!worker->set_lent && worker_random(worker, 8) == 0) {
        tr_waitset_close(worker->set);
        worker->set = NULL;
    }
}

void worker_bury(struct worker *worker, pid_t pid)
{
    char text[64];
    int status;

    if (pid < 0 || waitpid(pid, &status, 0) != pid || !storm_failed(status))
        return;
    snprintf(text, sizeof(text), "child %d ended with status 0x%x", (int)pid,
             (unsigned)status);
    worker_fail(worker, text);
}

/* A child of a worker: joins by its first call, and may outlive its parent. */
static void have_a_child(struct worker *worker)
{
    struct worker child = worker_like(worker);
    pid_t pid = fork();

    if (pid == 0) {
        for (int i = 0; i < 3; i++)
            send_one(&child);
        _exit(0);
    }
    worker_bury(worker, pid);
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

void worker_act(struct worker *worker)
{
    uint32_t dice = worker_random(worker, 253);

    if (dice < 50)
        send_one(worker);
    else if (dice < 108)
        forward_one(worker);
    else if (dice < 170)
        receive_one(worker);
    else if (dice < 178)
        publish_one(worker);
    else if (dice < 186)
        listen_once(worker);
    else if (dice < 199)
        use_board(worker);
    else if (dice < 203)
        watch_once(worker);
    else if (dice < 223)
        ask_one(worker);
    else
        serve_one(worker);
}

void worker_acts(struct worker *worker, uint32_t count)
{
    for (uint32_t i = 0; i < count && !worker_stopping(worker); i++)
        worker_act(worker);
}

_Noreturn void storm_work(struct storm *storm, uint32_t self, uint64_t seed)
{
    struct worker first = {
        .storm = storm, .ledger = storm->ledger, .self = self, .random = seed | 1};
    struct worker worker = worker_like(&first);
    struct storm own = *storm;
    static const char *const kinds[] = {"fifo", "uring", "eventfd"};

    if (worker_random(&worker, 2))
        setenv("TENSORING_NOTIFY", kinds[worker_random(&worker, 3)], 1);
    /* Some attach by name, as a stranger does; most use what they inherited. */
    if (worker_random(&worker, 4) == 0) {
        worker_expect(&worker, "attach", tr_arena_attach(storm->name, NULL, &own.arena));
        worker_expect(&worker, "open", storm_open(&own));
        worker.storm = &own;
    }
    while (!worker_stopping(&worker)) {
        uint32_t dice = worker_random(&worker, 500);

        if (dice < WILD_COUNT)
            wild_act(&worker, (enum wild)dice);
        else if (dice < WILD_COUNT + 2)
            have_a_child(&worker);
        else
            worker_act(&worker);
    }
    _exit(0);
}
