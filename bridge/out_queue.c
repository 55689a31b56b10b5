/* SPDX-License-Identifier: MIT */
#include "out_queue.h"

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

static bool receive_one(struct bridge *bridge, struct channel *channel)
{
    tr_message *message;
    char text[WHY_TEXT];
    int result = tr_queue_receive(channel->queue, TR_NOWAIT, &message);

    if (result == TR_EAGAIN || result == TR_ECLOSED) {
        channel->ready = false;
        return false;
    }
    if (result < 0) { /* a corrupted one was freed; the queue goes on */
        speak_of(bridge, channel, say_failure(text, channel->name, result));
        return result == TR_ECHECKSUM || result == TR_ECORRUPT;
    }
    step("received");
    if (refuse_request(bridge, channel, message))
        return true;
    if (window_add(&channel->window, message))
        return true;
    tr_message_release(message);
    speak_of(bridge, channel, "out of private memory: a message was given up");
    return false;
}

/* What the arena has, as far as the window goes. Without a link it stays where it is. */
static void fill(struct bridge *bridge, struct channel *channel)
{
    const struct options *options = bridge->options;
    uint32_t most = options->window ? options->window : 16;

    if (bridge->stops || !has_lane(bridge, channel))
        return;
    while (channel->ready && channel->window.count < most &&
           (!channel->window.count || channel->window.bytes < options->window_bytes))
        if (!receive_one(bridge, channel))
            return;
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

        if (lane && !link->blocked && lane->in_flight < lane->window &&
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

/* Its first frame, which may be all. False: not now, or not at all. */
static bool begin(struct bridge *bridge, struct channel *channel, struct held *held)
{
    struct lane *lane = choose(bridge, channel, held);

    if (!lane || !check_taken(bridge, lane, held))
        return false;
    wire_put_message(&bridge->out, lane->number, held->message, &held->header,
                     left_ns(&held->header));
    if (!speak(bridge, lane->link))
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

void out_queue_pump(struct bridge *bridge, struct channel *channel)
{
    struct window *window = &channel->window;

    window_tidy(window);
    fill(bridge, channel);
    for (uint32_t i = 0; i < window->count; i++) {
        struct held *held = window->held[i];

        if (held->state == HELD_WAITS && !begin(bridge, channel, held) &&
            held->state == HELD_WAITS)
            return; /* in order: what came later waits, too */
        if (held->state == HELD_SENDING && !go_on(bridge, held))
            return;
    }
}

static void land(struct held *held)
{
    if (!held->lane)
        return;
    held->lane->in_flight--;
    held->lane->in_flight_bytes -= held->bytes;
    held->lane = NULL;
}

bool out_queue_receipt(struct bridge *bridge, struct lane *lane, uint64_t number)
{
    struct held *held = window_find(&lane->channel->window, number);

    if (!held || held->lane != lane || held->state != HELD_SENT)
        return false;
    land(held);
    lane->channel->counts.confirmed++;
    *lane->channel->why = 0;
    window_confirm(&lane->channel->window, held);
    (void)bridge;
    return true;
}

bool out_queue_declined(struct bridge *bridge, struct lane *lane, uint64_t number,
                        const char *why)
{
    struct held *held = window_find(&lane->channel->window, number);

    if (!held || held->lane != lane)
        return false;
    land(held);
    held->state = HELD_BACK;
    speak_of(bridge, lane->channel, why);
    return true;
}

void out_queue_unlink(struct lane *lane)
{
    struct window *window = &lane->channel->window;

    for (uint32_t i = 0; i < window->count; i++) {
        struct held *held = window->held[i];

        if (held->state == HELD_DONE || (held->lane && held->lane != lane))
            continue;
        if (held->lane || held->state == HELD_BACK) {
            land(held);
            held->state = HELD_WAITS;
        }
    }
}
