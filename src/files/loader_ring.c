/* SPDX-License-Identifier: MIT */
#include "src/files/loader_ring.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "ipc/exchange/owned.h"
#include "ipc/kernel/unforked.h"
#include "ipc/liveness/device.h"

#define BATCH_MOST  16
#define BUFFER_MOST (UINT64_C(1) << 30) /* of one registered buffer */
#define BUFFERS     1024
#define HAND_OVERS  100 /* with a ms between, before the ring is given up */

static void pause_ms(int64_t ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

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

/* A program that closes all descriptors, as daemons do, may have a file of its own by the number
 * of a ring. What is mapped keeps the ring. */
static bool is_ours(const struct loader_ring *ring)
{
    struct stat st;

    return fstat(ring->ring.ring_fd, &st) == 0 && st.st_dev == ring->dev &&
           st.st_ino == ring->ino;
}

static void remember(struct loader_ring *ring)
{
    struct stat st = {0};

    (void)fstat(ring->ring.ring_fd, &st);
    ring->dev = st.st_dev;
    ring->ino = st.st_ino;
}

static void close_number(const struct loader_ring *ring)
{
    if (is_ours(ring))
        close(ring->ring.ring_fd);
}

static void let_go(struct loader_ring *ring)
{
    if (!is_ours(ring))
        ring->ring.ring_fd = -1; /* unmap, and close nothing */
    io_uring_queue_exit(&ring->ring);
}

/* All rings that are open in this process. A child inherits their descriptors, and a ring lasts
 * as long as one of those: the device lock of a dead parent would stay as long as the child
 * lives. So the child closes them at once. */
static struct loader_ring *rings;

/* The memory of a ring is not inherited. */
static void drop_inherited(void)
{
    for (struct loader_ring *ring = rings; ring; ring = ring->next) {
        close_number(ring);
        ring->open = ring->registered = false;
    }
    rings = NULL;
}

static void guard_forks(void)
{
    unforked_tell(drop_inherited);
}

static void watch_forks(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, guard_forks);
}

/* Between unforked_begin() and its end. */
static void enlist(struct loader_ring *ring)
{
    ring->previous = NULL;
    ring->next = rings;
    if (rings)
        rings->previous = ring;
    rings = ring;
}

static void strike_off(struct loader_ring *ring)
{
    unforked_begin();
    if (ring->previous)
        ring->previous->next = ring->next;
    else
        rings = ring->next;
    if (ring->next)
        ring->next->previous = ring->previous;
    unforked_end();
}

/* The ring keeps the lock of the device until its last read has ended, however this process ends:
 * the registered file is closed after that. */
static bool become_device(struct loader_ring *ring, const struct self *me)
{
    int fd = device_lock(me->view, me->who, me->inc);
    bool done;

    if (fd < 0)
        return false;
    done = io_uring_register_files(&ring->ring, &fd, 1) == 0 &&
           io_uring_ring_dontfork(&ring->ring) == 0;
    close(fd);
    return done;
}

static bool set_up(struct loader_ring *ring, const struct self *me, uint32_t depth)
{
    if (io_uring_queue_init(depth, &ring->ring, 0) < 0)
        return false;
    remember(ring);
    if (become_device(ring, me))
        return true;
    io_uring_queue_exit(&ring->ring);
    return false;
}

/* A child that another thread forks has the ring's descriptor, and the lock's, or neither: it
 * could not close what it does not know of. */
static void open_unforked(struct loader_ring *ring, const struct self *me, uint32_t depth)
{
    watch_forks();
    unforked_begin();
    ring->open = set_up(ring, me, depth);
    if (ring->open)
        enlist(ring);
    unforked_end();
}

void loader_ring_open(struct loader_ring *ring, const struct self *me, uint32_t depth,
                      bool fixed)
{
    int saved = errno;

    if (ring->open && (ring->owner != getpid() || ring->who != me->who || !is_ours(ring)))
        loader_ring_close(ring);
    if (!ring->open && !ring->refused) {
        open_unforked(ring, me, depth);
        ring->refused = !ring->open;
        ring->owner = getpid();
        ring->who = me->who;
        ring->view = me->view;
        ring->depth = depth;
        ring->unsubmitted = ring->flying = 0;
        ring->batch = 1;
        ring->registered = ring->open && fixed && register_slots(ring, me->view);
    }
    errno = saved;
}

void loader_ring_close(struct loader_ring *ring)
{
    int saved = errno;
    struct load *load;
    int64_t got;

    if (ring->open && ring->owner == getpid()) {
        while (ring->flying > 0 && loader_ring_next(ring, true, &load, &got) == RING_READ)
            continue;
        strike_off(ring);
        let_go(ring);
    } else if (
        ring->open) { /* of a fork that we did not notice; the memory is not ours */
        strike_off(ring);
        close_number(ring);
    }
    ring->open = ring->registered = false;
    errno = saved;
}

bool loader_ring_read(struct loader_ring *ring, const struct view *view,
                      struct load *load)
{
    const struct message *message = message_known(load->message); /* just loaned */
    uint32_t c;
    struct io_uring_sqe *sqe;
    size_t left = load_left(load);
    unsigned bytes = left < 1u << 30 ? (unsigned)left : 1u << 30;

    if (!ring->open || !message)
        return false;
    sqe = io_uring_get_sqe(&ring->ring);
    if (!sqe)
        return false;
    c = message->class;
    if (ring->registered && ring->slots_a_buffer[c])
        io_uring_prep_read_fixed(sqe, load->fd, load_at(load), bytes, load->done,
                                 (int)(ring->first_buffer[c] +
                                       (message->slot - view->geo.classes[c].first_slot) /
                                           ring->slots_a_buffer[c]));
    else
        io_uring_prep_read(sqe, load->fd, load_at(load), bytes, load->done);
    io_uring_sqe_set_data(sqe, load);
    ASSERT_HELD(&message->arena->self, view_record(view, message->slot));
    device_mark(view, message->slot);
    ring->unsubmitted++;
    ring->flying++;
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

/* The kernel has none of the reads, and takes none: it is short of memory, or somebody has
 * closed the ring's descriptor. */
static bool stuck(struct loader_ring *ring)
{
    for (int tries = 0; tries < HAND_OVERS && ring->unsubmitted == ring->flying;
         tries++) {
        if (tries > 0)
            pause_ms(1);
        hand_over(ring);
    }
    return ring->unsubmitted == ring->flying;
}

/* One that has ended. The kernel notes the end in memory, also where it can't be waited for. */
static struct io_uring_cqe *await(struct loader_ring *ring)
{
    struct io_uring_cqe *cqe = NULL;
    int result;

    do {
        result = io_uring_wait_cqe(&ring->ring, &cqe);
        if (result < 0 && result != -EINTR) {
            pause_ms(1);
            result = io_uring_peek_cqe(&ring->ring, &cqe);
        }
    } while (result < 0);
    return cqe;
}

/* The slot is the process's alone again; unless others have taken the process for dead. */
static void land(struct loader_ring *ring, const struct load *load)
{
    const struct message *message = message_known(load->message);

    ring->flying--;
    if (message)
        device_unmark(ring->view, message->slot);
}

enum ring_news loader_ring_next(struct loader_ring *ring, bool wait, struct load **load,
                                int64_t *got)
{
    struct io_uring_cqe *cqe = NULL;
    int saved = errno;

    if (!ring->open)
        return RING_NOTHING;
    if (ring->unsubmitted)
        hand_over(ring);
    if (io_uring_peek_cqe(&ring->ring, &cqe) < 0 && wait) {
        if (ring->flying == 0 || stuck(ring)) {
            errno = saved;
            return ring->flying ? RING_BROKEN : RING_NOTHING;
        }
        cqe = await(ring);
    }
    errno = saved;
    if (!cqe)
        return RING_NOTHING;
    *load = io_uring_cqe_get_data(cqe);
    *got = cqe->res;
    io_uring_cqe_seen(&ring->ring, cqe);
    land(ring, *load);
    return RING_READ;
}

void loader_ring_give_up(struct loader_ring *ring, struct load *load)
{
    land(ring, load);
    ring->unsubmitted--;
    if (ring->flying == 0)
        loader_ring_close(ring);
    ring->refused = true;
}
