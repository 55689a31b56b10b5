/* SPDX-License-Identifier: MIT */
#include "src/loader_ring.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#define BATCH_MOST  16
#define BUFFER_MOST (UINT64_C(1) << 30) /* of one registered buffer */
#define BUFFERS     1024

/* Pages that are registered count as locked memory of the user; root's do not. */
static bool limit_allows(uint64_t bytes)
{
    struct rlimit limit;

    return geteuid() == 0 || (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 &&
                              (limit.rlim_cur == RLIM_INFINITY ||
                               bytes <= limit.rlim_cur / 2)); /* rings count, too */
}

/* Buffers hold whole slots. */
static uint32_t lay_out(struct loader_ring *ring, const struct view *view,
                        struct iovec *buffers, uint64_t *bytes)
{
    uint32_t count = 0;

    *bytes = 0;
    for (uint32_t c = 0; c < view->geo.class_count; c++) {
        const struct slot_class *class = &view->geo.classes[c];
        uint64_t each = BUFFER_MOST / class->stride;

        ring->first_buffer[c] = count;
        ring->slots_a_buffer[c] = each;
        for (uint64_t slot = 0; each && slot < class->count; slot += each) {
            uint64_t slots = class->count - slot < each ? class->count - slot : each;

            if (count == BUFFERS)
                return 0;
            buffers[count++] = (struct iovec){view->base + class->payload_off +
                                                  slot * class->stride,
                                              slots * class->stride};
            *bytes += slots * class->stride;
        }
    }
    return count;
}

static bool register_slots(struct loader_ring *ring, const struct view *view)
{
    struct iovec *buffers = calloc(BUFFERS, sizeof(*buffers));
    uint64_t bytes;
    uint32_t count = buffers ? lay_out(ring, view, buffers, &bytes) : 0;
    bool registered = count > 0 && !(view->geo.flags & TR_ARENA_LAZY) &&
                      limit_allows(bytes) &&
                      io_uring_register_buffers(&ring->ring, buffers, count) == 0;

    free(buffers);
    return registered;
}

void loader_ring_open(struct loader_ring *ring, const struct view *view, uint32_t depth,
                      bool fixed)
{
    int saved = errno;

    if (ring->open && ring->owner != getpid())
        loader_ring_close(ring); /* the parent's: our copy of it is unmapped */
    if (!ring->open && !ring->refused) {
        ring->open = io_uring_queue_init(depth, &ring->ring, 0) == 0;
        ring->refused = !ring->open;
        ring->owner = getpid();
        ring->depth = depth;
        ring->unsubmitted = 0;
        ring->batch = 1;
        ring->registered = ring->open && fixed && register_slots(ring, view);
    }
    errno = saved;
}

void loader_ring_close(struct loader_ring *ring)
{
    int saved = errno;

    if (ring->open)
        io_uring_queue_exit(&ring->ring);
    ring->open = ring->registered = false;
    errno = saved;
}

bool loader_ring_read(struct loader_ring *ring, const struct view *view,
                      struct load *load)
{
    uint32_t slot, c;
    struct io_uring_sqe *sqe;
    size_t left = load_left(load);
    unsigned bytes = left < 1u << 30 ? (unsigned)left : 1u << 30;

    if (!ring->open)
        return false;
    sqe = io_uring_get_sqe(&ring->ring);
    if (!sqe)
        return false;
    slot = message_known(load->message)->slot; /* just loaned */
    c = view_class_of(view, slot);
    if (ring->registered && ring->slots_a_buffer[c])
        io_uring_prep_read_fixed(
            sqe, load->fd, load_at(load), bytes, load->done,
            (int)(ring->first_buffer[c] +
                  (slot - view->geo.classes[c].first_slot) / ring->slots_a_buffer[c]));
    else
        io_uring_prep_read(sqe, load->fd, load_at(load), bytes, load->done);
    io_uring_sqe_set_data(sqe, load);
    ring->unsubmitted++;
    return true;
}

bool loader_ring_full(const struct loader_ring *ring)
{
    return ring->unsubmitted >= ring->batch;
}

/* What lies in the page cache is read by the call itself. Then one at a time is best: the
 * slot goes to its receiver, and comes back, while it is in the processor's cache. */
static void hand_over(struct loader_ring *ring)
{
    int put = io_uring_submit(&ring->ring);

    ring->unsubmitted -= put > 0 ? (uint32_t)put : 0;
    if (io_uring_cq_ready(&ring->ring) > 0)
        ring->batch = 1;
    else if (ring->batch < BATCH_MOST)
        ring->batch *= 2;
}

bool loader_ring_next(struct loader_ring *ring, bool wait, struct load **load,
                      int64_t *got)
{
    struct io_uring_cqe *cqe = NULL;
    int saved = errno, result = -EAGAIN;

    if (!ring->open)
        return false;
    if (ring->unsubmitted)
        hand_over(ring);
    do {
        result = wait ? io_uring_wait_cqe(&ring->ring, &cqe)
                      : io_uring_peek_cqe(&ring->ring, &cqe);
    } while (wait && result == -EINTR);
    errno = saved;
    if (result < 0)
        return false;
    *load = io_uring_cqe_get_data(cqe);
    *got = cqe->res;
    io_uring_cqe_seen(&ring->ring, cqe);
    return true;
}
