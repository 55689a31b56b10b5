/* SPDX-License-Identifier: MIT */
/* ZAP (RFC 27 of ZeroMQ): the engine asks us whether a key may connect. */
#include <stdio.h>
#include <string.h>
#include <zmq.h>

#include "allow.h"
#include "engine_zmq.h"

enum { VERSION, REQUEST, DOMAIN, ADDRESS, IDENTITY, MECHANISM, CREDENTIALS, PARTS };

int zap_open(struct zmq_engine *engine)
{
    int none = 0;

    engine->zap = zmq_socket(engine->context, ZMQ_REP);
    if (!engine->zap)
        return -1;
    zmq_setsockopt(engine->zap, ZMQ_LINGER, &none, sizeof(none));
    return zmq_bind(engine->zap, "inproc://zeromq.zap.01");
}

struct question {
    char part[PARTS][256];
    int bytes[PARTS], count;
};

static void ask(struct zmq_engine *engine, struct question *question)
{
    int more = 1;
    size_t size = sizeof(more);

    memset(question, 0, sizeof(*question));
    while (more) {
        char spare[256],
            *to = question->count < PARTS ? question->part[question->count] : spare;
        int got = zmq_recv(engine->zap, to, 255, ZMQ_DONTWAIT);

        if (got < 0)
            return;
        if (question->count < PARTS)
            question->bytes[question->count] = got;
        question->count++;
        zmq_getsockopt(engine->zap, ZMQ_RCVMORE, &more, &size);
    }
}

/* The key that the peer has shown it has; "": none. */
static void key_of(const struct question *question, char key[41])
{
    *key = 0;
    if (question->count == PARTS && strcmp(question->part[MECHANISM], "CURVE") == 0 &&
        question->bytes[CREDENTIALS] == 32)
        zmq_z85_encode(key, (const uint8_t *)question->part[CREDENTIALS], 32);
}

/* The engine keeps @p user beside the connection, and its frames have it. */
static void answer(struct zmq_engine *engine, const struct question *question, bool yes,
                   const char *user)
{
    const char *request = question->part[REQUEST];
    size_t bytes = (size_t)question->bytes[REQUEST];

    zmq_send(engine->zap, "1.0", 3, ZMQ_SNDMORE);
    zmq_send(engine->zap, request, bytes, ZMQ_SNDMORE);
    zmq_send(engine->zap, yes ? "200" : "400", 3, ZMQ_SNDMORE);
    zmq_send(engine->zap, "", 0, ZMQ_SNDMORE);
    zmq_send(engine->zap, user, strlen(user), ZMQ_SNDMORE);
    zmq_send(engine->zap, "", 0, 0);
}

bool zap_next(struct zmq_engine *engine)
{
    struct question question;
    bool yes;
    char key[41];

    ask(engine, &question);
    key_of(&question, key);
    yes = *key && allow_has(engine->base.keys->allow, key);
    answer(engine, &question, yes, key);
    if (yes)
        return false;
    snprintf(engine->base.why, sizeof(engine->base.why),
             "a peer at %.60s has the public key '%s', which is not on the allow list",
             question.part[ADDRESS], key);
    return true;
}
