/* SPDX-License-Identifier: MIT */
#include "src/channel/broadcast.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/signal/wake.h"
#include "ipc/wait/wait.h"
#include "src/base/error.h"
#include "src/base/options.h"
#include "src/channel/channel.h"
#include "src/channel/hand_over.h"
#include "src/message/message.h"
#include "src/message/message_open.h"

#define FALLBACK_CAPACITY 63

_Static_assert(TR_MAX_SUBSCRIBERS == MAX_SUBSCRIBERS, "one set of limits");

static int check_options(const char *name, const tr_broadcast_options *options)
{
    if (options->capacity >= TR_MAX_CAPACITY)
        return tr_fail(TR_EINVAL, "broadcast \"%s\": capacity %u, the limit is %d", name,
                       options->capacity, TR_MAX_CAPACITY - 1);
    if (options->max_subscribers < 1 || options->max_subscribers > TR_MAX_SUBSCRIBERS)
        return tr_fail(TR_EINVAL,
                       "broadcast \"%s\": max_subscribers %u, allowed are 1 to %d", name,
                       options->max_subscribers, TR_MAX_SUBSCRIBERS);
    if (options->stamp > 1)
        return tr_fail(TR_EINVAL, "broadcast \"%s\": stamp is %u, allowed are 0 and 1",
                       name, options->stamp);
    return reserved_check("broadcast open", options->reserved);
}

static int open_ring(tr_arena *arena, const char *name,
                     const tr_broadcast_options *options, struct broadcast *ring)
{
    const struct broadcast_spec spec = {
        .name = name,
        .lag = options->capacity ? options->capacity : FALLBACK_CAPACITY,
        .places = options->max_subscribers,
        .keep = options->keep,
        .stamp = options->stamp,
    };
    struct channel_spec channel;
    uint32_t index;
    int result;

    broadcast_channel_spec(&spec, &channel);
    result = channel_open_waiting(arena, &channel, &index);
    if (result < 0)
        return result;
    if (broadcast_view(&arena->view, index, ring) < 0)
        return channel_broken("broadcast", name);
    if (options->capacity && ring->count != channel.capacity)
        return tr_fail(TR_EINVAL, "broadcast \"%s\" is there with capacity %u, not %u",
                       name, ring->count - 1, channel.capacity - 1);
    return 0;
}

static struct handle_kind broadcasts = {.bytes = sizeof(struct tr_broadcast)};
static struct handle_kind subscriptions = {.bytes = sizeof(struct tr_subscription)};

void broadcast_orphan(const struct tr_arena *arena)
{
    handle_orphan(&subscriptions, arena, NULL); /* its place goes with the participant */
    handle_orphan(&broadcasts, arena, NULL);
}

int tr_broadcast_open(tr_arena *handle, const char *name,
                      const tr_broadcast_options *given, tr_broadcast **out)
{
    tr_broadcast_options options = TR_BROADCAST_OPTIONS_INIT;
    struct tr_arena *arena = arena_known(handle);
    struct tr_broadcast *broadcast;
    int result = out ? options_take(&options, sizeof(options), given,
                                    "tr_broadcast_options")
                     : null_fail("broadcast open", "out");

    if (result == 0)
        result = channel_name_check(name);
    if (result == 0)
        result = check_options(name, &options);
    if (result == 0)
        result = arena ? arena_enter(arena)
                       : handle_fail(handle, "broadcast open", "arena");
    if (result < 0)
        return result;
    broadcast = handle_new(&broadcasts);
    if (!broadcast)
        return tr_fail(TR_ENOMEM, "no memory for the handle of a broadcast");
    result = open_ring(arena, name, &options, &broadcast->ring);
    if (result < 0) {
        handle_free(broadcast);
        return result;
    }
    broadcast->handle.arena = broadcast->arena = arena;
    broadcast->stamp = shm_get(&broadcast->ring.channel->stamp) != 0;
    memcpy(broadcast->name, name, strlen(name) + 1);
    *out = handle_of(broadcast);
    return 0;
}

void tr_broadcast_close(tr_broadcast *given)
{
    struct tr_broadcast *broadcast = handle_retire(given);

    if (broadcast)
        handle_free(broadcast);
}

struct publishing {
    tr_broadcast *broadcast;
    uint32_t slot;
};

static int try_publish(void *context)
{
    struct publishing *publishing = context;
    tr_broadcast *broadcast = publishing->broadcast;
    uint64_t position;

    /* Soon after the shutdown; what was not seen here the seal in the ring settles. */
    if (broadcast_closed(&broadcast->ring))
        return -ESHUTDOWN;
    return broadcast_put(&broadcast->ring, &broadcast->arena->self, publishing->slot,
                         &position);
}

static int explain_publish(const tr_broadcast *broadcast, int result)
{
    struct laggard laggard;

    if (result == -ESHUTDOWN)
        return tr_fail(TR_ECLOSED, "publish: broadcast \"%s\" is closed",
                       broadcast->name);
    result = tr_fail_wait(result, "publish: broadcast \"%s\"", broadcast->name);
    if (broadcast_laggard(&broadcast->ring, &laggard))
        tr_fail_more(
            "; participant %u (pid %u), which blocks, is %lu messages behind, the limit "
            "is %u",
            laggard.who,
            shm_get(&view_participant(&broadcast->arena->view, laggard.who)->pid),
            (unsigned long)laggard.behind, broadcast->ring.count - 1);
    return result;
}

int tr_broadcast_publish(tr_broadcast *handle, tr_message *given, int64_t timeout_ns)
{
    struct tr_broadcast *broadcast = broadcast_known(handle);
    struct publishing publishing = {.broadcast = broadcast};
    struct message *message = NULL;
    int result = broadcast ? arena_enter(broadcast->arena)
                           : handle_fail(handle, "publish", "broadcast");

    if (result == 0)
        result = timeout_check("publish", timeout_ns);
    if (result == 0)
        result = message_not_asked(given, "publish", &message);
    if (result == 0 && message->arena != broadcast->arena)
        result = hand_over_elsewhere("publish", "broadcast", broadcast->name);
    if (result != 0)
        return result;
    publishing.slot = message->slot;
    hand_over_begin(message, given, broadcast->stamp);
    result = wait_for(&broadcast->arena->self, &broadcast->ring.channel->room,
                      try_publish, &publishing, timeout_ns);
    if (result < 0) {
        message_keep(message);
        return explain_publish(broadcast, result);
    }
    return 0;
}

int tr_broadcast_loan(tr_broadcast *given, const tr_tensor_spec specs[], size_t n,
                      int64_t timeout_ns, tr_message **out)
{
    struct tr_broadcast *broadcast = broadcast_known(given);
    int result = broadcast ? message_loan_for(handle_of(broadcast->arena),
                                              broadcast->ring.channel, specs, n,
                                              timeout_ns, out)
                           : handle_fail(given, "loan", "broadcast");

    return result == -ESHUTDOWN
               ? tr_fail(TR_ECLOSED, "loan: broadcast \"%s\" is closed", broadcast->name)
               : result;
}

bool tr_broadcast_is_closed(const tr_broadcast *given)
{
    const struct tr_broadcast *broadcast = broadcast_known(given);

    return broadcast && broadcast_closed(&broadcast->ring);
}

void tr_broadcast_shutdown(tr_broadcast *given)
{
    struct tr_broadcast *broadcast = broadcast_known(given);

    if (broadcast && arena_enter(broadcast->arena) == 0)
        broadcast_close(&broadcast->ring);
}

uint32_t tr_broadcast_capacity(const tr_broadcast *given)
{
    const struct tr_broadcast *broadcast = broadcast_known(given);

    return broadcast ? broadcast->ring.count - 1 : 0;
}

uint32_t tr_broadcast_subscribers(const tr_broadcast *given)
{
    const struct tr_broadcast *broadcast = broadcast_known(given);

    return broadcast ? broadcast_subscribers(&broadcast->ring) : 0;
}

const char *tr_broadcast_name(const tr_broadcast *given)
{
    const struct tr_broadcast *broadcast = broadcast_known(given);

    return broadcast ? broadcast->name : NULL;
}

tr_arena *tr_broadcast_arena(const tr_broadcast *given)
{
    const struct tr_broadcast *broadcast = broadcast_known(given);

    return broadcast ? handle_of(broadcast->arena) : NULL;
}

int tr_subscription_open(tr_broadcast *handle, const tr_subscription_options *given,
                         tr_subscription **out)
{
    tr_subscription_options options = TR_SUBSCRIPTION_OPTIONS_INIT;
    struct tr_broadcast *broadcast = broadcast_known(handle);
    struct tr_subscription *subscription;
    int result = broadcast ? options_take(&options, sizeof(options), given,
                                          "tr_subscription_options")
                           : handle_fail(handle, "subscribe", "broadcast");

    if (result == 0 && !out)
        result = null_fail("subscribe", "out");
    if (result == 0)
        result = reserved_check("subscribe", options.reserved);
    if (result == 0 && !broadcast_lag_exists(options.lag))
        result = tr_fail(TR_EINVAL, "subscribe: lag %u is not a tr_lag", options.lag);
    if (result == 0)
        result = arena_enter(broadcast->arena);
    if (result < 0)
        return result;
    subscription = handle_new(&subscriptions);
    if (!subscription)
        return tr_fail(TR_ENOMEM, "no memory for the handle of a subscription");
    result = broadcast_subscribe(&broadcast->ring, &broadcast->arena->self, options.lag,
                                 options.last, &subscription->place);
    if (result < 0) {
        handle_free(subscription);
        return tr_fail(TR_ENOSPC,
                       "subscribe: all %u places of broadcast \"%s\" are taken by living "
                       "processes; make it with a larger max_subscribers",
                       broadcast->ring.place_count, broadcast->name);
    }
    subscription->broadcast = *broadcast;
    subscription->handle.arena = broadcast->arena;
    subscription->holder = holder_of(&broadcast->arena->self);
    *out = handle_of(subscription);
    return 0;
}

bool subscription_is_ours(const tr_subscription *subscription)
{
    return subscription->holder == holder_of(&subscription->broadcast.arena->self);
}

void tr_subscription_close(tr_subscription *given)
{
    struct tr_subscription *subscription = handle_retire(given);
    struct tr_arena *arena;

    if (!subscription)
        return;
    arena = subscription->handle.arena; /* NULL: it was closed */
    if (arena && arena_is_joined(arena) && subscription_is_ours(subscription))
        broadcast_unsubscribe(&subscription->broadcast.ring, &arena->self,
                              &subscription->place);
    handle_free(subscription);
}

struct taking {
    tr_subscription *subscription;
    struct taken taken;
};

static int try_take(void *context)
{
    struct taking *taking = context;
    struct tr_broadcast *broadcast = &taking->subscription->broadcast;

    return broadcast_take(&broadcast->ring, &broadcast->arena->self,
                          &taking->subscription->place, &taking->taken);
}

static uint64_t missed(const struct tr_subscription *subscription)
{
    return broadcast_missed(&subscription->broadcast.ring, &subscription->place);
}

static int explain_receive(const tr_subscription *subscription, int result)
{
    const char *name = subscription->broadcast.name;

    switch (result) {
    case -ESHUTDOWN:
        return tr_fail(TR_ECLOSED, "receive: broadcast \"%s\" is closed, nothing is left",
                       name);
    case -EOVERFLOW:
        return tr_fail(TR_ELAGGED,
                       "receive: broadcast \"%s\": %lu messages were missed by now; a "
                       "subscriber may "
                       "be %u behind",
                       name, (unsigned long)missed(subscription),
                       subscription->broadcast.ring.count - 1);
    case -ENOTCONN:
        return tr_fail(TR_EEVICTED,
                       "receive: broadcast \"%s\": %lu messages were missed, and the "
                       "subscription has ended by that; subscribe again",
                       name, (unsigned long)missed(subscription));
    case -ENOBUFS:
        return message_no_pins(subscription->broadcast.arena, "receive");
    case -EBADMSG:
        return tr_fail(TR_ECORRUPT, "receive: broadcast \"%s\" is corrupted", name);
    default:
        return tr_fail_wait(result, "receive: nothing new in broadcast \"%s\"", name);
    }
}

int tr_subscription_receive(tr_subscription *given, int64_t timeout_ns, tr_message **out)
{
    struct tr_subscription *subscription = subscription_known(given);
    struct taking taking = {.subscription = subscription};
    struct tr_broadcast *broadcast = subscription ? &subscription->broadcast : NULL;
    int result = broadcast ? arena_enter(broadcast->arena)
                           : handle_fail(given, "receive", "subscription");

    if (result == 0)
        result = out ? timeout_check("receive", timeout_ns) : null_fail("receive", "out");
    if (result == 0 && !subscription_is_ours(subscription))
        result = tr_fail(
            TR_EFORK,
            "receive: the place in broadcast \"%s\" belongs to the parent process; "
            "subscribe in the child",
            broadcast->name);
    if (result < 0)
        return result;
    arena_check_liveness(broadcast->arena);
    result = wait_for(&broadcast->arena->self, &broadcast->ring.channel->items, try_take,
                      &taking, timeout_ns);
    if (result < 0)
        return explain_receive(subscription, result);
    return message_open_pinned(broadcast->arena, &taking.taken.pin, taking.taken.position,
                               out);
}

uint64_t tr_subscription_missed(const tr_subscription *given)
{
    const struct tr_subscription *subscription = subscription_known(given);

    return subscription ? missed(subscription) : 0;
}

int subscription_ready(const tr_subscription *subscription)
{
    return broadcast_ready(&subscription->broadcast.ring, &subscription->place);
}
