/* SPDX-License-Identifier: MIT */
/* engine_zmq.h - ZeroMQ: a ROUTER where the bridge listens, a DEALER where it connects. */
#ifndef TR_BRIDGE_ENGINE_ZMQ_H
#define TR_BRIDGE_ENGINE_ZMQ_H

#include "engine.h"

struct zmq_engine {
    struct engine base; /* first */
    void *context;
    void *data;    /* ROUTER or DEALER */
    void *monitor; /* events of its connections */
    void *zap;     /* listener with keys: which may connect */
    int poll;      /* epoll of all three */
    bool is_up;    /* connector */
    uint64_t link; /* connector: the number of this attempt */
};

/* Answer the requests of ZAP that are there: whether a key may connect. True: one was refused,
 * see why. */
int zap_open(struct zmq_engine *engine);
bool zap_next(struct zmq_engine *engine);

/* One event of the monitor: what it means. */
int monitor_open(struct zmq_engine *engine);
enum engine_kind monitor_next(struct zmq_engine *engine);

#endif
