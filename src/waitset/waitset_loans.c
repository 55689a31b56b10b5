/* SPDX-License-Identifier: MIT */
/* waitset_loans.c - how a wait for a free slot, or for memory, gets into a wait set. */
#include "src/base/error.h"
#include "src/channel/broadcast.h"
#include "src/channel/queue.h"
#include "src/waitset/waitset.h"

static uint32_t writable(const struct waitable *what, const struct tr_arena *arena)
{
    return loan_needs_met(arena, &what->needs) ? TR_WAIT_WRITABLE : 0;
}

/* What is for a channel ends with it, but a free slot comes first: as tr_queue_loan(). */
static uint32_t loan_ready(const struct waitable *what)
{
    return writable(what, what->context);
}

static uint32_t queue_loan_ready(const struct waitable *what)
{
    struct tr_queue *queue = queue_known(what->context);
    uint32_t ready = queue ? writable(what, queue->arena) : TR_WAIT_HUNGUP;

    return ready ? ready : ring_is_closed(&queue->ring) ? TR_WAIT_HUNGUP : 0;
}

static uint32_t broadcast_loan_ready(const struct waitable *what)
{
    struct tr_broadcast *broadcast = broadcast_known(what->context);
    uint32_t ready = broadcast ? writable(what, broadcast->arena) : TR_WAIT_HUNGUP;

    return ready ? ready : broadcast_closed(&broadcast->ring) ? TR_WAIT_HUNGUP : 0;
}

/* A loan in @p arena, which the set must be of. */
static int add(const tr_waitset *given, const struct tr_arena *arena,
               struct waitable what, const tr_tensor_spec specs[], size_t n,
               uint64_t token)
{
    struct tr_waitset *set = waitset_known(given);
    int result;

    if (!set)
        return handle_fail(given, "waitset add loan", "wait set");
    if (arena && set->arena != arena)
        return tr_fail(TR_EINVAL, "waitset add loan: the channel lies in another arena");
    result = loan_needs_of(set->arena, specs, n, &what.needs);
    if (result < 0)
        return result;
    what.word = view_freed(&set->arena->view, what.needs.class);
    what.loan = true;
    what.fd = -1;
    what.want = TR_WAIT_WRITABLE;
    if (!what.context)
        what.context = set->arena;
    return waitset_add(set, &what, token);
}

int tr_waitset_add_loan(tr_waitset *set, const tr_tensor_spec specs[], size_t n,
                        uint64_t token)
{
    return add(set, NULL, (struct waitable){.ready = loan_ready}, specs, n, token);
}

int tr_waitset_add_queue_loan(tr_waitset *set, tr_queue *given,
                              const tr_tensor_spec specs[], size_t n, uint64_t token)
{
    const struct tr_queue *queue = queue_known(given);

    if (!queue)
        return handle_fail(given, "waitset add loan", "queue");
    return add(set, queue->arena,
               (struct waitable){.ready = queue_loan_ready, .context = given}, specs, n,
               token);
}

int tr_waitset_add_broadcast_loan(tr_waitset *set, tr_broadcast *given,
                                  const tr_tensor_spec specs[], size_t n, uint64_t token)
{
    const struct tr_broadcast *broadcast = broadcast_known(given);

    if (!broadcast)
        return handle_fail(given, "waitset add loan", "broadcast");
    return add(set, broadcast->arena,
               (struct waitable){.ready = broadcast_loan_ready, .context = given}, specs,
               n, token);
}
