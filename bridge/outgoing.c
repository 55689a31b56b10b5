/* SPDX-License-Identifier: MIT */
#include "outgoing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tensoring/request.h>

#include "away.h"
#include "gather.h"
#include "speak.h"
#include "step.h"
#include "wire_message.h"

/* Answers go out where requests come in. */
static bool is_answer(const struct channel *channel)
{
    return channel->direction == DIRECTION_IN;
}

static bool is_pickle(const tr_header *header)
{
    return header->content == TR_CONTENT_PICKLE ||
           (header->content == TR_CONTENT_OTHER &&
            strstr(header->content_type, "pickle"));
}

/* Tell the requester, as soon as the engine no longer reads the request. */
static void fail_request(struct held *held, int32_t code, const char *why)
{
    held->state = HELD_FAILING;
    held->code = code;
    free(held->fault);
    held->fault = strdup(why);
}

static void hold_back(struct bridge *bridge, struct lane *lane, struct held *held,
                      const char *why)
{
    if (lane->channel->kind == KIND_SERVICE) {
        fail_request(held, TR_EMSGSIZE, why);
        return;
    }
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

    if (is_answer(lane->channel))
        return true; /* it is declined there, and its requester is told */
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

static bool has_room(const struct lane *lane, const struct held *held)
{
    return !lane->in_flight ||
           (lane->in_flight < lane->window &&
            lane->in_flight_bytes + held->bytes <= lane->window_bytes);
}

static struct lane *choose(const struct bridge *bridge, const struct channel *channel,
                           const struct held *held)
{
    for (const struct link *link = bridge->links; link; link = link->next) {
        struct lane *lane = away_lane(link, channel);

        if (lane && !link->blocked && (!held->only || held->only == lane) &&
            has_room(lane, held) && away_may_go(bridge, channel, held, link))
            return lane;
    }
    return NULL;
}

static int64_t left_ns(const tr_header *header)
{
    int64_t left = header->deadline_ns - now_ns();

    return !header->deadline_ns ? 0 : left > 1 ? left : 1;
}

/* Where the message was sent first. Values of boards, news of broadcasts and answers do not come
 * twice. */
static tr_origin origin_of(const struct channel *channel, const struct held *held)
{
    tr_origin origin = TR_ORIGIN_INIT;

    if (is_answer(channel) || tr_message_origin_get(held->message, &origin) == 0 ||
        !channel->queue)
        return origin;
    origin.source = identity_short(&channel->source);
    origin.number = held->header.sequence;
    return origin;
}

/* What comes before the payload. */
static bool send_head(struct bridge *bridge, struct lane *lane, const struct held *held)
{
    tr_origin origin;

    if (held->key) {
        wire_begin(&bridge->out, WIRE_KEY);
        wire_put_u32(&bridge->out, lane->number);
        wire_put_u64(&bridge->out, held->header.sequence);
        wire_put_u8(&bridge->out, !held->message);
        wire_put_text(&bridge->out, held->key);
        if (!speak(bridge, lane->link))
            return false;
    }
    if (held->fault) {
        wire_begin(&bridge->out, WIRE_FAULT);
        wire_put_u32(&bridge->out, lane->number);
        wire_put_u64(&bridge->out, held->header.sequence);
        wire_put_u32(&bridge->out, (uint32_t)held->code);
        wire_put_text(&bridge->out, held->fault);
        return speak(bridge, lane->link);
    }
    if (!held->message)
        return true;
    origin = origin_of(lane->channel, held);
    wire_put_message(&bridge->out, lane->number, held->message, &held->header, &origin,
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
    held->tensor = 0;
    held->at = 0;
    held->sent_bytes = held->bytes <= WIRE_INLINE ? held->bytes : 0;
    held->counted = !held->fault; /* which has no receipt */
    if (held->counted) {
        lane->in_flight++;
        lane->in_flight_bytes += held->bytes;
    }
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
    held->arena = held->lane->link->arena;
    memcpy(held->where, held->lane->link->where, sizeof(held->where));
    step("sent");
    return true;
}

static void land(struct held *held)
{
    if (held->lane && held->counted) {
        held->lane->in_flight--;
        held->lane->in_flight_bytes -= held->bytes;
    }
    held->counted = false;
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
    if ((held->only && held->only->stuck) || away_is(bridge, channel, held))
        return true;
    if (held->state == HELD_WAITS && !begin(bridge, channel, held) &&
        held->state == HELD_WAITS)
        return wait_with(held);
    if (held->state == HELD_SENDING && !go_on(bridge, held))
        return wait_with(held);
    if (held->only && held->state == HELD_SENT && held->fault)
        settle(held->only, held);
    return true;
}

/* Requests that failed, and those that nobody waits for any more. */
static void end_requests(struct window *window)
{
    for (uint32_t i = window->count; i-- > 0;) {
        struct held *held = window->held[i];

        if (held->state == HELD_WAITS && tr_request_remaining_ns(held->message) == 0) {
            window_confirm(window, held);
        } else if (held->state == HELD_FAILING &&
                   /* acquire: as in window_confirm(). */
                   atomic_load_explicit(&held->lent, memory_order_acquire) == 0) {
            if (tr_request_fail(held->message, held->code, held->fault) == 0)
                held->message = NULL;
            window_confirm(window, held);
        }
    }
}

void outgoing_pump(struct bridge *bridge, struct channel *channel)
{
    struct window *window = &channel->window;

    window_tidy(window);
    give_up(window);
    if (channel->kind == KIND_SERVICE && !is_answer(channel))
        end_requests(window);
    gather(bridge, channel);
    for (uint32_t i = 0; i < window->count; i++)
        if (window->held[i]->only)
            window->held[i]->only->stuck = false;
    for (uint32_t i = 0; i < window->count;) {
        struct held *held = window->held[i];

        if (!pump_one(bridge, channel, held))
            return;
        i += i < window->count && window->held[i] == held; /* else it is gone */
    }
}

static bool any_held_back(const struct window *window)
{
    for (uint32_t i = 0; i < window->count; i++)
        if (window->held[i]->state == HELD_BACK)
            return true;
    return false;
}

bool outgoing_receipt(struct lane *lane, uint64_t number)
{
    struct held *held = window_find(&lane->channel->window, lane, number);

    if (!held || held->state != HELD_SENT)
        return false;
    lane->channel->counts.confirmed += !is_answer(lane->channel);
    if (!any_held_back(&lane->channel->window)) /* whose reason is still true */
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
    if (lane->channel->kind == KIND_SERVICE && !held->only) {
        land(held);
        fail_request(held, TR_EMSGSIZE, why);
        return true;
    }
    if (held->only) { /* the next one may be taken */
        settle(lane, held);
        return true;
    }
    land(held);
    held->state = HELD_BACK;
    return true;
}

bool outgoing_key(struct lane *lane, struct wire_in *in)
{
    const char *key;

    (void)wire_get_u64(in);
    (void)wire_get_u8(in);
    key = wire_get_text(in);
    if (!wire_done(in) || lane->channel->kind != KIND_BOARD)
        return false;
    mirror_there(&lane->mirror, lane->channel->board, key);
    return true;
}

int outgoing_reply(struct lane *lane, uint64_t number, tr_message *reply)
{
    struct held *held = window_find(&lane->channel->window, lane, number);
    int result = held && held->state == HELD_SENT ? tr_request_reply(held->message, reply)
                                                  : TR_EINVAL;

    if (result < 0)
        return result;
    held->message = NULL;
    lane->channel->counts.confirmed++;
    settle(lane, held);
    return 0;
}

bool outgoing_failed(struct lane *lane, uint64_t number, int32_t code, const char *why)
{
    struct held *held = window_find(&lane->channel->window, lane, number);

    if (!held || held->state != HELD_SENT)
        return false;
    land(held);
    fail_request(held, code ? code : TR_EREMOTE, why);
    return true;
}

/* An answer, or a fault, is the last in the window: it belongs to the lane of its request. */
static struct held *bind_answer(struct lane *lane, uint64_t number)
{
    struct held *held = gather_bind(lane);

    held->header.sequence = number;
    return held;
}

void outgoing_answer(struct lane *lane, uint64_t number, tr_message *reply)
{
    if (window_add(&lane->channel->window, reply)) {
        bind_answer(lane, number);
        return;
    }
    tr_message_release(reply);
    outgoing_fault(lane, number, TR_ENOMEM, "the bridge is out of private memory");
}

void outgoing_fault(struct lane *lane, uint64_t number, int32_t code, const char *why)
{
    struct held *held;

    if (!window_add_blank(&lane->channel->window))
        return; /* its requester waits until its deadline */
    held = bind_answer(lane, number);
    held->code = code;
    held->fault = strdup(why);
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
        } else if (held->state == HELD_SENT && lane->channel->kind == KIND_SERVICE &&
                   !lane->channel->retries) {
            land(held);
            fail_request(held, TR_EPEERDIED,
                         "the link to the service was cut: the request may have run");
        } else if (held->lane || held->state == HELD_BACK) {
            land(held);
            held->state = HELD_WAITS;
        }
    }
}
