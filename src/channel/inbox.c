/* SPDX-License-Identifier: MIT */
/* inbox.c - tickets, and which requester gets which reply.
 *
 * The threads of a process share one inbox. The thread that takes a message out of it
 * delivers it: to itself, if it waits for that ticket, else into the pending request, and
 * wakes the others, which sleep on the inbox's word, too. */
#include "src/channel/inbox.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "ipc/exchange/request.h"
#include "ipc/kernel/os.h"
#include "ipc/signal/wake.h"
#include "src/base/error.h"
#include "src/channel/queue.h"
#include "src/message/message.h"

#define PHASE_MASK  UINT64_C(3)
#define ASYNC       UINT64_C(4)
#define SENDING     UINT64_C(8)
#define GENERATION  UINT64_C(16)
#define TICKET_MASK ((UINT64_C(1) << 50) - 1)
#define GENERATIONS (TICKET_MASK / TR_MAX_REQUESTS)

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

static struct inbox *inbox_new(struct tr_arena *arena)
{
    struct inbox *inbox = calloc(1, sizeof(*inbox));

    if (!inbox)
        return NULL;
    inbox->arena = arena;
    inbox->holder = holder_of(&arena->self);
    atomic_init(&inbox->soonest_ns, INT64_MAX);
    return inbox;
}

/* The later one of two generations, of which tickets have 40 bits. */
static uint64_t later(uint64_t one, uint64_t other)
{
    return ((one - other) & GENERATIONS) <= GENERATIONS / 2 ? one : other;
}

/* Generations begin at the time, or where an earlier owner of the same inbox stopped, if that was
 * later: so a late reply to that owner fits no ticket of ours. The time is for an owner that was
 * taken for dead and does not know it yet. */
static void begin_generations(struct inbox *inbox)
{
    uint64_t now = (uint64_t)os->now_ns() / 1000;

    for (uint32_t i = 0; i < TR_MAX_REQUESTS; i++) {
        uint64_t last = shm_get(&inbox->tickets[i]);
        uint64_t start = last ? later(now, TICKET_LAST(last) / TR_MAX_REQUESTS) : now;

        atomic_init(&inbox->pending[i].word, start * GENERATION);
    }
}

void inbox_free(struct inbox *inbox)
{
    while (inbox) {
        struct inbox *older = inbox->older;

        if (inbox->queue)
            handle_free(inbox->queue);
        free(inbox);
        inbox = older;
    }
}

/* The name begins with a byte that names of users may not have. */
static int inbox_make(struct tr_arena *arena, struct inbox **out)
{
    tr_queue_options options = TR_QUEUE_OPTIONS_INIT;
    struct inbox *inbox = inbox_new(arena);
    char name[TR_MAX_CHANNEL_NAME + 1];
    int result;

    if (!inbox)
        return tr_fail(TR_ENOMEM, "no memory for the requests in flight");
    options.capacity = TR_MAX_REQUESTS;
    options.policy = TR_QUEUE_DROP;
    snprintf(name, sizeof(name), "\1inbox/%u", arena->self.who);
    result = queue_open_any(arena, name, &options, UINT64_C(8) * TR_MAX_REQUESTS,
                            &inbox->queue);
    if (result == 0)
        inbox->tickets = inbox_own(&arena->self, inbox->queue->ring.index,
                                   TR_MAX_REQUESTS);
    if (result == 0 && !inbox->tickets)
        result = tr_fail(TR_ECORRUPT, "the inbox of this process is corrupted");
    if (result < 0) {
        inbox_free(inbox);
        return result;
    }
    begin_generations(inbox);
    inbox->queue->ring.is_inbox = true;
    *out = inbox;
    return 0;
}

struct inbox *inbox_there(const struct tr_arena *arena)
{
    /* local: pairs with the exchange below. */
    struct inbox *inbox = atomic_load_explicit(&arena->inbox,
                                               memory_order_acquire); /* local: */

    return inbox && inbox->holder == holder_of(&arena->self) ? inbox : NULL;
}

int inbox_get(struct tr_arena *arena, struct inbox **out)
{
    /* local: pairs with the exchange below. */
    struct inbox *old = atomic_load_explicit(&arena->inbox,
                                             memory_order_acquire); /* local: */
    int result;

    *out = old;
    if (__builtin_expect(old && old->holder == holder_of(&arena->self), 1))
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

static _Atomic uint64_t *shared_word(struct inbox *inbox, uint64_t ticket)
{
    return &inbox->tickets[ticket % TR_MAX_REQUESTS];
}

/* Threads of ours that wait for replies look again: at what came, and how long to sleep. */
static void tell(struct inbox *inbox)
{
    wake_all(&inbox->arena->view, &inbox->queue->ring.channel->items);
}

/* Remember a deadline. Whether it is sooner than all others. */
static bool remember(struct inbox *inbox, int64_t deadline_ns)
{
    int64_t soonest = atomic_load(&inbox->soonest_ns);

    while (deadline_ns < soonest)
        if (atomic_compare_exchange_weak(&inbox->soonest_ns, &soonest, deadline_ns))
            return true;
    return false;
}

static void fill(struct inbox *inbox, struct pending *pending,
                 const struct asking *asking, uint64_t ticket)
{
    set_slot(pending, asking->slot);
    /* relaxed: local, ordered by the word. */
    atomic_store_explicit(&pending->channel, asking->channel, memory_order_relaxed);
    atomic_store_explicit(&pending->deadline_ns, asking->deadline_ns,
                          memory_order_relaxed); /* relaxed: ordered by the word */
    /* relaxed: the sending of the request (E1) comes after. */
    shm_store(shared_word(inbox, ticket), TICKET_WAITS(ticket), memory_order_relaxed);
}

int pending_open(struct inbox *inbox, const struct asking *asking, uint64_t *ticket)
{
    /* relaxed: a hint. */
    uint32_t at = atomic_load_explicit(&inbox->next, memory_order_relaxed);

    for (uint32_t i = 0; i < TR_MAX_REQUESTS; i++, at++) {
        struct pending *pending = &inbox->pending[at % TR_MAX_REQUESTS];
        uint64_t word = atomic_load_explicit(&pending->word, memory_order_relaxed), next;

        if ((word & PHASE_MASK) != PENDING_NONE)
            continue;
        next = word / GENERATION * GENERATION + GENERATION;
        if (asking->async)
            next |= ASYNC | (asking->deadline_ns < INT64_MAX ? SENDING : 0);
        if (!atomic_compare_exchange_strong(&pending->word, &word, next | PENDING_TAKING))
            continue;
        *ticket = ticket_of(next, at % TR_MAX_REQUESTS);
        fill(inbox, pending, asking, *ticket);
        atomic_store(&pending->word, next | PENDING);
        atomic_store_explicit(&inbox->next, at, memory_order_relaxed);
        return 0;
    }
    return tr_fail(TR_ENOSPC, "request: %d are in flight from this process already",
                   TR_MAX_REQUESTS);
}

void pending_sent(struct inbox *inbox, uint64_t ticket)
{
    struct pending *pending = pending_of(inbox, ticket);
    uint64_t word = atomic_load(&pending->word);
    /* relaxed: if the ticket has ended, the time is too early, which is harmless. */
    int64_t deadline = atomic_load_explicit(&pending->deadline_ns, memory_order_relaxed);

    while (is_for(word, ticket) && word & SENDING && (word & PHASE_MASK) == PENDING)
        if (atomic_compare_exchange_strong(&pending->word, &word, word & ~SENDING)) {
            if (remember(inbox, deadline))
                tell(inbox);
            return;
        }
}

static void read_asking(struct pending *pending, uint64_t word, struct asking *asking)
{
    asking->slot = slot_of(pending);
    /* relaxed: local, ordered by the word, here and below. */
    asking->channel = atomic_load_explicit(&pending->channel, memory_order_relaxed);
    asking->deadline_ns = atomic_load_explicit(&pending->deadline_ns,
                                               memory_order_relaxed);
    asking->async = word & ASYNC;
}

bool pending_look(struct inbox *inbox, uint64_t ticket, struct asking *asking)
{
    struct pending *pending = pending_of(inbox, ticket);
    uint64_t word = atomic_load(&pending->word);

    read_asking(pending, word, asking);
    return is_for(word, ticket) && (word & PHASE_MASK) == PENDING &&
           atomic_load(&pending->word) == word;
}

/* PENDING -> TAKING: only this thread ends the ticket. The thread that sent the
 * request may be taking SENDING away meanwhile: then again, or the reply that came would be
 * dropped. */
static bool seize(struct inbox *inbox, uint64_t ticket, uint64_t *word)
{
    struct pending *pending = pending_of(inbox, ticket);

    *word = atomic_load(&pending->word);
    while (is_for(*word, ticket) && (*word & PHASE_MASK) == PENDING)
        if (atomic_compare_exchange_strong(&pending->word, word,
                                           word_with(*word, PENDING_TAKING)))
            return true;
    return false;
}

/* The reply is here: another answer is too late. */
static void answered(struct inbox *inbox, uint64_t ticket)
{
    /* relaxed: a loan that needs memory may free such an answer. */
    shm_store(shared_word(inbox, ticket), TICKET_OVER(ticket), memory_order_relaxed);
}

/* A message that nobody waits for. */
static void drop(struct inbox *inbox, uint32_t slot)
{
    view_count(&inbox->arena->view, COUNT_STALE_REPLIES, 1);
    slot_free(&inbox->arena->self, slot);
}

/* A message for @p ticket: hand it over, or find that nobody wants it. */
static void deliver(struct inbox *inbox, uint64_t ticket, uint32_t slot)
{
    struct pending *pending = pending_of(inbox, ticket);
    uint64_t word;

    if (!seize(inbox, ticket, &word)) {
        drop(inbox, slot);
        return;
    }
    answered(inbox, ticket);
    set_slot(pending, slot);
    if (word & ASYNC)
        atomic_fetch_add(&inbox->ready, 1);
    atomic_store(&pending->word, word_with(word, PENDING_READY));
    tell(inbox);
}

/* One message out of the inbox. 0, -EAGAIN, -EBADMSG: somebody has closed it, which no call
 * does. */
static int pull(struct inbox *inbox, uint32_t *slot, uint64_t *ticket)
{
    int result = ring_take(&inbox->queue->ring, &inbox->arena->self, slot);

    if (result == -ESHUTDOWN)
        return -EBADMSG;
    if (result == 0)
        *ticket = ROUTE_TICKET(
            shm_get(&view_record(&inbox->arena->view, *slot)->reply_to));
    return result;
}

struct ending {
    struct inbox *inbox;
    struct pending *pending;
    uint64_t word;
};

/* The ticket has ended; so has what we know of it. What came for it is dropped, and what came
 * for others is handed over. */
static void drain(void *context)
{
    struct ending *ending = context;
    uint64_t ticket;
    uint32_t slot;

    atomic_store(&ending->pending->word, word_with(ending->word, PENDING_NONE));
    while (pull(ending->inbox, &slot, &ticket) == 0)
        deliver(ending->inbox, ticket, slot);
}

/* Nothing has come, and nothing will. False: it is not PENDING any more. */
static bool give_up(struct inbox *inbox, uint64_t ticket)
{
    struct ending ending = {.inbox = inbox, .pending = pending_of(inbox, ticket)};

    if (!seize(inbox, ticket, &ending.word))
        return false;
    ticket_give_up(shared_word(inbox, ticket), drain, &ending);
    tell(inbox);
    return true;
}

/* Take a request that is READY out of the table. */
static bool take_ready(struct inbox *inbox, uint64_t ticket)
{
    struct pending *pending = pending_of(inbox, ticket);
    uint64_t word = atomic_load(&pending->word);

    if (!is_for(word, ticket) || (word & PHASE_MASK) != PENDING_READY ||
        !atomic_compare_exchange_strong(&pending->word, &word,
                                        word_with(word, PENDING_NONE)))
        return false;
    if (word & ASYNC)
        atomic_fetch_sub(&inbox->ready, 1);
    return true;
}

bool pending_close(struct inbox *inbox, uint64_t ticket)
{
    struct pending *pending = pending_of(inbox, ticket);

    for (;;) {
        uint64_t word = atomic_load(&pending->word);
        uint32_t slot = slot_of(pending);

        if (!is_for(word, ticket) || (word & PHASE_MASK) == PENDING_NONE)
            return false;
        if ((word & PHASE_MASK) == PENDING_TAKING) {
            sched_yield(); /* another thread is between two stores */
        } else if ((word & PHASE_MASK) == PENDING_READY) {
            if (!take_ready(inbox, ticket))
                continue;
            drop(inbox, slot);
            return true;
        } else if (give_up(inbox, ticket)) {
            return true;
        }
    }
}

/* What came is for the caller itself. */
static bool claim(struct inbox *inbox, uint64_t ticket)
{
    uint64_t word;

    if (!seize(inbox, ticket, &word))
        return false;
    answered(inbox, ticket);
    atomic_store_explicit(&pending_of(inbox, ticket)->word, word_with(word, PENDING_NONE),
                          memory_order_release); /* local: pairs with pending_open() */
    return true;
}

int pending_take(struct inbox *inbox, uint64_t ticket, uint32_t *slot)
{
    struct pending *pending = pending_of(inbox, ticket);

    for (;;) {
        uint64_t word = atomic_load(&pending->word), came = 0;
        int result;

        if (!is_for(word, ticket) || (word & PHASE_MASK) == PENDING_NONE)
            return -ESTALE;
        if ((word & PHASE_MASK) == PENDING_READY) {
            *slot = slot_of(pending);
            return take_ready(inbox, ticket) ? 0 : -ESTALE;
        }
        result = pull(inbox, slot, &came);
        if (result < 0)
            return result;
        if (came == ticket && claim(inbox, ticket))
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
            if (take_ready(inbox, *ticket))
                return 0;
        }
        result = pull(inbox, slot, ticket);
        if (result < 0)
            return result;
        if (is_async(inbox, *ticket) && claim(inbox, *ticket))
            return 0;
        deliver(inbox, *ticket, *slot);
    }
}

bool pending_overdue(const struct inbox *inbox)
{
    int64_t soonest = atomic_load(&inbox->soonest_ns);

    return soonest < INT64_MAX && os->now_ns() >= soonest;
}

/* Whether the time of one asynchronous request is over. */
static bool is_over(struct inbox *inbox, uint32_t i, int64_t now_ns, uint64_t *ticket,
                    struct asking *asking)
{
    uint64_t word = atomic_load(&inbox->pending[i].word);

    if ((word & (PHASE_MASK | ASYNC | SENDING)) != (PENDING | ASYNC))
        return false;
    *ticket = ticket_of(word, i);
    return pending_look(inbox, *ticket, asking) && now_ns >= asking->deadline_ns;
}

bool pending_expired(struct inbox *inbox, uint64_t *ticket, struct asking *asking)
{
    int64_t now = os->now_ns();
    bool found = false;

    if (now < atomic_load(&inbox->soonest_ns))
        return false;
    /* Deadlines set from here on are remembered again; earlier ones are seen. */
    atomic_store(&inbox->soonest_ns, INT64_MAX);
    for (uint32_t i = 0; i < TR_MAX_REQUESTS; i++) {
        uint64_t word = atomic_load(&inbox->pending[i].word), one;
        struct asking what;

        if (!found && is_over(inbox, i, now, &one, &what) && give_up(inbox, one)) {
            *ticket = one;
            *asking = what;
            found = true;
        } else if ((word & (PHASE_MASK | ASYNC | SENDING)) == (PENDING | ASYNC)) {
            read_asking(&inbox->pending[i], word, &what);
            (void)remember(inbox, what.deadline_ns);
        }
    }
    /* A thread that went to sleep meanwhile did not know it. */
    if (atomic_load(&inbox->soonest_ns) < INT64_MAX)
        tell(inbox);
    return found;
}
