/* SPDX-License-Identifier: MIT */
#include "link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allow.h"
#include "incoming.h"
#include "kinds.h"
#include "landing.h"
#include "meet.h"
#include "outgoing.h"
#include "service.h"
#include "speak.h"

enum { SECOND = 1000000000, MOST_LINKS = 256 };
#define SUSPECT_NS     (INT64_C(1) * SECOND)
#define PROBE_NS       (INT64_C(50) * 1000000)
#define SILENCE_NS     (INT64_C(10) * SECOND) /* a listener pings, if the link stands there */
#define HELLO_NS       (INT64_C(5) * SECOND)
#define FIRST_PAUSE_NS INT64_C(100000000)
#define LAST_PAUSE_NS  (INT64_C(30) * SECOND)

static struct link *find(const struct bridge *bridge, uint64_t number)
{
    struct link *link = bridge->links;

    while (link && link->number != number)
        link = link->next;
    return link;
}

static void changed(struct bridge *bridge, const char *why)
{
    bridge->changed_ns = now_ns();
    bridge->tell = true;
    if (why != bridge->why)
        snprintf(bridge->why, sizeof(bridge->why), "%s", why);
}

static void free_link(struct bridge *bridge, struct link *link)
{
    for (uint32_t i = 0; i < link->lane_count; i++) {
        struct lane *lane = &link->lanes[i];

        if (!lane->open)
            continue;
        outgoing_unlink(lane);
        incoming_unlink(bridge, lane);
        service_unlink(bridge, lane);
        kind_close_lane(bridge, lane);
    }
    free(link->lanes);
    free(link);
}

static void take_out(struct bridge *bridge, struct link *link)
{
    struct link **at = &bridge->links;

    while (*at && *at != link)
        at = &(*at)->next;
    if (*at)
        *at = link->next;
}

/* The next try comes after a pause, which doubles, and is not the same for all. */
static void pause_before(struct bridge *bridge)
{
    int64_t pause = bridge->backoff_ns ? bridge->backoff_ns : FIRST_PAUSE_NS;

    bridge->backoff_ns = pause * 2 < LAST_PAUSE_NS ? pause * 2 : LAST_PAUSE_NS;
    pause -= random() % (pause / 4);
    bridge->connect_ns = now_ns() + pause;
    bridge->hello_ns = 0;
}

/* A link stands, or stood. If the rules were broken not long ago, they may be broken again. */
static void begin_pauses_anew(struct bridge *bridge)
{
    if (!bridge->broken_ns || now_ns() - bridge->broken_ns > 2 * LAST_PAUSE_NS)
        bridge->backoff_ns = 0;
}

/* The connector has no link, and why: say it if it is news, and try again later. */
static void no_link(struct bridge *bridge, const char *why)
{
    if (strcmp(why, bridge->why) != 0)
        say("no link to %s: %s", bridge->engine->address, why);
    changed(bridge, why);
    pause_before(bridge);
}

void link_lose(struct bridge *bridge, struct link *link, const char *why)
{
    char text[WHY_TEXT];

    snprintf(text, sizeof(text), "%s", why);
    take_out(bridge, link);
    if (link->up) {
        begin_pauses_anew(bridge);
        say("the link to %s is down: %s", link->where, text);
        snprintf(bridge->last_where, sizeof(bridge->last_where), "%s", link->where);
    }
    free_link(bridge, link);
    changed(bridge, text);
    if (!bridge->options->listens)
        no_link(bridge, text);
}

void link_connect(struct bridge *bridge)
{
    bridge->connect_ns = 0;
    if (bridge->calls->connect(bridge->engine, bridge->options->address) < 0)
        no_link(bridge, bridge->engine->why);
    else
        bridge->hello_ns = now_ns() + HELLO_NS;
}

static struct link *add(struct bridge *bridge, uint64_t number)
{
    struct link *link = calloc(1, sizeof(*link));

    if (!link)
        return NULL;
    link->number = number;
    link->heard_ns = now_ns();
    link->next = bridge->links;
    bridge->links = link;
    return link;
}

/* Tell the peer of a link that is none why it is none. */
static void refuse(struct bridge *bridge, uint64_t number, const char *why)
{
    wire_begin(&bridge->out, WIRE_REFUSED);
    wire_put_text(&bridge->out, why);
    if (!bridge->out.failed)
        (void)bridge->calls->send(bridge->engine, number, bridge->out.bytes,
                                  bridge->out.used, NULL);
}

static void strange(struct bridge *bridge, const char *why)
{
    bridge->strangers++;
    bridge->tell = true;
    if (strcmp(why, bridge->stranger) == 0)
        return; /* said before */
    snprintf(bridge->stranger, sizeof(bridge->stranger), "%s", why);
    say("refused: %s", why);
}

static void stands(struct bridge *bridge, struct link *link)
{
    link->up = true;
    link->heard_ns = link->pinged_ns = now_ns();
    bridge->hello_ns = 0;
    begin_pauses_anew(bridge);
    if (!bridge->options->listens && !identity_none(&bridge->last_arena) &&
        !identity_same(&bridge->last_arena, &link->arena)) {
        bridge->other_arena++;
        say("other arena: that of %s was made again; what was confirmed is not sent "
            "twice",
            link->where);
    }
    bridge->last_arena = link->arena;
    changed(bridge, "");
    say("the link to %s is up", link->where);
}

static int count_links(const struct bridge *bridge)
{
    int count = 0;

    for (const struct link *link = bridge->links; link; link = link->next)
        count++;
    return count;
}

static bool is_allowed(const struct bridge *bridge, const char *key)
{
    return !*key || allow_has(bridge->keys.allow, key);
}

/* A link that is none yet becomes one, if the peer's hello is good. */
static bool greet(struct bridge *bridge, struct link *link, struct wire_in *in,
                  char why[WHY_TEXT])
{
    if (is_allowed(bridge, link->key))
        return meet_hello(bridge, link, in, why);
    snprintf(why, WHY_TEXT, "the key '%s' was taken off the allow list", link->key);
    return false;
}

/* Listener: the first word of a peer. */
static void met(struct bridge *bridge, uint64_t number, struct wire_in *in,
                const char *key)
{
    struct link *link = count_links(bridge) < MOST_LINKS ? add(bridge, number) : NULL;
    char why[WHY_TEXT];

    if (!link) {
        snprintf(why, sizeof(why), "this bridge takes no more than %d links", MOST_LINKS);
        strange(bridge, why);
        refuse(bridge, number, why);
        return;
    }
    snprintf(link->key, sizeof(link->key), "%s", key);
    if (!greet(bridge, link, in, why)) {
        strange(bridge, why);
        refuse(bridge, number, why);
    } else if (speak(bridge, link)) {
        stands(bridge, link);
        return;
    }
    take_out(bridge, link);
    free_link(bridge, link);
}

/* Connector: what the listener makes of our hello. */
static void answered(struct bridge *bridge, struct link *link, enum wire_type type,
                     struct wire_in *in)
{
    char why[WHY_TEXT];

    if (type == WIRE_WELCOME && meet_welcome(bridge, link, in, why)) {
        stands(bridge, link);
        return;
    }
    if (type == WIRE_REFUSED || type == WIRE_BYE)
        snprintf(why, sizeof(why), "refused by the other side: %s", wire_get_text(in));
    else if (type != WIRE_WELCOME)
        snprintf(why, sizeof(why),
                 "the other side began with something else than a welcome");
    link_lose(bridge, link, why);
}

static struct lane *lane_of(struct link *link, struct wire_in *in,
                            enum direction direction)
{
    uint32_t number = wire_get_u32(in);
    struct lane *lane = number < link->lane_count ? &link->lanes[number] : NULL;

    return lane && lane->open && lane->channel->direction == direction && !in->failed
               ? lane
               : NULL;
}

/* Where messages come in on a link: an answer does where its request went out. */
static struct lane *lane_in(struct link *link, struct wire_in *in)
{
    struct wire_in again = *in;
    struct lane *lane = lane_of(link, in, DIRECTION_IN);

    if (lane)
        return lane;
    *in = again;
    lane = lane_of(link, in, DIRECTION_OUT);
    return lane && lane->channel->kind == KIND_SERVICE ? lane : NULL;
}

/* Where receipts come in: those of answers do where their requests came in. */
static struct lane *lane_out(struct link *link, struct wire_in *in)
{
    struct wire_in again = *in;
    struct lane *lane = lane_of(link, in, DIRECTION_OUT);

    if (lane)
        return lane;
    *in = again;
    lane = lane_of(link, in, DIRECTION_IN);
    return lane && lane->channel->kind == KIND_SERVICE ? lane : NULL;
}

/* A key and its value go the way of the lane; the keys that are there come back. */
static bool key(struct link *link, struct wire_in *in)
{
    struct wire_in again = *in;
    struct lane *lane = lane_of(link, in, DIRECTION_IN);

    if (lane)
        return incoming_key(lane, in);
    *in = again;
    lane = lane_of(link, in, DIRECTION_OUT);
    return lane && outgoing_key(lane, in);
}

static bool fault(struct lane *lane, struct wire_in *in)
{
    uint64_t number = wire_get_u64(in);
    int32_t code = (int32_t)wire_get_u32(in);
    const char *text = wire_get_text(in);

    return lane && lane->channel->kind == KIND_SERVICE && wire_done(in) &&
           outgoing_failed(lane, number, code, text);
}

static bool notice(struct bridge *bridge, struct link *link, struct wire_in *in)
{
    uint32_t number = wire_get_u32(in);
    const char *why = wire_get_text(in);

    if (!wire_done(in) || number >= link->lane_count || !link->lanes[number].channel)
        return false;
    speak_of(bridge, link->lanes[number].channel, why);
    return true;
}

static bool receipt(struct lane *lane, struct wire_in *in)
{
    uint64_t number = wire_get_u64(in);

    (void)wire_get_u8(in);
    return lane && wire_done(in) && outgoing_receipt(lane, number);
}

static bool declined(struct bridge *bridge, struct lane *lane, struct wire_in *in)
{
    uint64_t number = wire_get_u64(in);
    const char *why = wire_get_text(in);

    return lane && wire_done(in) && outgoing_declined(bridge, lane, number, why);
}

/* A frame of a link that stands; false: it is against the rules. The frame is released. */
static bool obeys(struct bridge *bridge, struct link *link, enum wire_type type,
                  struct wire_in *in, struct frame *frame)
{
    struct lane *lane;
    bool good = true;

    switch (type) {
    case WIRE_MESSAGE:
        lane = lane_in(link, in);
        if (lane) {
            *in = (struct wire_in){(const uint8_t *)frame->head + 8, in->end, false};
            return incoming_message(bridge, lane, in, frame);
        }
        good = false;
        break;
    case WIRE_CHUNK:
        lane = lane_in(link, in);
        if (lane)
            return incoming_chunk(bridge, lane, in, frame);
        good = false;
        break;
    case WIRE_KEY:
        good = key(link, in);
        break;
    case WIRE_FAULT:
        good = fault(lane_of(link, in, DIRECTION_OUT), in);
        break;
    case WIRE_RECEIPT:
        good = receipt(lane_out(link, in), in);
        break;
    case WIRE_DECLINED:
        good = declined(bridge, lane_out(link, in), in);
        break;
    case WIRE_NOTICE:
        good = notice(bridge, link, in);
        break;
    case WIRE_PING:
        break;
    default:
        good = false;
    }
    bridge->calls->release(frame);
    return good;
}

/* The connection stays: without a word the other side would take the link for one that stands. */
static void link_end(struct bridge *bridge, struct link *link, const char *to_them,
                     const char *to_us)
{
    refuse(bridge, link->number, to_them);
    bridge->broken_ns = now_ns();
    link_lose(bridge, link, to_us);
}

void link_check_keys(struct bridge *bridge)
{
    struct link *link = bridge->links, *next;

    for (; link; link = next) {
        next = link->next;
        if (!is_allowed(bridge, link->key))
            link_end(bridge, link, "your key was taken off the allow list",
                     "its key was taken off the allow list");
    }
}

static void heard(struct bridge *bridge, struct link *link, struct frame *frame)
{
    struct wire_in in;
    char why[WHY_TEXT];
    const char *wrong;
    enum wire_type type = wire_open(&in, frame->head, frame->head_bytes, &wrong);

    link->heard_ns = now_ns();
    if (link->up && type != WIRE_NOTHING && type != WIRE_BYE && type != WIRE_REFUSED) {
        if (!obeys(bridge, link, type, &in, frame))
            link_end(bridge, link, "this side broke the rules of the wire",
                     "the other side broke the rules of the wire");
        return;
    }
    if (link->up && type != WIRE_BYE)
        bridge->broken_ns = now_ns();
    if (type == WIRE_NOTHING)
        link_lose(bridge, link, wrong);
    else if (link->up) {
        snprintf(why, sizeof(why), "the other side says: %s", wire_get_text(&in));
        link_lose(bridge, link, why);
    } else
        answered(bridge, link, type, &in);
    bridge->calls->release(frame);
}

/* A frame of nobody that we know: a hello, or the rest of a link that was lost. */
static void heard_first(struct bridge *bridge, uint64_t number, struct frame *frame)
{
    struct wire_in in;
    const char *wrong;
    enum wire_type type = wire_open(&in, frame->head, frame->head_bytes, &wrong);

    if (bridge->options->listens && type == WIRE_HELLO) {
        met(bridge, number, &in, bridge->calls->peer ? bridge->calls->peer(frame) : "");
    } else if (bridge->options->listens && type == WIRE_NOTHING) {
        strange(bridge, wrong);
        refuse(bridge, number, wrong);
    }
    bridge->calls->release(frame);
}

/* Connector: the connection stands; say hello. */
static void came_up(struct bridge *bridge, uint64_t number)
{
    struct link *link = add(bridge, number);

    if (!link)
        return;
    meet_say_hello(bridge);
    (void)speak(bridge, link); /* if not, no welcome comes */
    bridge->reconnects += bridge->last_where[0] != 0;
}

static void came_down(struct bridge *bridge, uint64_t number, const char *why)
{
    struct link *link = find(bridge, number);

    if (link)
        link_lose(bridge, link, why);
    else if (!bridge->options->listens && !bridge->connect_ns)
        no_link(bridge, why);
}

static void happened(struct bridge *bridge, const struct engine_event *event)
{
    struct link *link = find(bridge, event->link);

    switch (event->kind) {
    case ENGINE_UP:
        came_up(bridge, event->link);
        break;
    case ENGINE_DOWN:
        came_down(bridge, event->link, event->why);
        break;
    case ENGINE_FRAME:
        if (link)
            heard(bridge, link, event->frame);
        else
            heard_first(bridge, event->link, event->frame);
        break;
    case ENGINE_SUSPECT:
        bridge->suspect_ns = now_ns() + SUSPECT_NS;
        break;
    case ENGINE_STRANGER:
        strange(bridge, event->why);
        break;
    default:
        break;
    }
}

bool link_place(void *owner, uint64_t number, const void *head, size_t head_bytes,
                size_t bytes, struct landing *landing)
{
    struct bridge *bridge = owner;
    struct link *link = find(bridge, number);
    struct wire_in in;
    const char *wrong;
    struct lane *lane;

    if (!link || !link->up || wire_open(&in, head, head_bytes, &wrong) != WIRE_CHUNK)
        return false;
    lane = lane_in(link, &in);
    if (lane)
        incoming_pump(bridge, lane); /* its message may take a slot now */
    return lane && landing_place(lane, &in, bytes, landing);
}

void link_events(struct bridge *bridge)
{
    struct engine_event event;
    int most = 256; /* then others have their turn */

    for (struct link *link = bridge->links; link; link = link->next)
        link->blocked = false;
    while (most-- && bridge->calls->next(bridge->engine, &event))
        happened(bridge, &event);
}

static int64_t ping_ns(const struct bridge *bridge, int64_t now)
{
    return now < bridge->suspect_ns ? PROBE_NS : bridge->calls->ping_ns;
}

/* Not each engine tells a listener that a link is lost: then a send does. */
static void ping(struct bridge *bridge, struct link *link, int64_t now)
{
    int64_t pause = ping_ns(bridge, now);
    int result;

    if (now - link->pinged_ns < (pause > 2 * EARLY_NS ? pause - EARLY_NS : pause))
        return;
    link->pinged_ns = now;
    wire_begin(&bridge->out, WIRE_PING);
    result = bridge->calls->send(bridge->engine, link->number, bridge->out.bytes,
                                 bridge->out.used, NULL);
    if (result == -EHOSTUNREACH)
        link_lose(bridge, link, "the connection is lost");
}

void link_due(struct bridge *bridge, int64_t now)
{
    struct link *link = bridge->links, *next;

    for (; link; link = next) {
        next = link->next;
        if (link->up && !bridge->options->listens && now - link->heard_ns > SILENCE_NS)
            link_lose(bridge, link, "the other side says nothing any more");
        else if (link->up && bridge->options->listens)
            ping(bridge, link, now);
    }
    if (bridge->connect_ns && now >= bridge->connect_ns)
        link_connect(bridge);
    if (bridge->hello_ns && now >= bridge->hello_ns)
        came_down(bridge, bridge->links ? bridge->links->number : 0,
                  "the other side did not answer within 5 s");
}

static int64_t earlier(int64_t one, int64_t other)
{
    return !other || one < other ? one : other;
}

int64_t link_next_ns(const struct bridge *bridge)
{
    int64_t now = now_ns();
    int64_t next = now + SECOND; /* then look whether the arena still stands */

    for (const struct link *link = bridge->links; link; link = link->next)
        if (link->up && bridge->options->listens)
            next = earlier(next, link->pinged_ns + ping_ns(bridge, now));
    next = earlier(next, bridge->connect_ns);
    return earlier(next, bridge->hello_ns);
}

void link_leave(struct bridge *bridge, const char *why)
{
    while (bridge->links) {
        struct link *link = bridge->links;

        wire_begin(&bridge->out, WIRE_BYE);
        wire_put_text(&bridge->out, why);
        (void)speak(bridge, link);
        take_out(bridge, link);
        free_link(bridge, link);
    }
}
