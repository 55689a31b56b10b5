/* SPDX-License-Identifier: MIT */
#include "outgoing.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <tensoring/request.h>

#include "speak.h"
#include "step.h"
#include "wire_message.h"

static struct lane *lane_of(const struct link *link, const struct channel *channel)
{
    for (uint32_t i = 0; link->up && i < link->lane_count; i++)
        if (link->lanes[i].channel == channel && link->lanes[i].open)
            return &link->lanes[i];
    return NULL;
}

static bool has_lane(const struct bridge *bridge, const struct channel *channel)
{
    for (const struct link *link = bridge->links; link; link = link->next)
        if (lane_of(link, channel))
            return true;
    return false;
}

/* A request must have its answer: a queue over a bridge has none. */
static bool refuse_request(struct bridge *bridge, struct channel *channel,
                           tr_message *message)
{
    char why[WHY_TEXT];

    if (!tr_message_is_request(message))
        return false;
    snprintf(why, sizeof(why),
             "the queue '%s' is bridged as a queue, which carries no answers back",
             channel->name);
    if (tr_request_fail(message, TR_ENOTSUP, why) < 0)
        tr_message_release(message);
    speak_of(bridge, channel, why);
    return true;
}

/* Keep what was received. False: no memory. */
static bool keep(struct bridge *bridge, struct channel *channel, tr_message *message)
{
    if (window_add(&channel->window, message))
        return true;
    tr_message_release(message);
    speak_of(bridge, channel, "out of private memory: a message was given up");
    return false;
}

/* Nothing was received, and why. True: the next call may receive something. */
static bool goes_on(struct bridge *bridge, struct channel *channel, bool *ready,
                    int result)
{
    char text[WHY_TEXT];

    if (result == TR_ELAGGED)
        return true;
    if (result == TR_EAGAIN || result == TR_ECLOSED) {
        *ready = false;
        return false;
    }
    speak_of(bridge, channel, say_failure(text, channel->name, result));
    /* A corrupted one was freed; the channel goes on. */
    return result == TR_ECHECKSUM || result == TR_ECORRUPT;
}

static bool receive_one(struct bridge *bridge, struct channel *channel)
{
    tr_message *message;
    int result = tr_queue_receive(channel->queue, TR_NOWAIT, &message);

    if (result < 0)
        return goes_on(bridge, channel, &channel->ready, result);
    step("received");
    return refuse_request(bridge, channel, message) || keep(bridge, channel, message);
}

static uint32_t most(const struct bridge *bridge)
{
    return bridge->options->window ? bridge->options->window : 16;
}

/* What the queue has, as far as the window goes. Without a link it stays where it is. */
static void fill_queue(struct bridge *bridge, struct channel *channel)
{
    if (!has_lane(bridge, channel))
        return;
    while (
        channel->ready && channel->window.count < most(bridge) &&
        (!channel->window.count || channel->window.bytes < bridge->options->window_bytes))
        if (!receive_one(bridge, channel))
            return;
}

/* What was added last is for this lane alone. */
static struct held *bind_last(struct lane *lane)
{
    struct window *window = &lane->channel->window;
    struct held *held = window->held[window->count - 1];

    held->only = lane;
    lane->bound++;
    return held;
}

static bool subscribe_one(struct bridge *bridge, struct lane *lane)
{
    tr_message *message;
    int result = tr_subscription_receive(lane->subscription, TR_NOWAIT, &message);
    struct held *held;

    if (result < 0)
        return goes_on(bridge, lane->channel, &lane->ready, result);
    if (!keep(bridge, lane->channel, message))
        return false;
    held = bind_last(lane);
    if (lane->last_sequence && held->header.sequence > lane->last_sequence)
        lane->channel->counts.missed += held->header.sequence - lane->last_sequence;
    lane->last_sequence = held->header.sequence + 1;
    return true;
}

/* The newest value of key @p i, or that it has none, if that is news. */
static void mirror_one(struct bridge *bridge, struct lane *lane, uint32_t i)
{
    struct channel *channel = lane->channel;
    tr_message *message;
    struct held *held;
    char text[WHY_TEXT];
    int result = mirror_next(&lane->mirror, i, channel->board, &message);

    if (result < 0 && result != TR_EAGAIN && result != TR_EPINS)
        speak_of(bridge, channel, say_failure(text, channel->name, result));
    if (result < 0)
        return;
    if (message ? !keep(bridge, channel, message)
                : !window_add_deletion(&channel->window)) {
        mirror_drop(&lane->mirror, i);
        return;
    }
    held = bind_last(lane);
    held->key = lane->mirror.keys[i].key;
    held->key_index = i;
    held->header.sequence = ++channel->numbers; /* versions are of one key */
}

static void fill_lane(struct bridge *bridge, struct lane *lane)
{
    if (lane->channel->kind == KIND_BROADCAST) {
        while (lane->ready && lane->bound < most(bridge) && subscribe_one(bridge, lane))
            ;
        return;
    }
    mirror_look(&lane->mirror, lane->channel->board, now_ns());
    for (uint32_t i = 0; i < lane->mirror.count && lane->bound < most(bridge); i++)
        mirror_one(bridge, lane, i);
}

static void fill(struct bridge *bridge, struct channel *channel)
{
    if (bridge->stops)
        return;
    if (channel->kind == KIND_QUEUE) {
        fill_queue(bridge, channel);
        return;
    }
    for (struct link *link = bridge->links; link; link = link->next) {
        struct lane *lane = lane_of(link, channel);

        if (lane)
            fill_lane(bridge, lane);
    }
}

static bool is_pickle(const tr_header *header)
{
    return header->content == TR_CONTENT_PICKLE ||
           (header->content == TR_CONTENT_OTHER &&
            strstr(header->content_type, "pickle"));
}

static void hold_back(struct bridge *bridge, struct lane *lane, struct held *held,
                      const char *why)
{
    held->state = HELD_BACK;
    speak_of(bridge, lane->channel, why);
    wire_begin(&bridge->out, WIRE_NOTICE);
    wire_put_u32(&bridge->out, lane->number);
    wire_put_text(&bridge->out, why);
    (void)speak(bridge, lane->link); /* a notice may be lost */
}

/* Whether the other side can take it, as far as it has said what it takes. */
static bool check_taken(struct bridge *bridge, struct lane *lane, struct held *held)
{
    char why[WHY_TEXT];

    if (is_pickle(&held->header) && !(bridge->flags & lane->link->flags & HELLO_PICKLE)) {
        snprintf(why, sizeof(why),
                 "message %llu of '%s' is a pickle, which crosses only if both arenas "
                 "and both "
                 "bridges allow it (--allow-pickle)",
                 (unsigned long long)held->header.sequence, lane->channel->name);
        hold_back(bridge, lane, held, why);
        return false;
    }
    if (held->bytes > lane->link->largest) {
        snprintf(why, sizeof(why),
                 "message %llu of '%s' has %llu bytes, the largest slot of %s has %llu",
                 (unsigned long long)held->header.sequence, lane->channel->name,
                 (unsigned long long)held->bytes, lane->link->where,
                 (unsigned long long)lane->link->largest);
        hold_back(bridge, lane, held, why);
        return false;
    }
    return true;
}

/* What was sent to one arena is not sent to another, where it may be a second time; unless that
 * is the same place, and its arena was made again. */
static bool may_go(const struct bridge *bridge, const struct held *held,
                   const struct link *link)
{
    return identity_none(&held->arena) || !bridge->options->listens ||
           identity_same(&held->arena, &link->arena) ||
           strcmp(held->where, link->where) == 0;
}

static struct lane *choose(const struct bridge *bridge, const struct channel *channel,
                           const struct held *held)
{
    for (const struct link *link = bridge->links; link; link = link->next) {
        struct lane *lane = lane_of(link, channel);

        if (lane && !link->blocked && (!held->only || held->only == lane) &&
            lane->in_flight < lane->window &&
            (!lane->in_flight ||
             lane->in_flight_bytes + held->bytes <= lane->window_bytes) &&
            may_go(bridge, held, link))
            return lane;
    }
    return NULL;
}

static int64_t left_ns(const tr_header *header)
{
    int64_t left = header->deadline_ns - now_ns();

    return !header->deadline_ns ? 0 : left > 1 ? left : 1;
}

/* What comes before the payload. */
static bool send_head(struct bridge *bridge, struct lane *lane, const struct held *held)
{
    if (held->key) {
        wire_begin(&bridge->out, WIRE_KEY);
        wire_put_u32(&bridge->out, lane->number);
        wire_put_u64(&bridge->out, held->header.sequence);
        wire_put_u8(&bridge->out, !held->message);
        wire_put_text(&bridge->out, held->key);
        if (!speak(bridge, lane->link))
            return false;
    }
    if (!held->message)
        return true;
    wire_put_message(&bridge->out, lane->number, held->message, &held->header,
                     left_ns(&held->header));
    return speak(bridge, lane->link);
}

/* Its first frame, which may be all. False: not now, or not at all. */
static bool begin(struct bridge *bridge, struct channel *channel, struct held *held)
{
    struct lane *lane = choose(bridge, channel, held);

    if (!lane || !check_taken(bridge, lane, held) || !send_head(bridge, lane, held))
        return false;
    held->state = HELD_SENDING;
    held->lane = lane;
    held->arena = lane->link->arena;
    memcpy(held->where, lane->link->where, sizeof(held->where));
    held->tensor = 0;
    held->at = 0;
    held->sent_bytes = held->bytes <= WIRE_INLINE ? held->bytes : 0;
    lane->in_flight++;
    lane->in_flight_bytes += held->bytes;
    return true;
}

/* Runs in a thread of the engine. */
static void given_back(void *data, void *context)
{
    struct held *held = context;

    (void)data;
    /* release: with window_confirm(). */
    atomic_fetch_sub_explicit(&held->lent, 1, memory_order_release);
}

static bool send_chunk(struct bridge *bridge, struct held *held)
{
    const tr_tensor *tensor = tr_message_tensor(held->message, held->tensor);
    struct link *link = held->lane->link;
    uint64_t left = tensor->nbytes - held->at;
    struct lent lent = {(uint8_t *)tensor->data + held->at,
                        left < WIRE_CHUNK_BYTES ? left : WIRE_CHUNK_BYTES, given_back,
                        held};
    int result;

    wire_begin(&bridge->out, WIRE_CHUNK);
    wire_put_u32(&bridge->out, held->lane->number);
    wire_put_u64(&bridge->out, held->header.sequence);
    wire_put_u64(&bridge->out, held->sent_bytes);
    if (bridge->out.failed)
        return false;
    /* relaxed: the engine gets it by a queue of its own. */
    atomic_fetch_add_explicit(&held->lent, 1, memory_order_relaxed);
    result = bridge->calls->send(bridge->engine, link->number, bridge->out.bytes,
                                 bridge->out.used, &lent);
    if (result < 0) {
        /* relaxed: it was not lent. */
        atomic_fetch_sub_explicit(&held->lent, 1, memory_order_relaxed);
        link->blocked = true; /* a lost link is told by its own event */
        return false;
    }
    held->at += lent.bytes;
    held->sent_bytes += lent.bytes;
    return true;
}

/* The rest of it. False: not now. */
static bool go_on(struct bridge *bridge, struct held *held)
{
    while (held->sent_bytes < held->bytes) {
        const tr_tensor *tensor = tr_message_tensor(held->message, held->tensor);

        if (held->at == tensor->nbytes) {
            held->tensor++;
            held->at = 0;
        } else if (held->lane->link->blocked || !send_chunk(bridge, held)) {
            return false;
        }
    }
    held->state = HELD_SENT;
    step("sent");
    return true;
}

static void land(struct held *held)
{
    if (!held->lane)
        return;
    held->lane->in_flight--;
    held->lane->in_flight_bytes -= held->bytes;
    held->lane = NULL;
}

/* It is done with. */
static void settle(struct lane *lane, struct held *held)
{
    land(held);
    if (held->only)
        lane->bound--;
    if (held->key)
        mirror_confirm(&lane->mirror, held->key_index);
    held->only = NULL;
    held->key = NULL;
    window_confirm(&lane->channel->window, held);
}

/* What the other side cannot take, and the newest of which counts: the next one may be taken. */
static void give_up(struct window *window)
{
    for (uint32_t i = window->count; i-- > 0;)
        if (window->held[i]->only && window->held[i]->state == HELD_BACK)
            settle(window->held[i]->only, window->held[i]);
}

/* It must wait, and so must what comes after it: all of a queue, or of a lane. True: look at the
 * next. */
static bool wait_with(struct held *held)
{
    if (held->only)
        held->only->stuck = true;
    return held->only;
}

static bool pump_one(struct bridge *bridge, struct channel *channel, struct held *held)
{
    if (held->only && held->only->stuck)
        return true;
    if (held->state == HELD_WAITS && !begin(bridge, channel, held) &&
        held->state == HELD_WAITS)
        return wait_with(held);
    if (held->state == HELD_SENDING && !go_on(bridge, held))
        return wait_with(held);
    return true;
}

void outgoing_pump(struct bridge *bridge, struct channel *channel)
{
    struct window *window = &channel->window;

    window_tidy(window);
    give_up(window);
    fill(bridge, channel);
    for (uint32_t i = 0; i < window->count; i++)
        if (window->held[i]->only)
            window->held[i]->only->stuck = false;
    for (uint32_t i = 0; i < window->count; i++)
        if (!pump_one(bridge, channel, window->held[i]))
            return;
}

bool outgoing_receipt(struct lane *lane, uint64_t number)
{
    struct held *held = window_find(&lane->channel->window, lane, number);

    if (!held || held->state != HELD_SENT)
        return false;
    lane->channel->counts.confirmed++;
    *lane->channel->why = 0;
    settle(lane, held);
    return true;
}

bool outgoing_declined(struct bridge *bridge, struct lane *lane, uint64_t number,
                       const char *why)
{
    struct held *held = window_find(&lane->channel->window, lane, number);

    if (!held)
        return false;
    speak_of(bridge, lane->channel, why);
    if (held->only) { /* the next one may be taken */
        settle(lane, held);
        return true;
    }
    land(held);
    held->state = HELD_BACK;
    return true;
}

void outgoing_unlink(struct lane *lane)
{
    struct window *window = &lane->channel->window;

    for (uint32_t i = window->count; i-- > 0;) {
        struct held *held = window->held[i];

        if (held->state == HELD_DONE || (held->lane && held->lane != lane) ||
            (held->only && held->only != lane))
            continue;
        if (held->only) { /* the next lane begins with what is newest then */
            settle(lane, held);
        } else if (held->lane || held->state == HELD_BACK) {
            land(held);
            held->state = HELD_WAITS;
        }
    }
}
