/* SPDX-License-Identifier: MIT */
#include <tensoring/histogram.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/exchange/channel.h"
#include "ipc/exchange/histogram.h"
#include "ipc/exchange/receivers.h"
#include "ipc/exchange/request.h"
#include "ipc/kernel/os.h"
#include "ipc/path.h"
#include "ipc/signal/wake.h"
#include "ipc/wait/wait.h"
#include "src/base/error.h"
#include "src/base/options.h"
#include "src/channel/channel.h"
#include "src/channel/hand_over.h"
#include "src/channel/queue.h"
#include "src/channel/reply.h"
#include "src/channel/request_explain.h"
#include "src/message/message.h"
#include "src/message/message_open.h"

#define FALLBACK_CAPACITY 256

static int check_options(const char *name, const tr_queue_options *options)
{
    if (options->capacity > TR_MAX_CAPACITY)
        return tr_fail(TR_EINVAL, "queue \"%s\": capacity %u, the limit is %d", name,
                       options->capacity, TR_MAX_CAPACITY);
    if (options->policy > TR_QUEUE_DROP)
        return tr_fail(
            TR_EINVAL,
            "queue \"%s\": policy %u is neither TR_QUEUE_REDELIVER nor TR_QUEUE_DROP",
            name, options->policy);
    if (options->max_deliveries < 1 || options->max_deliveries > 255)
        return tr_fail(TR_EINVAL, "queue \"%s\": max_deliveries %u, allowed are 1 to 255",
                       name, options->max_deliveries);
    if (options->stamp > 1)
        return tr_fail(TR_EINVAL, "queue \"%s\": stamp is %u, allowed are 0 and 1", name,
                       options->stamp);
    if (options->histograms > 1)
        return tr_fail(TR_EINVAL, "queue \"%s\": histograms is %u, allowed are 0 and 1",
                       name, options->histograms);
    return 0;
}

/* Whether the queue that is there is what the caller asked for. */
static int check_same(const tr_queue *queue, const tr_queue_options *options)
{
    if (options->capacity && options->capacity != queue->ring.capacity)
        return tr_fail(TR_EINVAL, "queue \"%s\" is there with capacity %u, not %u",
                       queue->name, queue->ring.capacity, options->capacity);
    if (options->policy == TR_QUEUE_DROP && queue->ring.redeliver)
        return tr_fail(
            TR_EINVAL,
            "queue \"%s\" is there with policy TR_QUEUE_REDELIVER, not TR_QUEUE_DROP",
            queue->name);
    return 0;
}

static struct handle_kind queues = {.bytes = sizeof(struct tr_queue)};

void queue_orphan(const struct tr_arena *arena)
{
    handle_orphan(&queues, arena, NULL);
}

int queue_open_any(tr_arena *arena, const char *name, const tr_queue_options *options,
                   uint64_t behind, tr_queue **out)
{
    struct channel_spec spec = {.name = name,
                                .kind = CHANNEL_QUEUE,
                                .capacity = options->capacity,
                                .fallback = FALLBACK_CAPACITY,
                                .policy = options->policy,
                                .max_deliveries = options->max_deliveries,
                                .stamp = options->stamp || options->histograms};
    struct tr_queue *queue = handle_new(&queues);
    uint32_t index;
    int result;

    if (!queue)
        return tr_fail(TR_ENOMEM, "no memory for the handle of a queue");
    histogram_spec(&spec, options->histograms);
    if (behind)
        spec.ring_bytes = UINT64_C(8) * options->capacity + behind;
    result = channel_open_waiting(arena, &spec, &index);
    if (result == 0 && channel_ring(&arena->view, index, &queue->ring) < 0)
        result = channel_broken("queue", name);
    if (result == 0) {
        queue->handle.arena = queue->arena = arena;
        queue->stamp = shm_get(&queue->ring.channel->stamp) != 0;
        queue->histograms = histogram_all(&arena->view, index);
        memcpy(queue->name, name, strlen(name) + 1);
        result = check_same(queue, options);
    }
    if (result < 0) {
        handle_free(queue);
        return result;
    }
    *out = queue;
    return 0;
}

int tr_queue_open(tr_arena *handle, const char *name, const tr_queue_options *given,
                  tr_queue **out)
{
    tr_queue_options options = TR_QUEUE_OPTIONS_INIT;
    struct tr_arena *arena = arena_known(handle);
    struct tr_queue *queue = NULL;
    int result = out ? options_take(&options, sizeof(options), given, "tr_queue_options")
                     : null_fail("queue open", "out");

    if (result == 0)
        result = channel_name_check(name);
    if (result == 0)
        result = check_options(name, &options);
    if (result == 0)
        result = arena ? arena_enter(arena) : handle_fail(handle, "queue open", "arena");
    if (result == 0)
        result = queue_open_any(arena, name, &options, 0, &queue);
    if (result == 0)
        *out = handle_of(queue);
    return result;
}

void tr_queue_close(tr_queue *given)
{
    struct tr_queue *queue = handle_retire(given);

    if (queue)
        handle_free(queue);
}

int tr_queue_loan(tr_queue *given, const tr_tensor_spec specs[], size_t n,
                  int64_t timeout_ns, tr_message **out)
{
    struct tr_queue *queue = queue_known(given);
    int result = queue ? message_loan_for(handle_of(queue->arena), queue->ring.channel,
                                          specs, n, timeout_ns, out)
                       : handle_fail(given, "loan", "queue");

    return result == -ESHUTDOWN
               ? tr_fail(TR_ECLOSED, "loan: queue \"%s\" is closed", queue->name)
               : result;
}

PATH int send_once(tr_queue *queue, uint32_t slot)
{
    /* Soon after the shutdown; what was not seen here the seal in the ring settles. */
    if (UNLIKELY(ring_is_closed(&queue->ring)))
        return -ESHUTDOWN;
    return ring_put(&queue->ring, &queue->arena->self, slot);
}

struct sending {
    tr_queue *queue;
    uint32_t slot;
};

static int try_send(void *context)
{
    struct sending *sending = context;

    return send_once(sending->queue, sending->slot);
}

static int explain_send(const tr_queue *queue, int result)
{
    int code;

    if (result == -ESHUTDOWN)
        return tr_fail(TR_ECLOSED, "send: queue \"%s\" is closed", queue->name);
    code = tr_fail_wait(result, "send: queue \"%s\" is full, it holds %u messages",
                        queue->name, queue->ring.capacity);
    if (code == TR_ETIMEDOUT) /* it costs a pass over the slots */
        request_explain_queue(queue->arena, queue->ring.index);
    return code;
}

/* It was not sent, as @p result says: wait for room, if that helps. */
static ASIDE int send_slowly(tr_queue *queue, struct message *message, int64_t timeout_ns,
                             int result)
{
    struct sending sending = {.queue = queue, .slot = message->slot};

    if (result == -EAGAIN && timeout_ns != 0)
        result = wait_for(&queue->arena->self, &queue->ring.channel->room, try_send,
                          &sending, timeout_ns);
    if (result == 0)
        return 0;
    message_keep(message);
    return explain_send(queue, result);
}

PATH int send_checked(struct tr_queue *queue, struct message *message,
                      const tr_message *given, int64_t timeout_ns)
{
    int result;

    hand_over_begin(message, given, queue->stamp);
    result = send_once(queue, message->slot);
    return LIKELY(result == 0) ? 0 : send_slowly(queue, message, timeout_ns, result);
}

int queue_send(struct tr_queue *queue, const tr_message *given, int64_t timeout_ns)
{
    return send_checked(queue, handle_address(given), given, timeout_ns);
}

int tr_queue_send(tr_queue *handle, tr_message *given, int64_t timeout_ns)
{
    struct message *message = NULL;
    struct tr_queue *queue;
    int result = queue_enter(handle, "send", timeout_ns, &queue);

    if (result == 0)
        result = message_owned(given, "send", &message);
    if (result == 0 && message->arena != queue->arena)
        result = hand_over_elsewhere("send", "queue", queue->name);
    return LIKELY(result == 0) ? send_checked(queue, message, given, timeout_ns) : result;
}

struct receiving {
    tr_queue *queue;
    struct ring_taken taken;
    struct ring_snapshot snapshot; /* when nothing was there */
};

static bool still_nothing(const void *context)
{
    const struct receiving *receiving = context;

    return ring_unchanged(&receiving->queue->ring, &receiving->snapshot);
}

static int try_receive(void *context)
{
    struct receiving *receiving = context;
    tr_queue *queue = receiving->queue;
    int result = ring_receive(&queue->ring, &queue->arena->self, &receiving->taken);

    if (result == -EAGAIN)
        receiving->snapshot = ring_take_snapshot(&queue->ring);
    return result;
}

static int has_more(void *context)
{
    struct receiving *receiving = context;

    return ring_readable(&receiving->queue->ring);
}

/* Nothing was there: wait for it. */
static ASIDE int receive_slowly(tr_queue *queue, int64_t timeout_ns, int result,
                                struct ring_taken *taken)
{
    static const struct wait_taking taking = {try_receive, has_more, still_nothing};
    struct receiving receiving = {.queue = queue};

    if (result == -EAGAIN && timeout_ns != 0) {
        receiving.snapshot = ring_take_snapshot(&queue->ring);
        result = wait_to_take(&queue->arena->self, &queue->ring.channel->items, &taking,
                              &receiving, timeout_ns);
    }
    *taken = receiving.taken;
    if (result == -ESHUTDOWN)
        return tr_fail(TR_ECLOSED, "receive: queue \"%s\" is closed and empty",
                       queue->name);
    return result == 0
               ? 0
               : tr_fail_wait(result, "receive: queue \"%s\" is empty", queue->name);
}

/* What was received is corrupted: its slot is freed at once. */
static RARE int refuse(struct message *message, int result)
{
    if (!request_refuse(message, result))
        slot_free(&message->arena->self, message->slot);
    return result;
}

/* How long it has waited; and its server begins now. */
static ASIDE void measure(const tr_queue *queue, struct message *message)
{
    const struct slot_record *record = view_record(&queue->arena->view, message->slot);
    uint64_t now = (uint64_t)os->now_ns(), sent = 0;

    if (shm_get(&record->tensors) & TENSORS_HEAD)
        sent = shm_get(&record->published_ns);
    if (sent)
        histogram_add(&queue->histograms[HISTOGRAM_WAIT], now > sent ? now - sent : 0);
    message->received_ns = now;
}

/* The slot is ours: read it. */
PATH int open_received(tr_queue *queue, const struct ring_taken *taken, tr_message **out)
{
    struct tr_arena *arena = queue->arena;
    struct message *message = message_of(arena, taken->slot);
    struct slot_record *record = view_record(&arena->view, taken->slot);
    uint64_t tensors = shm_get(&record->tensors), route = shm_get(&record->reply_to);
    enum held held = HELD_RECEIVED;
    tr_message *handle;
    int result;

    if (UNLIKELY(route_is_request(route))) {
        held = HELD_REQUEST;
        route_fetch(&arena->view, route);
        fetch_to_write(&record->location_even); /* and deadline_ns: a reply goes there */
        message->histograms = queue->histograms;
    }
    message->sequence = taken->sequence;
    message->deliveries = SLOT_DELIVERIES(taken->word);
    message->sender = TENSORS_SENDER(tensors);
    result = message_open(arena, message, taken->slot, taken->word, arena->view.base,
                          held, &handle);
    if (UNLIKELY(queue->histograms != NULL))
        measure(queue, message);
    if (result == 0 && __builtin_expect(arena->view.geo.flags & TR_ARENA_CRC32C, 0))
        result = message_verify(message);
    if (UNLIKELY(result < 0))
        return refuse(message, result);
    *out = handle;
    return 0;
}

void queue_receives(tr_queue *queue)
{
    /* relaxed: local. */
    uint64_t me = atomic_load_explicit(&queue->arena->here->holder, memory_order_relaxed);

    /* relaxed: local; to say it twice does no harm. */
    if (__builtin_expect(
            atomic_load_explicit(&queue->receiver, memory_order_relaxed) == me, 1))
        return;
    receivers_note(&queue->arena->self, queue->ring.index);
    /* relaxed: local; to say it twice does no harm. */
    atomic_store_explicit(&queue->receiver, me, memory_order_relaxed);
}

int tr_queue_receive(tr_queue *handle, int64_t timeout_ns, tr_message **out)
{
    struct ring_taken taken;
    struct tr_queue *queue;
    int result = queue_enter(handle, "receive", timeout_ns, &queue);

    if (__builtin_expect(result == 0 && !out, 0))
        result = null_fail("receive", "out");
    if (result < 0)
        return result;
    arena_check_liveness(queue->arena);
    queue_receives(queue);
    result = ring_receive(&queue->ring, &queue->arena->self, &taken);
    if (UNLIKELY(result < 0))
        result = receive_slowly(queue, timeout_ns, result, &taken);
    return LIKELY(result == 0) ? open_received(queue, &taken, out) : result;
}

void tr_queue_shutdown(tr_queue *given)
{
    struct tr_queue *queue = queue_known(given);

    if (queue && arena_enter(queue->arena) == 0)
        ring_close(&queue->ring);
}

int tr_queue_note_batch(tr_queue *given, uint64_t rows)
{
    struct tr_queue *queue;
    int result = queue_enter(given, "note batch", TR_NOWAIT, &queue);

    if (result == 0 && queue->histograms)
        histogram_add(&queue->histograms[HISTOGRAM_BATCH], rows);
    return result;
}

bool tr_queue_is_closed(const tr_queue *given)
{
    const struct tr_queue *queue = queue_known(given);

    return queue && ring_is_closed(&queue->ring);
}

uint64_t tr_queue_depth(const tr_queue *given)
{
    const struct tr_queue *queue = queue_known(given);

    return queue ? ring_depth(&queue->ring) : 0;
}

uint32_t tr_queue_receivers(const tr_queue *given)
{
    const struct tr_queue *queue = queue_known(given);

    return queue ? receivers_count(&queue->arena->view, queue->ring.index) : 0;
}

uint32_t tr_queue_capacity(const tr_queue *given)
{
    const struct tr_queue *queue = queue_known(given);

    return queue ? queue->ring.capacity : 0;
}

int tr_queue_options_get(const tr_queue *given, tr_queue_options *options)
{
    const struct tr_queue *queue = queue_known(given);
    tr_queue_options all = TR_QUEUE_OPTIONS_INIT;
    int result = queue
                     ? result_size_check(options, sizeof(all), "queue options", "options")
                     : handle_fail(given, "queue options", "queue");

    if (result < 0)
        return result;
    all.struct_size = options->struct_size;
    all.capacity = queue->ring.capacity;
    all.policy = queue->ring.redeliver ? TR_QUEUE_REDELIVER : TR_QUEUE_DROP;
    all.max_deliveries = queue->ring.max_deliveries;
    all.stamp = queue->stamp;
    memcpy(options, &all, all.struct_size);
    return 0;
}

const char *tr_queue_name(const tr_queue *given)
{
    const struct tr_queue *queue = queue_known(given);

    return queue ? queue->name : NULL;
}

tr_arena *tr_queue_arena(const tr_queue *given)
{
    const struct tr_queue *queue = queue_known(given);

    return queue ? handle_of(queue->arena) : NULL;
}
