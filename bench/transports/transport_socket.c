/* SPDX-License-Identifier: MIT */
/* UNIX stream and packet sockets, TCP loopback, pipes: one file, for they differ in how
 * they are made and not in how they are used. Spinning is busy polling without blocking;
 * blocking receives a whole message in one call where the kernel can. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transports/transport.h"

struct wire {
    int to[2];   /* descriptor on which a side sends */
    int from[2]; /* and receives */
    int flags;   /* of recv: MSG_WAITALL, or -1 for read() */
};

static int wire_new(void **state, int to0, int from0, int to1, int from1, int flags)
{
    struct wire *w = malloc(sizeof *w);

    if (!w)
        die("no memory");
    *w = (struct wire){{to0, to1}, {from0, from1}, flags};
    *state = w;
    return 0;
}

static void wire_close(void *state)
{
    struct wire *w = state;

    for (unsigned side = 0; side < 2; side++) {
        close(w->to[side]);
        if (w->from[side] != w->to[side])
            close(w->from[side]);
    }
    free(w);
}

static void set_buffer(int fd, int bytes)
{
    /* FORCE goes beyond the system's limit and needs a privilege; take what we get. */
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) != 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

static int pair_open(int type, int buffer, int flags, void **state)
{
    int fd[2];

    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fd) != 0)
        return -errno;
    if (buffer)
        for (unsigned i = 0; i < 2; i++)
            set_buffer(fd[i], buffer);
    return wire_new(state, fd[0], fd[0], fd[1], fd[1], flags);
}

static int uds_open(size_t bytes, void **state)
{
    (void)bytes;
    return pair_open(SOCK_STREAM, 0, MSG_WAITALL, state);
}

static int uds_large_open(size_t bytes, void **state)
{
    (void)bytes;
    return pair_open(SOCK_STREAM, 8 << 20, MSG_WAITALL, state);
}

/* A packet must fit into the buffer whole: try one. */
static int seqpacket_open(size_t bytes, void **state)
{
    int err = pair_open(SOCK_SEQPACKET, 40 << 20, 0, state);
    if (err)
        return err;

    struct wire *w = *state;
    void *packet = calloc(1, bytes);
    if (!packet)
        die("no memory");
    if (send(w->to[0], packet, bytes, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)bytes ||
        recv(w->from[1], packet, bytes, MSG_DONTWAIT) != (ssize_t)bytes) {
        err = -EMSGSIZE;
        wire_close(w);
    }
    free(packet);
    return err;
}

static int tcp_open(size_t bytes, void **state)
{
    (void)bytes;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    const int on = 1;

    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int server = -1;
    if (listener >= 0 && client >= 0 &&
        bind(listener, (struct sockaddr *)&address, length) == 0 &&
        listen(listener, 1) == 0 &&
        getsockname(listener, (struct sockaddr *)&address, &length) == 0 &&
        connect(client, (struct sockaddr *)&address, length) == 0)
        server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    const int err = server < 0 ? -errno : 0;
    if (listener >= 0)
        close(listener);
    if (err) {
        if (client >= 0)
            close(client);
        return err;
    }
    (void)setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return wire_new(state, client, client, server, server, MSG_WAITALL);
}

static int pipe_open(size_t bytes, void **state)
{
    (void)bytes;
    int there[2], back[2];

    if (pipe2(there, O_CLOEXEC) != 0)
        return -errno;
    if (pipe2(back, O_CLOEXEC) != 0) {
        const int err = -errno;
        close(there[0]);
        close(there[1]);
        return err;
    }
    (void)fcntl(there[1], F_SETPIPE_SZ, 1 << 20);
    (void)fcntl(back[1], F_SETPIPE_SZ, 1 << 20);
    return wire_new(state, there[1], back[0], back[1], there[0], -1);
}

static void set_blocking(int fd, bool blocking)
{
    const int flags = fcntl(fd, F_GETFL);

    if (flags < 0 ||
        fcntl(fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK) != 0)
        die("fcntl: %s", strerror(errno));
}

static void wire_configure(struct end *end)
{
    const struct wire *w = end->state;

    set_blocking(w->to[end->side], end->mode == MODE_BLOCK);
    set_blocking(w->from[end->side], end->mode == MODE_BLOCK);
}

static void wire_send(struct end *end)
{
    const struct wire *w = end->state;
    size_t done = 0;

    end_produce(end);
    while (done < end->bytes) {
        const ssize_t n = write(w->to[end->side], end->out + done, end->bytes - done);
        if (n > 0)
            done += (size_t)n;
        else if (errno != EAGAIN && errno != EINTR)
            die("write: %s", strerror(errno));
    }
}

static void wire_receive(struct end *end)
{
    const struct wire *w = end->state;
    const int fd = w->from[end->side];
    size_t done = 0;

    while (done < end->bytes) {
        const size_t left = end->bytes - done;
        const ssize_t n = w->flags < 0 ? read(fd, end->in + done, left)
                                       : recv(fd, end->in + done, left, w->flags);
        if (n > 0)
            done += (size_t)n;
        else if (n == 0)
            die("the other side is gone");
        else if (errno != EAGAIN && errno != EINTR)
            die("read: %s", strerror(errno));
    }
    end_consume(end, end->in);
}

#define WIRE(id, name_, group_)               \
    const struct transport transport_##id = { \
        .name = name_,                        \
        .comparison = group_,                 \
        .modes = MODE_SPIN | MODE_BLOCK,      \
        .streams = true,                      \
        .open = id##_open,                    \
        .configure = wire_configure,          \
        .send = wire_send,                    \
        .receive = wire_receive,              \
        .close = wire_close,                  \
    }

WIRE(uds, "uds", "uds");
WIRE(uds_large, "uds-large", "uds");
WIRE(seqpacket, "uds-seqpacket", "uds-seqpacket");
WIRE(tcp, "tcp", "tcp");
WIRE(pipe, "pipe", "pipe");
