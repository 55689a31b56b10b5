/* SPDX-License-Identifier: MIT */
/* watch.c - following one key, and how subscriptions, keys and replies get into wait sets. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "src/board.h"
#include "src/broadcast.h"
#include "src/error.h"
#include "src/request.h"
#include "src/waitset.h"

static uint32_t subscription_readable(void *context)
{
    const struct tr_subscription *subscription = subscription_known(context);
    int result = subscription ? subscription_ready(subscription) : -ESHUTDOWN;

    return result == 0 ? TR_READABLE : result == -ESHUTDOWN ? TR_HUNGUP : 0;
}

/* A word that tells listeners, as only those of the set's own arena do. */
static int add(const tr_waitset *given, struct tr_arena *arena, struct waitable what,
               uint64_t token)
{
    struct tr_waitset *set = waitset_known(given);

    if (!set)
        return handle_fail(given, "waitset add", "wait set");
    if (set->arena != arena)
        return tr_fail(TR_EINVAL, "waitset: add what lies in another arena");
    what.fd = -1;
    what.want = TR_READABLE;
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

static struct handle_kind watches = {.bytes = sizeof(struct tr_board_watch)};

void watch_orphan(const struct tr_arena *arena)
{
    handle_orphan(&watches, arena, NULL);
}

static struct tr_board_watch *watch_known(const tr_board_watch *given)
{
    return handle_known(given);
}

int tr_board_watch_key(tr_board *given, const char *key, uint64_t newer_than,
                       tr_board_watch **out)
{
    struct board_name name;
    struct board_key *entry = NULL;
    struct tr_board_watch *watch;
    struct tr_board *board;
    int result = board_enter(given, "watch", key, &board, &name);

    if (result == 0 && !out)
        result = null_fail("watch", "out");
    if (result == 0)
        result = board_entry(board, key, &name, &entry);
    if (result < 0)
        return result;
    watch = handle_new(&watches);
    if (!watch)
        return tr_fail(TR_ENOMEM, "no memory for the handle of a watch");
    watch->board = *board;
    watch->entry = entry;
    atomic_init(&watch->seen, newer_than);
    memcpy(watch->key, key, strlen(key));
    watch->handle.arena = board->arena;
    *out = handle_of(watch);
    return 0;
}

void tr_board_unwatch(tr_board_watch *given)
{
    struct tr_board_watch *watch = handle_retire(given);

    if (watch)
        handle_free(watch);
}

static int watch_next(struct tr_board_watch *watch, int64_t timeout_ns, tr_message **out,
                      uint64_t *version)
{
    for (;;) {
        uint64_t seen = atomic_load(&watch->seen), now = 0;
        tr_message *message = NULL;
        int result = arena_enter(watch->board.arena);

        if (result == 0)
            result = board_wait_entry(&watch->board, watch->key, watch->entry, seen,
                                      timeout_ns, &message, &now);
        if (result < 0)
            return result;
        if (atomic_compare_exchange_strong(&watch->seen, &seen, now)) {
            *out = message;
            if (version)
                *version = now;
            return 0;
        }
        (void)tr_release(message); /* another thread was faster */
    }
}

int tr_board_watch_next(tr_board_watch *given, int64_t timeout_ns, tr_message **out,
                        uint64_t *version)
{
    struct tr_board_watch *watch = watch_known(given);
    int result = watch ? timeout_check("watch next", timeout_ns)
                       : handle_fail(given, "watch next", "watch");

    if (result == 0 && !out)
        result = null_fail("watch next", "out");
    return result < 0 ? result : watch_next(watch, timeout_ns, out, version);
}

static uint32_t watch_readable(void *context)
{
    struct tr_board_watch *watch = watch_known(context);
    bool there;

    if (!watch)
        return TR_HUNGUP;
    return board_key_version(watch->entry, &there) > atomic_load(&watch->seen) && there
               ? TR_READABLE
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

static uint32_t replies_readable(void *context)
{
    struct inbox *inbox = context;

    return atomic_load(&inbox->ready) || ring_readable(&inbox->queue->ring) == 0 ||
                   pending_overdue(inbox)
               ? TR_READABLE
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
