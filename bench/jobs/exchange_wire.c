/* SPDX-License-Identifier: MIT */
/* The job over UNIX stream sockets, TCP loopback and pipes: a wire a worker, whole structs
 * on it, and poll() in the master. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "jobs/exchange.h"
#include "transports/transport.h"

struct wire_exchange {
    struct pollfd master_in[EXCHANGE_WORKERS];
    int master_out[EXCHANGE_WORKERS];
    int worker_in[EXCHANGE_WORKERS];
    int worker_out[EXCHANGE_WORKERS];
};

static bool get(int fd, void *to, size_t bytes)
{
    size_t done = 0;

    while (done < bytes) {
        const ssize_t n = read(fd, (uint8_t *)to + done, bytes - done);
        if (n == 0)
            return false;
        if (n < 0 && errno != EINTR)
            die("read: %s", strerror(errno));
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

static void put(int fd, const void *from, size_t bytes)
{
    size_t done = 0;

    while (done < bytes) {
        const ssize_t n = write(fd, (const uint8_t *)from + done, bytes - done);
        if (n < 0 && errno != EINTR)
            die("write: %s", strerror(errno));
        done += n > 0 ? (size_t)n : 0;
    }
}

static size_t question_bytes(uint32_t count)
{
    return offsetof(struct question, image) + count * DIGITS_PIXELS;
}

static size_t answer_bytes(uint32_t count)
{
    return offsetof(struct answer, verdict) + count * sizeof(struct verdict);
}

static void wire_serve(void *state, unsigned worker,
                       void (*work)(const struct question *, struct answer *))
{
    const struct wire_exchange *w = state;
    struct question question;
    struct answer answer;

    while (get(w->worker_in[worker], &question, question_bytes(0)) &&
           question.count > 0) {
        if (question.count > EXCHANGE_BATCH ||
            !get(w->worker_in[worker], question.image, question.count * DIGITS_PIXELS))
            die("a torn question");
        work(&question, &answer);
        put(w->worker_out[worker], &answer, answer_bytes(answer.count));
    }
}

static void wire_ask(void *state, unsigned worker, const struct question *question)
{
    const struct wire_exchange *w = state;

    put(w->master_out[worker], question, question_bytes(question->count));
}

static unsigned wire_collect(void *state, struct answer *answer)
{
    struct wire_exchange *w = state;

    for (;;) {
        if (poll(w->master_in, EXCHANGE_WORKERS, -1) < 0 && errno != EINTR)
            die("poll: %s", strerror(errno));
        for (unsigned i = 0; i < EXCHANGE_WORKERS; i++) {
            if (!w->master_in[i].revents)
                continue;
            if (!get(w->master_in[i].fd, answer, answer_bytes(0)) ||
                answer->count > EXCHANGE_BATCH ||
                !get(w->master_in[i].fd, answer->verdict,
                     answer->count * sizeof answer->verdict[0]))
                die("a worker is gone");
            return i;
        }
    }
}

static void wire_finish(void *state)
{
    const struct question nothing = {0};

    for (unsigned i = 0; i < EXCHANGE_WORKERS; i++)
        wire_ask(state, i, &nothing);
}

static void wire_close(void *state)
{
    struct wire_exchange *w = state;

    for (unsigned i = 0; i < EXCHANGE_WORKERS; i++) {
        close(w->master_out[i]);
        if (w->master_in[i].fd != w->master_out[i])
            close(w->master_in[i].fd);
        close(w->worker_in[i]);
        if (w->worker_in[i] != w->worker_out[i])
            close(w->worker_out[i]);
    }
    free(w);
}

static void set_wire(struct wire_exchange *w, unsigned i, int master_in, int master_out,
                     int worker_in, int worker_out)
{
    w->master_in[i] = (struct pollfd){.fd = master_in, .events = POLLIN};
    w->master_out[i] = master_out;
    w->worker_in[i] = worker_in;
    w->worker_out[i] = worker_out;
}

static void make_uds(int fd[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) != 0)
        die("socketpair: %s", strerror(errno));
}

static void make_tcp(int fd[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    const int on = 1;
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, length) != 0 ||
        listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0 ||
        connect(fd[0], (struct sockaddr *)&address, length) != 0 ||
        (fd[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0)
        die("TCP on the loopback: %s", strerror(errno));
    close(listener);
    for (unsigned i = 0; i < 2; i++)
        (void)setsockopt(fd[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void *open_with(void (*make)(int fd[2]))
{
    struct wire_exchange *w = malloc(sizeof *w);

    if (!w)
        die("no memory");
    for (unsigned i = 0; i < EXCHANGE_WORKERS; i++) {
        int fd[2];
        make(fd);
        set_wire(w, i, fd[0], fd[0], fd[1], fd[1]);
    }
    return w;
}

static void *uds_open(void)
{
    return open_with(make_uds);
}

static void *tcp_open(void)
{
    return open_with(make_tcp);
}

static void *pipe_open(void)
{
    struct wire_exchange *w = malloc(sizeof *w);

    if (!w)
        die("no memory");
    for (unsigned i = 0; i < EXCHANGE_WORKERS; i++) {
        int there[2], back[2];
        if (pipe(there) != 0 || pipe(back) != 0)
            die("pipe: %s", strerror(errno));
        set_wire(w, i, back[0], there[1], there[0], back[1]);
    }
    return w;
}

#define POST(id)                            \
    const struct exchange exchange_##id = { \
        .name = #id,                        \
        .open = id##_open,                  \
        .serve = wire_serve,                \
        .ask = wire_ask,                    \
        .collect = wire_collect,            \
        .finish = wire_finish,              \
        .close = wire_close,                \
    }

POST(uds);
POST(tcp);
POST(pipe);
