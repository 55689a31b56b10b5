/* SPDX-License-Identifier: MIT */
/* Waiting in a wait set, and in epoll on its descriptor. Only a word is carried. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <tensoring/tensoring.h>

#include "transports/waits.h"

#define IDLE 100

struct waits {
    tr_arena *arena;
    tr_queue *queue[2]; /* [side]: that side sends here */
    tr_queue *idle[2][IDLE];
    uint32_t idle_count;
    tr_waitset *set;
    int epoll; /* -1: sleep in the set itself */
};

static void must(int err, const char *what)
{
    if (err)
        die("%s: %s: %s", what, tr_strerror(err), tr_error_detail());
}

static int make(size_t bytes, uint32_t idle_count, void **state)
{
    const tr_slot_class class = {bytes, 64};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    struct waits *w = calloc(1, sizeof *w);
    char name[32];

    if (!w)
        die("no memory");
    options.flags = TR_ARENA_POPULATE;
    options.classes = &class;
    options.class_count = 1;
    options.max_channels = 2 * IDLE + 2;
    options.eventfds = 8;
    options.spin_ns = 0;
    must(tr_arena_create(NULL, &options, &w->arena), "tr_arena_create");
    for (unsigned side = 0; side < 2; side++) {
        must(tr_queue_open(w->arena, side ? "back" : "there", NULL, &w->queue[side]),
             "tr_queue_open");
        for (uint32_t i = 0; i < idle_count; i++) {
            snprintf(name, sizeof name, "idle %u %u", side, i);
            must(tr_queue_open(w->arena, name, NULL, &w->idle[side][i]), "tr_queue_open");
        }
    }
    w->idle_count = idle_count;
    w->epoll = -1;
    *state = w;
    return 0;
}

static int open_one(size_t bytes, void **state)
{
    return make(bytes, 0, state);
}

static int open_100(size_t bytes, void **state)
{
    return make(bytes, IDLE, state);
}

static void close_waits(void *state)
{
    struct waits *w = state;

    for (unsigned side = 0; side < 2; side++) {
        for (uint32_t i = 0; i < w->idle_count; i++)
            tr_queue_close(w->idle[side][i]);
        tr_queue_close(w->queue[side]);
    }
    tr_arena_close(w->arena);
    free(w);
}

/* Each process has a copy of the state, and its own set. */
static int enter_set(struct end *end)
{
    struct waits *w = end->state;

    must(tr_waitset_open(w->arena, &w->set), "tr_waitset_open");
    for (uint32_t i = 0; i < w->idle_count; i++)
        must(tr_waitset_add_queue(w->set, w->idle[1 - end->side][i], TR_WAIT_READABLE, i),
             "tr_waitset_add_queue");
    must(tr_waitset_add_queue(w->set, w->queue[1 - end->side], TR_WAIT_READABLE, IDLE),
         "tr_waitset_add_queue");
    return 0;
}

static void send_waits(struct end *end)
{
    struct waits *w = end->state;
    tr_message *message;

    must(tr_message_loan_bytes(w->arena, end->bytes, TR_FOREVER, &message),
         "tr_message_loan_bytes");
    must(tr_queue_send(w->queue[end->side], message, TR_FOREVER), "tr_queue_send");
}

static void receive_set(struct end *end)
{
    struct waits *w = end->state;
    tr_message *message;
    tr_event event;
    size_t count;

    do
        must(tr_waitset_wait(w->set, &event, 1, TR_FOREVER, &count), "tr_waitset_wait");
    while (event.token != IDLE ||
           tr_queue_receive(w->queue[1 - end->side], TR_NOWAIT, &message) != 0);
    tr_message_release(message);
}

const struct transport transport_waitset = {.name = "waitset",
                                            .comparison = "waits",
                                            .modes = MODE_BLOCK,
                                            .open = open_one,
                                            .enter = enter_set,
                                            .send = send_waits,
                                            .receive = receive_set,
                                            .close = close_waits};

const struct transport transport_waitset_100 = {.name = "waitset-100",
                                                .comparison = "waits",
                                                .modes = MODE_BLOCK,
                                                .open = open_100,
                                                .enter = enter_set,
                                                .send = send_waits,
                                                .receive = receive_set,
                                                .close = close_waits};

static int enter_epoll(struct end *end, const char *backend)
{
    struct waits *w = end->state;
    struct epoll_event interest = {.events = EPOLLIN};
    int fd, err;

    (void)enter_set(end);
    setenv("TENSORING_NOTIFY", backend, 1);
    err = tr_waitset_fd(w->set, &fd);
    unsetenv("TENSORING_NOTIFY");
    if (err == TR_ENOTSUP)
        return err;
    must(err, "tr_waitset_fd");
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (w->epoll < 0 || epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &interest) != 0)
        die("epoll: %s", strerror(errno));
    return 0;
}

/* As an event loop does it: drain, arm, sleep. */
static void receive_epoll(struct end *end)
{
    struct waits *w = end->state;
    struct epoll_event ready;
    tr_message *message;
    tr_event event;
    size_t count;

    while (tr_queue_receive(w->queue[1 - end->side], TR_NOWAIT, &message) != 0)
        if (tr_waitset_wait(w->set, &event, 1, TR_NOWAIT, &count) != 0)
            (void)epoll_wait(w->epoll, &ready, 1, -1);
    tr_message_release(message);
}

static int enter_eventfd(struct end *end)
{
    return enter_epoll(end, "eventfd");
}

static int enter_uring(struct end *end)
{
    return enter_epoll(end, "uring");
}

static int enter_fifo(struct end *end)
{
    return enter_epoll(end, "fifo");
}

const struct transport transport_fd_eventfd = {.name = "fd-eventfd",
                                               .comparison = "waits",
                                               .modes = MODE_BLOCK,
                                               .open = open_one,
                                               .enter = enter_eventfd,
                                               .send = send_waits,
                                               .receive = receive_epoll,
                                               .close = close_waits};

const struct transport transport_fd_uring = {.name = "fd-uring",
                                             .comparison = "waits",
                                             .modes = MODE_BLOCK,
                                             .open = open_one,
                                             .enter = enter_uring,
                                             .send = send_waits,
                                             .receive = receive_epoll,
                                             .close = close_waits};

const struct transport transport_fd_fifo = {.name = "fd-fifo",
                                            .comparison = "waits",
                                            .modes = MODE_BLOCK,
                                            .open = open_one,
                                            .enter = enter_fifo,
                                            .send = send_waits,
                                            .receive = receive_epoll,
                                            .close = close_waits};
