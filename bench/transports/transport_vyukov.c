/* SPDX-License-Identifier: MIT */
/* A bounded queue for many senders and receivers after Dmitry Vyukov's design: a sequence
 * number in every cell says whose turn it is. 64 bytes of payload a cell, no wake-ups, no
 * crash safety: the reference for messages a second. */
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "transports/payload.h"
#include "transports/transport.h"

#define CELLS        256u /* as many as our queues have */
#define CELL_PAYLOAD 64u
#define PAUSES       64u /* before the processor is offered to somebody else */

struct cell {
    _Alignas(64) _Atomic uint64_t turn;
    uint8_t payload[CELL_PAYLOAD];
};

struct vyukov {
    _Alignas(128) _Atomic uint64_t tail;
    _Alignas(128) _Atomic uint64_t head;
    _Alignas(128) struct cell cells[CELLS];
};

static int vyukov_open(size_t bytes, void **state)
{
    if (bytes != CELL_PAYLOAD)
        return -EMSGSIZE;
    struct vyukov *q = map_shared(2 * sizeof *q); /* [side]: sent by that side */
    for (unsigned side = 0; side < 2; side++)
        for (uint64_t i = 0; i < CELLS; i++)
            atomic_init(&q[side].cells[i].turn, i);
    *state = q;
    return 0;
}

static void vyukov_close(void *state)
{
    unmap_shared(state, 2 * sizeof(struct vyukov));
}

static void pause_or_yield(unsigned *waited)
{
    if (++*waited % PAUSES == 0)
        sched_yield();
    else
        cpu_relax();
}

/* Claim the cell at @p cursor whose turn is @p offset ahead of its position. */
static struct cell *claim(_Atomic uint64_t *cursor, struct cell *cells, uint64_t offset,
                          uint64_t *at)
{
    uint64_t position = atomic_load_explicit(cursor, memory_order_relaxed);
    unsigned waited = 0;

    for (;;) {
        struct cell *cell = &cells[position % CELLS];
        const uint64_t turn = atomic_load_explicit(&cell->turn, memory_order_acquire);
        if (turn == position + offset) {
            if (atomic_compare_exchange_weak_explicit(cursor, &position, position + 1,
                                                      memory_order_relaxed,
                                                      memory_order_relaxed)) {
                *at = position;
                return cell;
            }
        } else {
            if ((int64_t)(turn - (position + offset)) < 0)
                pause_or_yield(&waited);
            position = atomic_load_explicit(cursor, memory_order_relaxed);
        }
    }
}

static void vyukov_send(struct end *end)
{
    struct vyukov *q = (struct vyukov *)end->state + end->side;
    uint64_t at;
    struct cell *cell = claim(&q->tail, q->cells, 0, &at);

    memcpy(cell->payload, end->out, CELL_PAYLOAD);
    atomic_store_explicit(&cell->turn, at + 1, memory_order_release);
}

static void vyukov_receive(struct end *end)
{
    struct vyukov *q = (struct vyukov *)end->state + (1 - end->side);
    uint64_t at;
    struct cell *cell = claim(&q->head, q->cells, 1, &at);

    end->sum += payload_read(cell->payload, CELL_PAYLOAD);
    atomic_store_explicit(&cell->turn, at + CELLS, memory_order_release);
}

const struct transport transport_vyukov = {
    .name = "vyukov",
    .comparison = "vyukov",
    .modes = MODE_SPIN,
    .many = true,
    .streams = true,
    .open = vyukov_open,
    .send = vyukov_send,
    .receive = vyukov_receive,
    .close = vyukov_close,
};
