/* SPDX-License-Identifier: MIT */
/* What the engine's connections do, from its monitor. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

#include "engine_zmq.h"

enum {
    FAILED = ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
             ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL,
    LOST = ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED
};

int monitor_open(struct zmq_engine *engine)
{
    static unsigned long made;
    int none = 0;
    char name[64];

    snprintf(name, sizeof(name), "inproc://monitor.%lu", made++);
    if (zmq_socket_monitor(engine->data, name,
                           ZMQ_EVENT_HANDSHAKE_SUCCEEDED | FAILED | LOST) < 0)
        return -1;
    engine->monitor = zmq_socket(engine->context, ZMQ_PAIR);
    if (!engine->monitor)
        return -1;
    zmq_setsockopt(engine->monitor, ZMQ_LINGER, &none, sizeof(none));
    return zmq_connect(engine->monitor, name);
}

/* The number of an event, and its value. False: there is none. */
static bool receive(struct zmq_engine *engine, uint16_t *event, uint32_t *value)
{
    uint8_t part[6];
    char address[256];
    int got = zmq_recv(engine->monitor, part, sizeof(part), ZMQ_DONTWAIT);

    if (got != (int)sizeof(part))
        return false;
    memcpy(event, part, 2);
    memcpy(value, part + 2, 4);
    return zmq_recv(engine->monitor, address, sizeof(address), ZMQ_DONTWAIT) >= 0;
}

static const char *reason(const struct zmq_engine *engine, uint16_t event, uint32_t value)
{
    bool keys = *engine->base.keys->secret;

    if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
        return value == 400 ? "the other side does not allow our key"
                            : "the other side has refused our key";
    if (event & FAILED)
        return keys
                   ? "the handshake failed: the keys do not belong together, or one side "
                     "runs with --plain"
                   : "the handshake failed: the other side has keys, or is no bridge";
    if (event == ZMQ_EVENT_DISCONNECTED)
        return engine->is_up ? "the connection is lost"
                             : "the other side closed the connection in the handshake: a "
                               "wrong key, or no bridge";
    return "nothing listens there, or the network does not reach it";
}

static enum engine_kind down(struct zmq_engine *engine, uint16_t event, uint32_t value)
{
    snprintf(engine->base.why, sizeof(engine->base.why), "%s",
             reason(engine, event, value));
    engine->is_up = false;
    return ENGINE_DOWN;
}

enum engine_kind monitor_next(struct zmq_engine *engine)
{
    uint16_t event = 0;
    uint32_t value = 0;

    if (!receive(engine, &event, &value))
        return ENGINE_NOTHING;
    if (!engine->base.listens && event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
        engine->is_up = true;
        return ENGINE_UP;
    }
    if (!engine->base.listens)
        return down(engine, event, value);
    if (event == ZMQ_EVENT_DISCONNECTED)
        return ENGINE_SUSPECT; /* it does not say which link */
    if (!(event & FAILED))
        return ENGINE_NOTHING;
    /* Refused keys are told by zap_next(). */
    if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
        return ENGINE_NOTHING;
    snprintf(
        engine->base.why, sizeof(engine->base.why), "a peer failed in the handshake: %s",
        *engine->base.keys->secret ? "another key of ours, no key at all, or no bridge"
                                   : "it has keys, or is no bridge");
    return ENGINE_STRANGER;
}
