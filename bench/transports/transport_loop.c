/* SPDX-License-Identifier: MIT */
/* Shared pages, a flag, and the payload: as a program without a library. One
 * warmed buffer each way, used again for every message. */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "transports/payload.h"
#include "transports/transport.h"

struct line {
    _Alignas(128) _Atomic uint32_t value;
};

struct loop {
    struct line *flag; /* [side]: how many messages that side has sent */
    uint8_t *pages[2];
    size_t bytes;
};

static int loop_open(size_t bytes, void **state)
{
    struct loop *l = malloc(sizeof *l);

    if (!l)
        die("no memory");
    l->flag = map_shared(2 * sizeof *l->flag);
    for (unsigned i = 0; i < 2; i++)
        l->pages[i] = map_shared(bytes);
    l->bytes = bytes;
    *state = l;
    return 0;
}

static void loop_close(void *state)
{
    struct loop *l = state;

    for (unsigned i = 0; i < 2; i++)
        unmap_shared(l->pages[i], l->bytes);
    unmap_shared(l->flag, 2 * sizeof *l->flag);
    free(l);
}

static void loop_post(struct end *end, const struct loop *l)
{
    _Atomic uint32_t *mine = &l->flag[end->side].value;

    atomic_store_explicit(mine, (uint32_t)++end->sent, memory_order_release);
    if (end->mode == MODE_BLOCK)
        syscall(SYS_futex, mine, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void copy_send(struct end *end)
{
    const struct loop *l = end->state;

    if (end->touch == TOUCH_FILLREAD)
        payload_fill(end->out, end->bytes, end->sent);
    if (end->touch != TOUCH_NONE)
        memcpy(l->pages[end->side], end->out, end->bytes);
    loop_post(end, l);
}

static void fill_send(struct end *end)
{
    const struct loop *l = end->state;

    if (end->touch != TOUCH_NONE)
        payload_fill(l->pages[end->side], end->bytes, end->sent);
    loop_post(end, l);
}

static void loop_receive(struct end *end)
{
    const struct loop *l = end->state;
    _Atomic uint32_t *other = &l->flag[1 - end->side].value;
    const uint32_t wanted = (uint32_t)++end->received;
    uint32_t seen;

    while ((seen = atomic_load_explicit(other, memory_order_acquire)) != wanted)
        if (end->mode == MODE_BLOCK)
            syscall(SYS_futex, other, FUTEX_WAIT, seen, NULL, NULL, 0);
    end_consume(end, l->pages[1 - end->side]);
}

const struct transport transport_loop = {
    .name = "loop",
    .comparison = "floor",
    .modes = MODE_SPIN | MODE_BLOCK,
    .open = loop_open,
    .send = copy_send,
    .receive = loop_receive,
    .close = loop_close,
};

const struct transport transport_loop_fill = {
    .name = "loop-fill",
    .comparison = "floor",
    .modes = MODE_SPIN | MODE_BLOCK,
    .open = loop_open,
    .send = fill_send,
    .receive = loop_receive,
    .close = loop_close,
};
