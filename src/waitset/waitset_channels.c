/* SPDX-License-Identifier: MIT */
/* waitset_channels.c - how queues, broadcasts, keys, replies and loans get into a wait set. */
#include <errno.h>

#include "src/base/error.h"
#include "src/channel/board.h"
#include "src/channel/broadcast.h"
#include "src/channel/inbox.h"
#include "src/channel/queue.h"
#include "src/waitset/waitset.h"

static uint32_t queue_readable(const struct waitable *what)
{
    struct tr_queue *queue = queue_known(what->context);
    int result = queue ? ring_readable(&queue->ring) : -ESHUTDOWN;

    return result == 0 ? TR_WAIT_READABLE : result == -ESHUTDOWN ? TR_WAIT_HUNGUP : 0;
}

static uint32_t queue_writable(const struct waitable *what)
{
    struct tr_queue *queue = queue_known(what->context);

    if (!queue || ring_is_closed(&queue->ring))
        return TR_WAIT_HUNGUP;
    return ring_writable(&queue->ring) == 0 ? TR_WAIT_WRITABLE : 0;
}

int tr_waitset_add_queue(tr_waitset *given, tr_queue *handle, uint32_t want,
                         uint64_t token)
{
    struct waitable readable, writable;
    struct tr_waitset *set = waitset_known(given);
    struct tr_queue *queue = queue_known(handle);
    int result = 0;

    if (!set || !queue)
        return set ? handle_fail(handle, "waitset add queue", "queue")
                   : handle_fail(given, "waitset add queue", "wait set");
    if (want == 0 || want & ~(uint32_t)(TR_WAIT_READABLE | TR_WAIT_WRITABLE))
        return tr_fail(
            TR_EINVAL,
            "waitset add queue: want is 0x%x, not TR_WAIT_READABLE, TR_WAIT_WRITABLE or "
            "both",
            want);
    readable = (struct waitable){.word = &queue->ring.channel->items,
                                 .ready = queue_readable,
                                 .context = handle,
                                 .fd = -1,
                                 .want = TR_WAIT_READABLE};
    writable = (struct waitable){.word = &queue->ring.channel->room,
                                 .ready = queue_writable,
                                 .context = handle,
                                 .fd = -1,
                                 .want = TR_WAIT_WRITABLE};
    if (want & TR_WAIT_READABLE)
        result = waitset_add(set, &readable, token);
    if (result == 0 && want & TR_WAIT_READABLE)
        queue_receives(queue);
    if (result == 0 && want & TR_WAIT_WRITABLE)
        result = waitset_add(set, &writable, token);
    return result;
}

static uint32_t subscription_readable(const struct waitable *what)
{
    const struct tr_subscription *subscription = subscription_known(what->context);
    int result = subscription ? subscription_ready(subscription) : -ESHUTDOWN;

    return result == 0 ? TR_WAIT_READABLE : result == -ESHUTDOWN ? TR_WAIT_HUNGUP : 0;
}

/* A word with listeners; only those of the set's own arena count. */
static int add(const tr_waitset *given, struct tr_arena *arena, struct waitable what,
               uint64_t token)
{
    struct tr_waitset *set = waitset_known(given);

    if (!set)
        return handle_fail(given, "waitset add", "wait set");
    if (set->arena != arena)
        return tr_fail(TR_EINVAL, "waitset: add what lies in another arena");
    what.fd = -1;
    what.want = what.want ? what.want : TR_WAIT_READABLE;
    return waitset_add(set, &what, token);
}

int tr_waitset_add_subscription(tr_waitset *set, tr_subscription *given, uint64_t token)
{
    struct tr_subscription *subscription = subscription_known(given);
    struct tr_broadcast *broadcast = subscription ? &subscription->broadcast : NULL;
    struct waitable what = {.ready = subscription_readable, .context = given};
    int result = broadcast ? arena_enter(broadcast->arena)
                           : handle_fail(given, "waitset add", "subscription");

    if (result < 0)
        return result;
    what.word = &broadcast->ring.channel->items;
    if (!subscription_is_ours(subscription))
        return tr_fail(TR_EFORK,
                       "waitset: the place in broadcast \"%s\" belongs to the parent "
                       "process; subscribe in the child",
                       broadcast->name);
    return add(set, broadcast->arena, what, token);
}

static uint32_t watch_readable(const struct waitable *what)
{
    struct tr_board_watch *watch = watch_known(what->context);
    bool there;

    if (!watch)
        return TR_WAIT_HUNGUP;
    return board_key_version(watch->entry, &there) > atomic_load(&watch->seen) && there
               ? TR_WAIT_READABLE
               : 0;
}

int tr_waitset_add_watch(tr_waitset *set, tr_board_watch *given, uint64_t token)
{
    struct tr_board_watch *watch = watch_known(given);
    struct waitable what = {.ready = watch_readable, .context = given};

    if (!watch)
        return handle_fail(given, "waitset add", "watch");
    what.word = &watch->board.table.channel->items;
    return add(set, watch->board.arena, what, token);
}

static uint32_t replies_readable(const struct waitable *what)
{
    struct inbox *inbox = what->context;

    return atomic_load(&inbox->ready) || ring_readable(&inbox->queue->ring) == 0 ||
                   pending_overdue(inbox)
               ? TR_WAIT_READABLE
               : 0;
}

static _Atomic uint32_t *word_of(const struct inbox *inbox)
{
    return &inbox->queue->ring.channel->items;
}

/* A child's replies come into an inbox of its own. */
static int replies_renew(struct waitable *what)
{
    const struct inbox *parents = what->context;
    struct inbox *own;
    int result = inbox_get(parents->arena, &own);

    if (result == 0) {
        what->context = own;
        what->word = word_of(own);
    }
    return result;
}

static int64_t replies_due(void *context)
{
    struct inbox *inbox = context;

    return atomic_load(&inbox->soonest_ns);
}

int tr_waitset_add_replies(tr_waitset *given, uint64_t token)
{
    struct tr_waitset *set = waitset_known(given);
    struct inbox *inbox = NULL;
    int result = set ? arena_enter(set->arena)
                     : handle_fail(given, "waitset add", "wait set");

    if (result == 0)
        result = inbox_get(set->arena, &inbox);
    if (result != 0)
        return result;
    return add(given, set->arena,
               (struct waitable){.word = word_of(inbox),
                                 .ready = replies_readable,
                                 .due = replies_due,
                                 .renew = replies_renew,
                                 .context = inbox},
               token);
}

static uint32_t broadcast_room(const struct waitable *what)
{
    const struct tr_broadcast *broadcast = broadcast_known(what->context);
    int result = broadcast ? broadcast_writable(&broadcast->ring) : -ESHUTDOWN;

    return result == 0 ? TR_WAIT_WRITABLE : result == -ESHUTDOWN ? TR_WAIT_HUNGUP : 0;
}

int tr_waitset_add_broadcast(tr_waitset *set, tr_broadcast *given, uint64_t token)
{
    struct tr_broadcast *broadcast = broadcast_known(given);
    struct waitable what = {
        .ready = broadcast_room, .context = given, .want = TR_WAIT_WRITABLE};

    if (!broadcast)
        return handle_fail(given, "waitset add", "broadcast");
    what.word = &broadcast->ring.channel->room;
    return add(set, broadcast->arena, what, token);
}
