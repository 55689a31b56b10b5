/* SPDX-License-Identifier: MIT */
#include "incoming.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arriving.h"
#include "kinds.h"
#include "landing.h"
#include "outgoing.h"
#include "service.h"
#include "speak.h"
#include "step.h"

#define MOST_HEADS (4 * WIRE_MAX_HEAD) /* of a lane, bytes */
#define SOON_NS    INT64_C(1000000) /* there is no notice of a slot that becomes free */

enum { FEW_PIECES = 64, SMALL_PIECE = 4096 };

static void release_frames(const struct bridge *bridge, struct arrival *arrival)
{
    while (arrival->first) {
        struct frame *frame = arrival->first;

        arrival->first = frame->next;
        bridge->calls->release(frame);
    }
    arrival->last = &arrival->first;
}

static void free_arrival(const struct bridge *bridge, struct arrival *arrival)
{
    release_frames(bridge, arrival);
    wire_message_free(&arrival->message);
    bridge->calls->release(arrival->head);
    free(arrival->key);
    free(arrival->merged);
    landing_leave(arrival);
}

static void forget_first(const struct bridge *bridge, struct lane *lane)
{
    struct arrival *arrival = lane->first;

    if (arrival->come < arrival->message.payload_bytes) {
        lane->passes_over = true; /* it was declined, and its rest is on its way */
        lane->declined = arrival->message.number;
    }
    lane->waiting--;
    lane->waiting_bytes -= arrival->message.payload_bytes;
    lane->waiting_heads -= arrival->head ? arrival->head->head_bytes : 0;
    lane->first = arrival->next;
    if (!lane->first)
        lane->last = &lane->first;
    free_arrival(bridge, arrival);
}

static void append(struct lane *lane, struct arrival *arrival)
{
    arrival->last = &arrival->first;
    *lane->last = arrival;
    lane->last = &arrival->next;
    lane->waiting++;
    lane->waiting_bytes += arrival->message.payload_bytes;
    lane->waiting_heads += arrival->head ? arrival->head->head_bytes : 0;
}

/* What waits here lies in private memory: no more than what was agreed. */
static bool is_within(const struct lane *lane, const struct arrival *arrival)
{
    return lane->waiting <= lane->window &&
           (lane->waiting == 1 ||
            (lane->waiting_bytes >= arrival->message.payload_bytes &&
             lane->waiting_bytes <= lane->window_bytes &&
             lane->waiting_heads <= MOST_HEADS));
}

/* A key has no value any more. What is left to do is to answer. */
static bool delete_key(struct lane *lane, uint64_t number, const char *key)
{
    struct arrival *arrival = calloc(1, sizeof(*arrival));
    int result = tr_board_delete(lane->channel->board, key, TR_BOARD_ANY_VERSION);

    if (!arrival)
        return false;
    arrival->message.number = number;
    arrival->published = arrival->noted = true;
    append(lane, arrival);
    return result == 0 || result == TR_ENOENT;
}

bool incoming_key(struct lane *lane, struct wire_in *in)
{
    uint64_t number = wire_get_u64(in);
    bool deleted = wire_get_u8(in);
    const char *key = wire_get_text(in);

    if (!wire_done(in) || lane->channel->kind != KIND_BOARD || !*key ||
        strlen(key) > TR_MAX_KEY_BYTES || lane->waiting >= lane->window)
        return false;
    if (deleted)
        return delete_key(lane, number, key);
    free(lane->key);
    lane->key = strdup(key);
    lane->key_number = number;
    return lane->key;
}

void incoming_tell_keys(struct bridge *bridge, struct lane *lane)
{
    char key[TR_MAX_KEY_BYTES + 1];

    while (lane->link->up && !lane->told_all && !lane->link->blocked) {
        uint32_t cursor = lane->told;

        if (tr_board_next(lane->channel->board, &cursor, key, NULL) < 0) {
            lane->told_all = true;
            return;
        }
        wire_begin(&bridge->out, WIRE_KEY);
        wire_put_u32(&bridge->out, lane->number);
        wire_put_u64(&bridge->out, 0);
        wire_put_u8(&bridge->out, 0);
        wire_put_text(&bridge->out, key);
        if (!speak(bridge, lane->link))
            return;
        lane->told = cursor;
    }
}

/* Whether a message of a board has its key, as no other has. */
static bool take_key(struct lane *lane, struct arrival *arrival)
{
    if (lane->channel->kind != KIND_BOARD)
        return true;
    if (!lane->key || lane->key_number != arrival->message.number)
        return false;
    arrival->key = lane->key;
    lane->key = NULL;
    return true;
}

bool incoming_message(struct bridge *bridge, struct lane *lane, struct wire_in *in,
                      struct frame *frame)
{
    struct arrival *arrival = calloc(1, sizeof(*arrival));

    if (!arrival || !wire_get_message(in, &arrival->message)) {
        free(arrival);
        bridge->calls->release(frame);
        return false;
    }
    arrival->head = frame;
    arrival->came_ns = now_ns();
    lane->passes_over = false;
    if (arrival->message.payload)
        arrival->come = arrival->message.payload_bytes;
    append(lane, arrival);
    return take_key(lane, arrival) && is_within(lane, arrival);
}

struct arrival *arrival_newest(struct lane *lane)
{
    return lane->first
               ? (struct arrival *)((char *)lane->last - offsetof(struct arrival, next))
               : NULL;
}

/* Copy @p bytes to where the last ones ended. */
static void copy(struct arrival *arrival, const uint8_t *from, uint64_t bytes)
{
    while (bytes) {
        const tr_tensor *tensor = tr_message_tensor(arrival->slot, arrival->tensor);
        uint64_t room = tensor->nbytes - arrival->at, now = bytes < room ? bytes : room;

        if (now && from != (uint8_t *)tensor->data + arrival->at) /* not landed there */
            memcpy((uint8_t *)tensor->data + arrival->at, from, now);
        from += now;
        bytes -= now;
        arrival->at += now;
        arrival->filled += now;
        if (arrival->at == tensor->nbytes) {
            arrival->tensor++;
            arrival->at = 0;
        }
    }
}

/* Each frame takes memory beside its bytes: small ones are not kept, but copied together. */
static bool merge(const struct bridge *bridge, struct arrival *arrival,
                  struct frame *frame)
{
    uint64_t at = 0;

    if (!arrival->merged) {
        arrival->merged = malloc(arrival->message.payload_bytes);
        for (struct frame *one = arrival->first; arrival->merged && one;
             one = one->next) {
            memcpy(arrival->merged + at, one->data, one->data_bytes);
            at += one->data_bytes;
        }
        release_frames(bridge, arrival);
    }
    if (arrival->merged)
        memcpy(arrival->merged + arrival->come, frame->data, frame->data_bytes);
    bridge->calls->release(frame);
    return arrival->merged;
}

/* Until there is a slot for it. False: there is no memory. */
static bool keep(const struct bridge *bridge, struct arrival *arrival,
                 struct frame *frame)
{
    bool small = ++arrival->kept > FEW_PIECES &&
                 arrival->come / arrival->kept < SMALL_PIECE;

    if (arrival->message.payload_bytes > bridge->largest) {
        bridge->calls->release(frame); /* no slot can have it: it will be declined */
        return true;
    }
    if (arrival->merged || small)
        return merge(bridge, arrival, frame);
    frame->next = NULL;
    *arrival->last = frame;
    arrival->last = &frame->next;
    return true;
}

bool incoming_chunk(struct bridge *bridge, struct lane *lane, struct wire_in *in,
                    struct frame *frame)
{
    uint64_t number = wire_get_u64(in), offset = wire_get_u64(in);
    struct arrival *arrival = arrival_newest(lane);
    bool good = wire_done(in) && arrival && arrival->message.number == number &&
                arrival->come == offset && frame->data_bytes &&
                frame->data_bytes <= arrival->message.payload_bytes - offset;

    if (lane->passes_over && number == lane->declined) {
        bridge->calls->release(frame);
        return true;
    }
    if (good) {
        uint64_t bytes = frame->data_bytes;

        if (arrival->slot) {
            copy(arrival, frame->data, bytes);
            bridge->calls->release(frame);
        } else {
            good = keep(bridge, arrival, frame);
        }
        arrival->come += bytes;
        return good;
    }
    bridge->calls->release(frame);
    return good;
}

static bool answer(struct bridge *bridge, struct lane *lane, enum wire_receipt receipt)
{
    wire_begin(&bridge->out, WIRE_RECEIPT);
    wire_put_u32(&bridge->out, lane->number);
    wire_put_u64(&bridge->out, lane->first->message.number);
    wire_put_u8(&bridge->out, (uint8_t)receipt);
    return speak(bridge, lane->link);
}

/* It cannot be taken. It stays where it came from, and both sides say why. */
static bool decline(struct bridge *bridge, struct lane *lane, const char *why)
{
    if (lane->channel->direction == DIRECTION_OUT) /* an answer: its requester is told */
        (void)outgoing_failed(lane, lane->first->message.number, TR_EMSGSIZE, why);
    wire_begin(&bridge->out, WIRE_DECLINED);
    wire_put_u32(&bridge->out, lane->number);
    wire_put_u64(&bridge->out, lane->first->message.number);
    wire_put_text(&bridge->out, why);
    if (!speak(bridge, lane->link))
        return false;
    speak_of(bridge, lane->channel, why);
    forget_first(bridge, lane);
    return true;
}

static bool decline_result(struct bridge *bridge, struct lane *lane, int result)
{
    char what[WHY_TEXT], text[WHY_TEXT];

    snprintf(what, sizeof(what), "message %llu for '%s' cannot be taken by %s",
             (unsigned long long)lane->first->message.number, lane->channel->name,
             bridge->where);
    return decline(bridge, lane, say_failure(text, what, result));
}

static void wait_for_slot(struct bridge *bridge)
{
    bridge->retry_ns = SOON_NS;
}

/* The slot has exactly the bytes that come: what a message says of its tensors may be wrong. */
static bool same_sizes(const struct arrival *arrival)
{
    for (uint32_t i = 0; i < arrival->message.count; i++)
        if (tr_message_tensor(arrival->slot, i)->nbytes != arrival->message.nbytes[i])
            return false;
    return true;
}

static bool may_be_pickle(const struct bridge *bridge, const tr_header *header)
{
    return bridge->flags & HELLO_PICKLE || (header->content != TR_CONTENT_PICKLE &&
                                            !strstr(header->content_type, "pickle"));
}

enum slot { SLOT_TAKEN, SLOT_LATER, SLOT_DECLINED };

static enum slot declined(bool told)
{
    return told ? SLOT_DECLINED : SLOT_LATER;
}

/* A slot for it, and what has come so far in that. */
static enum slot take_slot(struct bridge *bridge, struct lane *lane)
{
    struct arrival *arrival = lane->first;
    const struct wire_message *message = &arrival->message;
    int result;

    if (arrival->slot)
        return SLOT_TAKEN;
    if (!may_be_pickle(bridge, &message->header))
        return declined(decline(bridge, lane, "pickled messages are not taken here"));
    result = tr_message_loan(bridge->arena, message->specs, message->count, TR_NOWAIT,
                             &arrival->slot);
    if (result == TR_EAGAIN || result == TR_ENOSPC) {
        wait_for_slot(bridge);
        return SLOT_LATER;
    }
    if (result < 0)
        return declined(decline_result(bridge, lane, result));
    if (!same_sizes(arrival))
        return declined(decline(bridge, lane,
                                "the sizes of its tensors are not those of their types"));
    if (message->payload)
        copy(arrival, message->payload, message->payload_bytes);
    for (struct frame *frame = arrival->first; frame; frame = frame->next)
        copy(arrival, frame->data, frame->data_bytes);
    release_frames(bridge, arrival);
    if (arrival->merged)
        copy(arrival, arrival->merged, arrival->come);
    free(arrival->merged);
    arrival->merged = NULL;
    return SLOT_TAKEN;
}

/* @p left_ns after @p since_ns; what is further away than the clock goes is never. */
static int64_t later(int64_t since_ns, int64_t left_ns)
{
    return left_ns < INT64_MAX - since_ns ? since_ns + left_ns : INT64_MAX;
}

/* The header, and the checksum that its sender has computed. 0, or a TR_E code. */
static int complete(struct arrival *arrival)
{
    tr_header header = arrival->message.header, sealed = TR_HEADER_INIT;
    int result;

    if (arrival->whole)
        return 0;
    if (header.deadline_ns)
        arrival->deadline_ns = header.deadline_ns = later(arrival->came_ns,
                                                          header.deadline_ns);
    result = tr_message_header_set(arrival->slot, &header);
    if (result == 0 && arrival->message.origin.source)
        result = tr_message_origin_set(arrival->slot, &arrival->message.origin);
    if (result == 0 && header.has_crc)
        result = tr_message_seal(arrival->slot);
    if (result == 0 && header.has_crc)
        result = tr_message_header_get(arrival->slot, &sealed);
    if (result == 0 && header.has_crc && sealed.crc32c != header.crc32c)
        result = TR_ECHECKSUM;
    arrival->whole = result == 0;
    return result;
}

/* Room for a note, and the note that it is about to be published. 0, or a TR_E code. */
static int announce(struct lane *lane, uint64_t number)
{
    int result = note_prepare(&lane->note);

    if (result == 0)
        result = note_intend(&lane->note, number);
    if (result == 0 && note_value_has(&lane->note.value, number))
        return TR_EAGAIN; /* by another bridge, in between: the next look finds it */
    if (result == 0)
        result = note_prepare(&lane->note);
    return result == TR_ENOSPC ? TR_EAGAIN : result;
}

/* Publish the first arrival. What fails is tried again. 0, or a TR_E code. */
static int publish(struct lane *lane)
{
    struct arrival *arrival = lane->first;
    struct channel *channel = lane->channel;
    bool is_queue = channel->kind == KIND_QUEUE;
    bool suspect = is_queue && lane->note.suspect == arrival->message.number;
    int result = is_queue ? announce(lane, arrival->message.number) : 0;

    if (result < 0)
        return result;
    step("fetched");
    result = kind_publish(channel, arrival->slot, arrival->key);
    if (result == TR_EAGAIN && is_queue)
        channel->ready = false; /* the wait set tells when there is room */
    if (result < 0)
        return result;
    arrival->slot = NULL;
    arrival->published = true;
    arrival->noted = !is_queue; /* others are not offered again */
    step("published");
    channel->counts.published++;
    channel->counts.doubled += suspect;
    return 0;
}

/* Write down that it was published. What was published cannot be taken back: until that can be
 * noted, nothing else is done. */
static bool note_it(struct bridge *bridge, struct lane *lane)
{
    char text[WHY_TEXT];
    int result = lane->first->noted ? 0
                                    : note_add(&lane->note, lane->first->message.number);

    lane->first->noted = result == 0;
    if (result == 0)
        return true;
    speak_of(bridge, lane->channel,
             say_failure(text, "what was published cannot be noted", result));
    wait_for_slot(bridge);
    return false;
}

/* Answer, and forget it. False: there is no room now; it is answered later. */
static bool receipt(struct bridge *bridge, struct lane *lane, enum wire_receipt how)
{
    if (!answer(bridge, lane, how))
        return false;
    step("receipt");
    lane->channel->counts.repeated += how == RECEIPT_REPEATED;
    forget_first(bridge, lane);
    return true;
}

static bool finish(struct bridge *bridge, struct lane *lane)
{
    if (!note_it(bridge, lane))
        return false;
    step("noted");
    return receipt(bridge, lane, RECEIPT_PUBLISHED);
}

/* A request is asked of the servers here, an answer goes to its requester. 0, or a TR_E code. */
static int serve(struct bridge *bridge, struct lane *lane)
{
    struct arrival *arrival = lane->first;
    bool asks = lane->channel->direction == DIRECTION_IN;
    int result = asks ? service_ask(bridge, lane, arrival->message.number, arrival->slot,
                                    arrival->deadline_ns)
                      : outgoing_reply(lane, arrival->message.number, arrival->slot);

    if (result < 0)
        return result;
    arrival->slot = NULL;
    lane->channel->counts.published += asks;
    if (asks)
        forget_first(bridge, lane);
    else
        arrival->published = arrival->noted = true; /* the receipt is left to send */
    return 0;
}

static int hand_on(struct bridge *bridge, struct lane *lane)
{
    if (bridge->stops && lane->channel->kind == KIND_SERVICE &&
        lane->channel->direction == DIRECTION_IN)
        return TR_EAGAIN; /* what it asks now would not be answered in time */
    if (lane->channel->kind == KIND_SERVICE && lane->channel->direction == DIRECTION_OUT)
        return serve(bridge, lane);
    if (!lane->channel->ready)
        return TR_EAGAIN;
    return lane->channel->kind == KIND_SERVICE ? serve(bridge, lane) : publish(lane);
}

/* All of it is here, and it is new. True: it was published, or declined. */
static bool hand_over(struct bridge *bridge, struct lane *lane)
{
    int result = complete(lane->first);

    if (result == 0)
        result = hand_on(bridge, lane);
    if (result == TR_EAGAIN && lane->channel->ready)
        wait_for_slot(bridge);
    if (result < 0 && result != TR_EAGAIN)
        return decline_result(bridge, lane, result);
    return result == 0;
}

/* The first arrival, as far as it goes. True: it is done, or goes on: look again. */
static bool pump_one(struct bridge *bridge, struct lane *lane)
{
    struct arrival *arrival = lane->first;
    bool here = arrival->come == arrival->message.payload_bytes;

    if (lane->link->blocked)
        return false;
    if (arrival->published)
        return finish(bridge, lane);
    if (lane->channel->kind == KIND_QUEUE &&
        note_has(&lane->note, arrival->message.number))
        return here && receipt(bridge, lane, RECEIPT_REPEATED);
    switch (take_slot(bridge, lane)) {
    case SLOT_LATER:
        return false;
    case SLOT_DECLINED:
        return true;
    default:
        return here && hand_over(bridge, lane);
    }
}

void incoming_pump(struct bridge *bridge, struct lane *lane)
{
    while (lane->first && lane->link->up && pump_one(bridge, lane))
        ;
}

void incoming_unlink(struct bridge *bridge, struct lane *lane)
{
    while (lane->first) {
        struct arrival *arrival = lane->first;

        if (arrival->published)
            (void)note_it(bridge, lane); /* published: it must not be taken for new */
        forget_first(bridge, lane);
    }
    note_close(&lane->note);
}
