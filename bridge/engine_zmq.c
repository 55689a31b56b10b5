/* SPDX-License-Identifier: MIT */
#include "engine_zmq.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <zmq.h>

#include "address.h"
#include "wire.h"

enum {
    HEARTBEAT_MS = 700,  /* how often a connection is asked whether it lives */
    SILENCE_MS = 2000,   /* how long it may say nothing */
    HANDSHAKE_MS = 5000, /* how long a stranger may take */
    SEND_FRAMES = 8,     /* in one connection's pipe: 2 MiB of chunks */
    RECEIVE_FRAMES = 0,  /* no limit of ZeroMQ's: our windows are the limit, see below */
    ROUTE_BYTES = 5 /* of a ROUTER's own names of connections, which begin with a 0 */
};

static struct zmq_engine *own(struct engine *base)
{
    return (struct zmq_engine *)base;
}

static struct engine *zmq_engine_open(const struct engine_keys *keys, char why[WHY_TEXT])
{
    struct zmq_engine *engine = calloc(1, sizeof(*engine));

    snprintf(why, WHY_TEXT, "the engine cannot be started: out of memory or descriptors");
    if (!engine)
        return NULL;
    engine->base.keys = keys;
    engine->context = zmq_ctx_new();
    engine->poll = epoll_create1(EPOLL_CLOEXEC);
    if (engine->context && engine->poll >= 0)
        return &engine->base;
    engine_zmq.close(&engine->base);
    return NULL;
}

static int fail(struct zmq_engine *engine, const char *step)
{
    snprintf(engine->base.why, sizeof(engine->base.why), "%s: %s", step,
             zmq_strerror(errno));
    return -1;
}

static void set(void *socket, int option, int value)
{
    zmq_setsockopt(socket, option, &value, sizeof(value));
}

/* A connection whose pipe is full is not read. If its peer dies then, libzmq 4.3.4 aborts at
 * the next heartbeat (an assertion in out_event()), so no pipe may be full: what may be on its
 * way to us is bounded by the windows that we gave. */
static void set_limits(void *socket)
{
    int64_t largest = (int64_t)WIRE_MAX_HEAD;

    set(socket, ZMQ_LINGER, 0);
    set(socket, ZMQ_SNDHWM, SEND_FRAMES);
    set(socket, ZMQ_RCVHWM, RECEIVE_FRAMES);
    set(socket, ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS);
    set(socket, ZMQ_HEARTBEAT_TIMEOUT, SILENCE_MS);
    set(socket, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS);
    set(socket, ZMQ_RECONNECT_IVL, -1); /* the bridge paces that itself */
    zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &largest, sizeof(largest));
}

static void set_keys(const struct zmq_engine *engine)
{
    const struct engine_keys *keys = engine->base.keys;

    if (!*keys->secret)
        return;
    zmq_setsockopt(engine->data, ZMQ_CURVE_SECRETKEY, keys->secret, 41);
    if (engine->base.listens) {
        set(engine->data, ZMQ_CURVE_SERVER, 1);
        return;
    }
    zmq_setsockopt(engine->data, ZMQ_CURVE_PUBLICKEY, keys->public, 41);
    zmq_setsockopt(engine->data, ZMQ_CURVE_SERVERKEY, keys->peer, 41);
}

static void watch(const struct zmq_engine *engine, void *socket)
{
    struct epoll_event event = {.events = EPOLLIN};
    int fd = -1;
    size_t size = sizeof(fd);

    if (socket && zmq_getsockopt(socket, ZMQ_FD, &fd, &size) == 0)
        epoll_ctl(engine->poll, EPOLL_CTL_ADD, fd, &event);
}

/* The data socket and its monitor, new. */
static int open_sockets(struct zmq_engine *engine, int type, const char *endpoint)
{
    engine->data = zmq_socket(engine->context, type);
    if (!engine->data)
        return fail(engine, "socket");
    set_limits(engine->data);
    set_keys(engine);
    set(engine->data, ZMQ_IPV6, strchr(endpoint, '[') != NULL);
    if (type == ZMQ_ROUTER)
        set(engine->data, ZMQ_ROUTER_MANDATORY, 1);
    if (monitor_open(engine) < 0)
        return fail(engine, "monitor");
    watch(engine, engine->data);
    watch(engine, engine->monitor);
    return 0;
}

/* As numbers: zmq_bind() takes no names of hosts, and zmq_connect() asks in a thread of its own,
 * which cannot say why not. */
static int resolve(struct zmq_engine *engine, const char *address, char endpoint[256])
{
    struct address found;

    if (address_find(&found, address, engine->base.why) < 0)
        return -1;
    snprintf(endpoint, 256, "tcp://%s", found.text);
    return 0;
}

static int zmq_engine_listen(struct engine *base, const char *address)
{
    struct zmq_engine *engine = own(base);
    char endpoint[256];
    size_t size = sizeof(endpoint);

    engine->base.listens = true;
    if (resolve(engine, address, endpoint) < 0)
        return -1;
    if (*engine->base.keys->secret && zap_open(engine) < 0)
        return fail(engine, "the list of keys");
    if (open_sockets(engine, ZMQ_ROUTER, endpoint) < 0)
        return -1;
    if (zmq_bind(engine->data, endpoint) < 0)
        return fail(engine, address);
    watch(engine, engine->zap);
    zmq_getsockopt(engine->data, ZMQ_LAST_ENDPOINT, endpoint, &size);
    snprintf(engine->base.address, sizeof(engine->base.address), "%s",
             endpoint + strlen("tcp://"));
    return 0;
}

static void close_sockets(struct zmq_engine *engine)
{
    if (engine->data)
        zmq_close(engine->data);
    if (engine->monitor)
        zmq_close(engine->monitor);
    engine->data = engine->monitor = NULL;
    engine->is_up = false;
}

static int zmq_engine_connect(struct engine *base, const char *address)
{
    struct zmq_engine *engine = own(base);
    char endpoint[256];

    close_sockets(engine); /* epoll forgets what is closed */
    engine->link++;
    snprintf(engine->base.address, sizeof(engine->base.address), "%s", address);
    if (resolve(engine, address, endpoint) < 0 ||
        open_sockets(engine, ZMQ_DEALER, endpoint) < 0)
        return -1;
    return zmq_connect(engine->data, endpoint) < 0 ? fail(engine, address) : 0;
}

static int zmq_engine_fd(const struct engine *base)
{
    return ((const struct zmq_engine *)base)->poll;
}

static bool can_read(void *socket)
{
    int events = 0;
    size_t size = sizeof(events);

    return socket && zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size) == 0 &&
           events & ZMQ_POLLIN;
}

/* What the other two sockets have to say stays readable behind the descriptor. */
static bool zmq_engine_ready(struct engine *base)
{
    return can_read(own(base)->data);
}

/* Frames of the engine, with what ZeroMQ needs to free them. */
struct zmq_frame {
    struct frame frame;
    zmq_msg_t head, data;
};

static void zmq_engine_release(struct frame *frame)
{
    struct zmq_frame *whole = (struct zmq_frame *)frame;

    if (!frame)
        return;
    zmq_msg_close(&whole->head);
    zmq_msg_close(&whole->data);
    free(whole);
}

/* What zap_next() has said of the connection. */
static const char *zmq_engine_peer(const struct frame *frame)
{
    const char *key = zmq_msg_gets(&((const struct zmq_frame *)frame)->head, "User-Id");

    return key ? key : "";
}

static bool receive_part(void *socket, zmq_msg_t *part)
{
    return zmq_msg_recv(part, socket, ZMQ_DONTWAIT) >= 0;
}

static bool drop_rest(void *socket, zmq_msg_t *part)
{
    bool whole = true;

    while (zmq_msg_more(part) && receive_part(socket, part))
        whole = false;
    return whole;
}

/* The number of a link that a ROUTER has named. 0: a name that the peer chose itself. */
static uint64_t route_number(zmq_msg_t *route)
{
    const uint8_t *bytes = zmq_msg_data(route);
    uint64_t number = 0;

    if (zmq_msg_size(route) != ROUTE_BYTES || bytes[0] != 0)
        return 0;
    memcpy(&number, bytes, ROUTE_BYTES);
    return number | UINT64_C(1) << 62;
}

/* The parts after the route; the head is there already where there is no route. False: there are
 * too many or too few. */
static bool receive_parts(struct zmq_engine *engine, struct zmq_frame *frame)
{
    if (engine->base.listens && !receive_part(engine->data, &frame->head))
        return false;
    if (zmq_msg_more(&frame->head)) {
        if (!receive_part(engine->data, &frame->data) ||
            !drop_rest(engine->data, &frame->data))
            return false;
    }
    frame->frame.head = zmq_msg_data(&frame->head);
    frame->frame.head_bytes = zmq_msg_size(&frame->head);
    frame->frame.data = zmq_msg_data(&frame->data);
    frame->frame.data_bytes = zmq_msg_size(&frame->data);
    return true;
}

static bool strange(struct zmq_engine *engine, struct engine_event *event,
                    const char *why)
{
    snprintf(engine->base.why, sizeof(engine->base.why), "%s", why);
    *event = (struct engine_event){.kind = ENGINE_STRANGER, .why = engine->base.why};
    return true;
}

/* Listener: the link that the first part names. 0: none of ours; the rest is dropped. */
static uint64_t link_of(struct zmq_engine *engine, zmq_msg_t *route)
{
    uint64_t link = route_number(route);

    if (link && zmq_msg_more(route))
        return link;
    drop_rest(engine->data, route);
    return 0;
}

/* What follows the first part, which is gone afterwards. */
static bool rest_of_frame(struct zmq_engine *engine, zmq_msg_t *first,
                          struct engine_event *event)
{
    struct zmq_frame *frame = calloc(1, sizeof(*frame));

    if (!frame) {
        drop_rest(engine->data, first);
        return false;
    }
    zmq_msg_init(&frame->head);
    zmq_msg_init(&frame->data);
    if (!engine->base.listens)
        zmq_msg_move(&frame->head, first);
    event->frame = &frame->frame;
    if (receive_parts(engine, frame))
        return true;
    zmq_engine_release(&frame->frame);
    return strange(engine, event, "a frame has too many parts");
}

static bool next_frame(struct zmq_engine *engine, struct engine_event *event)
{
    zmq_msg_t first;
    bool found;

    if (!engine->data)
        return false;
    zmq_msg_init(&first);
    found = receive_part(engine->data, &first);
    if (found) {
        event->kind = ENGINE_FRAME;
        event->link = engine->base.listens ? link_of(engine, &first) : engine->link;
        found = event->link ? rest_of_frame(engine, &first, event)
                            : strange(engine, event,
                                      "a peer has named itself, which bridges do not");
    }
    zmq_msg_close(&first);
    return found;
}

static bool zmq_engine_next(struct engine *base, struct engine_event *event)
{
    struct zmq_engine *engine = own(base);

    *event = (struct engine_event){.link = engine->link, .why = engine->base.why};
    if (next_frame(engine, event))
        return true;
    while (can_read(engine->monitor)) {
        event->kind = monitor_next(engine);
        if (event->kind != ENGINE_NOTHING)
            return true;
    }
    while (can_read(engine->zap))
        if (zap_next(engine)) {
            event->kind = ENGINE_STRANGER;
            return true;
        }
    return false;
}

/* One part. It may be lent; the message is gone afterwards, whatever is returned. */
static int send_part(struct zmq_engine *engine, zmq_msg_t *part, int flags)
{
    if (zmq_msg_send(part, engine->data, flags | ZMQ_DONTWAIT) >= 0)
        return 0;
    zmq_msg_close(part);
    return errno == EAGAIN ? -EAGAIN : -EHOSTUNREACH;
}

static int send_copy(struct zmq_engine *engine, const void *bytes, size_t count,
                     int flags)
{
    zmq_msg_t part;

    if (zmq_msg_init_size(&part, count) < 0)
        return -EAGAIN;
    if (count)
        memcpy(zmq_msg_data(&part), bytes, count);
    return send_part(engine, &part, flags);
}

static int zmq_engine_send(struct engine *base, uint64_t link, const void *head,
                           size_t bytes, const struct lent *lent)
{
    struct zmq_engine *engine = own(base);
    int more = lent ? ZMQ_SNDMORE : 0, result = 0;
    zmq_msg_t part;

    if (!engine->data || (!engine->base.listens && link != engine->link))
        return -EHOSTUNREACH;
    if (engine->base.listens) /* only here can a ROUTER say that there is no room */
        result = send_copy(engine, &link, ROUTE_BYTES, ZMQ_SNDMORE);
    if (result == 0)
        result = send_copy(engine, head, bytes, more);
    if (result < 0 || !lent)
        return result;
    if (zmq_msg_init_data(&part, lent->data, lent->bytes, lent->sent, lent->context) < 0)
        zmq_msg_init(&part); /* the other side sees that it is too short */
    (void)send_part(engine, &part, 0);
    return 0;
}

static void zmq_engine_close(struct engine *base)
{
    struct zmq_engine *engine = own(base);

    if (!engine)
        return;
    close_sockets(engine);
    if (engine->zap)
        zmq_close(engine->zap);
    if (engine->context)
        zmq_ctx_term(engine->context); /* waits until all that was lent is given back */
    if (engine->poll >= 0)
        close(engine->poll);
    free(engine);
}

const struct engine_calls engine_zmq = {
    .name = "zmq",
    .has_keys = true,
    .ping_ns = 2000000000, /* its heartbeats find what is lost, and its monitor tells */
    .open = zmq_engine_open,
    .listen = zmq_engine_listen,
    .connect = zmq_engine_connect,
    .fd = zmq_engine_fd,
    .ready = zmq_engine_ready,
    .next = zmq_engine_next,
    .send = zmq_engine_send,
    .peer = zmq_engine_peer,
    .release = zmq_engine_release,
    .close = zmq_engine_close,
};
