/* SPDX-License-Identifier: MIT */
/* A UNIX stream socket through io_uring: registered file, one submission a message.
 * Small messages use registered buffers; large ones use MSG_WAITALL, for a fixed read or
 * write ends early on a stream and would need a submission for every piece. */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "transports/transport.h"

#define FIXED_BYTES ((size_t)128 << 10)

struct uring_wire {
    int fd[2];
    struct io_uring ring; /* made by each process for itself */
    bool deferred;        /* completions appear only when we ask the kernel */
    bool fixed;
};

static int uring_open(size_t bytes, void **state)
{
    struct io_uring probe;
    (void)bytes;

    int err = io_uring_queue_init(2, &probe, 0);
    if (err)
        return err;
    io_uring_queue_exit(&probe);

    struct uring_wire *w = calloc(1, sizeof *w);
    if (!w)
        die("no memory");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, w->fd) != 0) {
        err = -errno;
        free(w);
        return err;
    }
    *state = w;
    return 0;
}

static int uring_enter(struct end *end)
{
    struct uring_wire *w = end->state;

    w->deferred = true;
    int err = io_uring_queue_init(
        8, &w->ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
    if (err) {
        w->deferred = false;
        err = io_uring_queue_init(8, &w->ring, 0);
    }
    if (err)
        return err;
    err = io_uring_register_files(&w->ring, &w->fd[end->side], 1);
    if (err)
        return err;
    const struct iovec buffers[] = {{end->out, end->bytes}, {end->in, end->bytes}};
    w->fixed = end->bytes <= FIXED_BYTES &&
               io_uring_register_buffers(&w->ring, buffers, 2) == 0;
    return 0;
}

/* One submission; returns how many bytes went. */
static size_t uring_step(struct end *end, struct uring_wire *w)
{
    struct io_uring_cqe *cqe;

    if (end->mode == MODE_BLOCK) {
        int err = io_uring_submit_and_wait(&w->ring, 1);
        while (err == -EINTR)
            err = io_uring_submit_and_wait(&w->ring, 1);
        if (err < 0)
            die("io_uring: %s", strerror(-err));
        while (io_uring_wait_cqe(&w->ring, &cqe) != 0)
            ;
    } else {
        io_uring_submit(&w->ring);
        while (io_uring_peek_cqe(&w->ring, &cqe) != 0)
            if (w->deferred)
                io_uring_get_events(&w->ring);
    }
    const int result = cqe->res;
    io_uring_cqe_seen(&w->ring, cqe);
    if (result <= 0 && result != -EAGAIN && result != -EINTR)
        die("io_uring: %s", result ? strerror(-result) : "the other side is gone");
    return result > 0 ? (size_t)result : 0;
}

static void uring_send(struct end *end)
{
    struct uring_wire *w = end->state;

    end_produce(end);
    for (size_t done = 0; done < end->bytes; done += uring_step(end, w)) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&w->ring);
        const size_t left = end->bytes - done;
        if (w->fixed)
            io_uring_prep_write_fixed(sqe, 0, end->out + done, (unsigned)left, 0, 0);
        else
            io_uring_prep_send(sqe, 0, end->out + done, left, MSG_WAITALL);
        sqe->flags |= IOSQE_FIXED_FILE;
    }
}

static void uring_receive(struct end *end)
{
    struct uring_wire *w = end->state;

    for (size_t done = 0; done < end->bytes; done += uring_step(end, w)) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&w->ring);
        const size_t left = end->bytes - done;
        if (w->fixed)
            io_uring_prep_read_fixed(sqe, 0, end->in + done, (unsigned)left, 0, 1);
        else
            io_uring_prep_recv(sqe, 0, end->in + done, left, MSG_WAITALL);
        sqe->flags |= IOSQE_FIXED_FILE;
    }
    end_consume(end, end->in);
}

static void uring_close(void *state)
{
    struct uring_wire *w = state;

    close(w->fd[0]);
    close(w->fd[1]);
    free(w);
}

const struct transport transport_uring = {
    .name = "uring-uds",
    .comparison = "uring-uds",
    .modes = MODE_SPIN | MODE_BLOCK,
    .streams = true,
    .open = uring_open,
    .enter = uring_enter,
    .send = uring_send,
    .receive = uring_receive,
    .close = uring_close,
};
