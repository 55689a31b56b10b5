/* SPDX-License-Identifier: MIT */
/* The floor: two-process loops by hand, without any of our code. The processes share only what
 * the loop needs; each word that is written lies on a line of its
 * own. */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "transports/payload.h"
#include "transports/transport.h"

#define LINE       128
#define RING_SLOTS 64u
#define RING_BYTES 64u

struct line {
    _Alignas(LINE) _Atomic uint32_t value;
};

struct ring {
    struct line head; /* next to read */
    struct line tail; /* next to write */
    _Alignas(LINE) uint8_t slots[RING_SLOTS][RING_BYTES];
};

struct raw {
    struct line flag[2]; /* [side]: written by that side */
    struct ring ring[2];
};

static int raw_open(size_t bytes, void **state)
{
    if (bytes != RING_BYTES) /* the others carry nothing at all */
        return -EMSGSIZE;
    *state = map_shared(sizeof(struct raw));
    return 0;
}

static void raw_close(void *state)
{
    unmap_shared(state, sizeof(struct raw));
}

static void futex_wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void futex_wait(_Atomic uint32_t *word, uint32_t seen)
{
    syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0);
}

/* Two flags, one each way. */

static void flag_send(struct end *end)
{
    struct raw *raw = end->state;
    _Atomic uint32_t *mine = &raw->flag[end->side].value;

    atomic_store_explicit(mine, (uint32_t)++end->sent, memory_order_release);
}

static void flag_receive(struct end *end)
{
    struct raw *raw = end->state;
    _Atomic uint32_t *other = &raw->flag[1 - end->side].value;
    const uint32_t wanted = (uint32_t)++end->received;

    while (atomic_load_explicit(other, memory_order_acquire) != wanted)
        ;
}

static void flag_pingpong(struct end *end, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        if (end->side == 0) {
            flag_send(end);
            flag_receive(end);
        } else {
            flag_receive(end);
            flag_send(end);
        }
    }
}

const struct transport transport_flag = {
    .name = "flag",
    .comparison = "floor",
    .modes = MODE_SPIN,
    .open = raw_open,
    .send = flag_send,
    .receive = flag_receive,
    .pingpong = flag_pingpong,
    .close = raw_close,
};

/* The least ring of 64-byte messages: one sender, one receiver, two indices. */

static void ring_send(struct end *end)
{
    struct raw *raw = end->state;
    struct ring *ring = &raw->ring[end->side];
    const uint32_t at = (uint32_t)end->sent++;

    while (at - atomic_load_explicit(&ring->head.value, memory_order_acquire) >=
           RING_SLOTS)
        ;
    memcpy(ring->slots[at % RING_SLOTS], end->out, RING_BYTES);
    atomic_store_explicit(&ring->tail.value, at + 1, memory_order_release);
}

static void ring_receive(struct end *end)
{
    struct raw *raw = end->state;
    struct ring *ring = &raw->ring[1 - end->side];
    const uint32_t at = atomic_load_explicit(&ring->head.value,
                                             memory_order_relaxed); /* ours alone */

    while (atomic_load_explicit(&ring->tail.value, memory_order_acquire) == at)
        ;
    end->sum += payload_read(ring->slots[at % RING_SLOTS], RING_BYTES);
    atomic_store_explicit(&ring->head.value, at + 1, memory_order_release);
}

const struct transport transport_ring = {
    .name = "ring",
    .comparison = "floor",
    .modes = MODE_SPIN,
    .streams = true,
    .open = raw_open,
    .send = ring_send,
    .receive = ring_receive,
    .close = raw_close,
};

/* A bare futex. */

static void futex_send(struct end *end)
{
    struct raw *raw = end->state;

    flag_send(end);
    futex_wake(&raw->flag[end->side].value);
}

static void futex_receive(struct end *end)
{
    struct raw *raw = end->state;
    _Atomic uint32_t *other = &raw->flag[1 - end->side].value;
    const uint32_t wanted = (uint32_t)++end->received;
    uint32_t seen;

    while ((seen = atomic_load_explicit(other, memory_order_acquire)) != wanted)
        futex_wait(other, seen);
}

const struct transport transport_futex = {
    .name = "futex",
    .comparison = "floor",
    .modes = MODE_BLOCK,
    .open = raw_open,
    .send = futex_send,
    .receive = futex_receive,
    .close = raw_close,
};

/* eventfd, waited for by epoll as an event loop does. */

struct events {
    int event[2]; /* [side]: written by that side */
    int epoll[2]; /* [side]: that side waits here for the other's */
};

static int events_open(size_t bytes, void **state)
{
    if (bytes != RING_BYTES)
        return -EMSGSIZE;
    struct events *e = malloc(sizeof *e);
    if (!e)
        die("no memory");
    for (unsigned i = 0; i < 2; i++) {
        struct epoll_event interest = {.events = EPOLLIN};
        e->event[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        e->epoll[1 - i] = epoll_create1(EPOLL_CLOEXEC);
        if (e->event[i] < 0 || e->epoll[1 - i] < 0 ||
            epoll_ctl(e->epoll[1 - i], EPOLL_CTL_ADD, e->event[i], &interest) != 0)
            die("eventfd and epoll: %s", strerror(errno));
    }
    *state = e;
    return 0;
}

static void events_send(struct end *end)
{
    const struct events *e = end->state;
    const uint64_t one = 1;

    if (write(e->event[end->side], &one, sizeof one) != sizeof one)
        die("eventfd: %s", strerror(errno));
}

static void events_receive(struct end *end)
{
    const struct events *e = end->state;
    struct epoll_event event;
    uint64_t value;

    do
        (void)epoll_wait(e->epoll[end->side], &event, 1, -1);
    while (read(e->event[1 - end->side], &value, sizeof value) != sizeof value);
}

static void events_close(void *state)
{
    struct events *e = state;

    for (unsigned i = 0; i < 2; i++) {
        close(e->event[i]);
        close(e->epoll[i]);
    }
    free(e);
}

const struct transport transport_eventfd = {
    .name = "eventfd-epoll",
    .comparison = "floor",
    .modes = MODE_BLOCK,
    .open = events_open,
    .send = events_send,
    .receive = events_receive,
    .close = events_close,
};
