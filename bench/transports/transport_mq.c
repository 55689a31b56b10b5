/* SPDX-License-Identifier: MIT */
/* POSIX message queues. Their memory is limited (RLIMIT_MSGQUEUE): large messages are left
 * out. */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "transports/transport.h"

struct queues {
    mqd_t queue[2]; /* [side]: side sends on its own, receives from the other */
};

static int mq_setup(size_t bytes, void **state)
{
    struct queues *q = malloc(sizeof *q);
    struct mq_attr attributes = {.mq_maxmsg = bytes > 4096 ? 4 : 10,
                                 .mq_msgsize = (long)bytes};

    if (!q)
        die("no memory");
    for (unsigned i = 0; i < 2; i++) {
        char name[64];
        snprintf(name, sizeof name, "/tensoring-bench-%ld-%u", (long)getpid(), i);
        q->queue[i] = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes);
        const int err = errno;
        mq_unlink(name);
        if (q->queue[i] == (mqd_t)-1) {
            if (i == 1)
                mq_close(q->queue[0]);
            free(q);
            return -err;
        }
    }
    *state = q;
    return 0;
}

static void queues_configure(struct end *end)
{
    /* The flag belongs to the description that both processes share, and both set the
     * same. */
    const struct queues *q = end->state;
    const struct mq_attr attributes = {.mq_flags = end->mode == MODE_SPIN ? O_NONBLOCK
                                                                          : 0};

    for (unsigned i = 0; i < 2; i++)
        if (mq_setattr(q->queue[i], &attributes, NULL) != 0)
            die("mq_setattr: %s", strerror(errno));
}

static void queues_send(struct end *end)
{
    const struct queues *q = end->state;

    end_produce(end);
    while (mq_send(q->queue[end->side], (const char *)end->out, end->bytes, 0) != 0)
        if (errno != EAGAIN && errno != EINTR)
            die("mq_send: %s", strerror(errno));
}

static void queues_receive(struct end *end)
{
    const struct queues *q = end->state;

    while (mq_receive(q->queue[1 - end->side], (char *)end->in, end->bytes, NULL) < 0)
        if (errno != EAGAIN && errno != EINTR)
            die("mq_receive: %s", strerror(errno));
    end_consume(end, end->in);
}

static void queues_close(void *state)
{
    struct queues *q = state;

    mq_close(q->queue[0]);
    mq_close(q->queue[1]);
    free(q);
}

const struct transport transport_mq = {
    .name = "mq",
    .comparison = "mq",
    .modes = MODE_SPIN | MODE_BLOCK,
    .streams = true,
    .open = mq_setup,
    .configure = queues_configure,
    .send = queues_send,
    .receive = queues_receive,
    .close = queues_close,
};
