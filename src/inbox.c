/* SPDX-License-Identifier: MIT */
/* inbox.c - tickets, and who gets what out of the inbox.
 *
 * The threads of a process share one inbox. Whoever takes a message out of it delivers it: to
 * itself, if it waits for that ticket, else into the pending request, and wakes the others,
 * who sleep on the inbox's word, too. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "ipc/os.h"
#include "ipc/wake.h"
#include "src/error.h"
#include "src/message.h"
#include "src/request.h"

#define PHASE_MASK  UINT64_C(3)
#define ASYNC       UINT64_C(4)
#define GENERATION  UINT64_C(8)
#define TICKET_MASK ((UINT64_C(1) << 50) - 1)

_Static_assert((TR_MAX_REQUESTS & (TR_MAX_REQUESTS - 1)) == 0, "tickets are masked");

/* A ticket: 40 bits of the generation of its pending request, then the index of that. */
static uint64_t ticket_of(uint64_t word, uint32_t index)
{
    return (word / GENERATION * TR_MAX_REQUESTS + index) & TICKET_MASK;
}

static struct pending *pending_of(struct inbox *inbox, uint64_t ticket)
{
    return &inbox->pending[ticket % TR_MAX_REQUESTS];
}

static bool is_for(uint64_t word, uint64_t ticket)
{
    return ticket_of(word, (uint32_t)(ticket % TR_MAX_REQUESTS)) == ticket;
}

static uint64_t word_with(uint64_t word, enum phase phase)
{
    return (word & ~PHASE_MASK) | phase;
}

/* Generations begin at the time, so that a late reply to an earlier owner of the same inbox
 * meets no ticket of ours. */
static struct inbox *inbox_new(struct tr_arena *arena)
{
    struct inbox *inbox = calloc(1, sizeof(*inbox));
    uint64_t start = (uint64_t)os->now_ns() / 1000;

    if (!inbox)
        return NULL;
    inbox->arena = arena;
    inbox->holder = holder_of(&arena->peer);
    for (uint32_t i = 0; i < TR_MAX_REQUESTS; i++)
        atomic_init(&inbox->pending[i].word, start * GENERATION);
    return inbox;
}

void inbox_free(struct inbox *inbox)
{
    while (inbox) {
        struct inbox *older = inbox->older;

        tr_queue_close(inbox->queue);
        free(inbox);
        inbox = older;
    }
}

/* The name begins with a byte that no user's may. */
static int inbox_make(struct tr_arena *arena, struct inbox **out)
{
    tr_queue_options options = TR_QUEUE_OPTIONS_INIT;
    struct inbox *inbox = inbox_new(arena);
    char name[TR_MAX_CHANNEL_NAME + 1];
    int result;

    if (!inbox)
        return tr_fail(TR_ENOMEM, "no memory for the requests in flight");
    options.capacity = TR_MAX_REQUESTS;
    options.policy = TR_DROP;
    snprintf(name, sizeof(name), "\1inbox/%u", arena->peer.who);
    result = queue_open_any(arena, name, &options, &inbox->queue);
    if (result < 0) {
        inbox_free(inbox);
        return result;
    }
    inbox_own(&arena->peer, inbox->queue->ring.index);
    *out = inbox;
    return 0;
}

int inbox_get(struct tr_arena *arena, struct inbox **out)
{
    /* local: pairs with the exchange below. */
    struct inbox *old = atomic_load_explicit(&arena->inbox,
                                             memory_order_acquire); /* local: */
    int result;

    *out = old;
    if (__builtin_expect(old && old->holder == holder_of(&arena->peer), 1))
        return 0;
    result = inbox_make(arena, out);
    if (result < 0)
        return result;
    (*out)->older = old; /* another thread may be looking at it */
    if (!atomic_compare_exchange_strong(&arena->inbox, &old, *out)) {
        (*out)->older = NULL;
        inbox_free(*out); /* another thread was faster */
        *out = old;
    }
    return 0;
}

/* relaxed: local, ordered by the word. */
static uint32_t slot_of(struct pending *pending)
{
    return atomic_load_explicit(&pending->slot, memory_order_relaxed);
}

static void set_slot(struct pending *pending, uint32_t slot)
{
    atomic_store_explicit(&pending->slot, slot, memory_order_relaxed);
}

int pending_open(struct inbox *inbox, bool async, tr_queue *queue, uint32_t slot,
                 uint64_t *ticket)
{
    /* relaxed: a hint. */
    uint32_t at = atomic_load_explicit(&inbox->next, memory_order_relaxed);

    for (uint32_t i = 0; i < TR_MAX_REQUESTS; i++, at++) {
        struct pending *pending = &inbox->pending[at % TR_MAX_REQUESTS];
        uint64_t word = atomic_load_explicit(&pending->word, memory_order_relaxed), next;

        if ((word & PHASE_MASK) != PENDING_NOT)
            continue;
        next = word / GENERATION * GENERATION + GENERATION;
        next |= async ? ASYNC : 0;
        if (!atomic_compare_exchange_strong(&pending->word, &word, next | PENDING_TAKING))
            continue;
        set_slot(pending, slot);
        pending->queue = queue;
        atomic_store(&pending->word, next | PENDING);
        atomic_store_explicit(&inbox->next, at, memory_order_relaxed);
        *ticket = ticket_of(next, at % TR_MAX_REQUESTS);
        return 0;
    }
    return tr_fail(TR_ENOSPC, "request: %d are in flight from this process already",
                   TR_MAX_REQUESTS);
}

bool pending_close(struct inbox *inbox, uint64_t ticket)
{
    struct pending *pending = pending_of(inbox, ticket);
    uint64_t word = atomic_load(&pending->word);

    while (is_for(word, ticket) && (word & PHASE_MASK) != PENDING_NOT) {
        uint32_t slot = slot_of(pending);

        if ((word & PHASE_MASK) == PENDING_TAKING) {
            sched_yield(); /* another thread is between two stores */
            word = atomic_load(&pending->word);
            continue;
        }
        if (!atomic_compare_exchange_strong(&pending->word, &word,
                                            word_with(word, PENDING_NOT)))
            continue;
        if ((word & PHASE_MASK) == PENDING_READY) {
            if (word & ASYNC)
                atomic_fetch_sub(&inbox->ready, 1);
            slot_free(&inbox->arena->peer, slot);
        }
        return true;
    }
    return false;
}

/* A message that came, for @p ticket: hand it over, or find that nobody wants it. */
static void deliver(struct inbox *inbox, uint64_t ticket, uint32_t slot)
{
    struct pending *pending = pending_of(inbox, ticket);
    uint64_t word = atomic_load(&pending->word);

    if (!is_for(word, ticket) || (word & PHASE_MASK) != PENDING ||
        !atomic_compare_exchange_strong(&pending->word, &word,
                                        word_with(word, PENDING_TAKING))) {
        view_count(&inbox->arena->view, COUNT_STALE_REPLIES, 1);
        slot_free(&inbox->arena->peer, slot);
        return;
    }
    set_slot(pending, slot);
    if (word & ASYNC)
        atomic_fetch_add(&inbox->ready, 1);
    atomic_store(&pending->word, word_with(word, PENDING_READY));
    wake_all(&inbox->arena->view, &inbox->queue->ring.channel->items);
}

/* One message out of the inbox. 0, -EAGAIN. */
static int pull(struct inbox *inbox, uint32_t *slot, uint64_t *ticket)
{
    int result = ring_take(&inbox->queue->ring, &inbox->arena->peer, slot);

    if (result == 0)
        *ticket = ROUTE_TICKET(
            shm_get(&view_record(&inbox->arena->view, *slot)->reply_to));
    return result;
}

/* Take a request that is in phase @p from out of the table. */
static bool claim(struct inbox *inbox, uint64_t ticket, enum phase from)
{
    struct pending *pending = pending_of(inbox, ticket);
    uint64_t word = atomic_load(&pending->word);

    if (!is_for(word, ticket) || (word & PHASE_MASK) != from ||
        !atomic_compare_exchange_strong(&pending->word, &word,
                                        word_with(word, PENDING_NOT)))
        return false;
    if (from == PENDING_READY && (word & ASYNC))
        atomic_fetch_sub(&inbox->ready, 1);
    return true;
}

int pending_take(struct inbox *inbox, uint64_t ticket, uint32_t *slot)
{
    struct pending *pending = pending_of(inbox, ticket);

    for (;;) {
        uint64_t word = atomic_load(&pending->word), came = 0;
        int result;

        if (!is_for(word, ticket) || (word & PHASE_MASK) == PENDING_NOT)
            return -ESTALE;
        if ((word & PHASE_MASK) == PENDING_READY) {
            *slot = slot_of(pending);
            return claim(inbox, ticket, PENDING_READY) ? 0 : -ESTALE;
        }
        result = pull(inbox, slot, &came);
        if (result < 0)
            return result;
        if (came == ticket && claim(inbox, ticket, PENDING))
            return 0;
        deliver(inbox, came, *slot);
    }
}

static bool is_async(struct inbox *inbox, uint64_t ticket)
{
    return atomic_load(&pending_of(inbox, ticket)->word) & ASYNC;
}

int pending_take_any(struct inbox *inbox, uint64_t *ticket, uint32_t *slot)
{
    for (;;) {
        int result;

        for (uint32_t i = 0; i < TR_MAX_REQUESTS && atomic_load(&inbox->ready); i++) {
            uint64_t word = atomic_load(&inbox->pending[i].word);

            if ((word & (PHASE_MASK | ASYNC)) != (PENDING_READY | ASYNC))
                continue;
            *ticket = ticket_of(word, i);
            *slot = slot_of(&inbox->pending[i]);
            if (claim(inbox, *ticket, PENDING_READY))
                return 0;
        }
        result = pull(inbox, slot, ticket);
        if (result < 0)
            return result;
        if (is_async(inbox, *ticket) && claim(inbox, *ticket, PENDING))
            return 0;
        deliver(inbox, *ticket, *slot);
    }
}
