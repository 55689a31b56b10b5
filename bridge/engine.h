/* SPDX-License-Identifier: MIT */
/* engine.h - what carries frames between hosts, as a table of calls: ZeroMQ, or UCX.
 *
 * A link is one connection to one bridge, with a number that is never used again. Frames of a
 * link arrive whole and in order, or the link goes down. The engine keeps nothing that a link has
 * lost: what must arrive is held in the arenas until a receipt comes. */
#ifndef TR_BRIDGE_ENGINE_H
#define TR_BRIDGE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "say.h"

struct allow;

/* One frame that has arrived: a head, and for a chunk its data. */
struct frame {
    struct frame *next; /* for the frame's owner */
    const void *head, *data;
    size_t head_bytes, data_bytes;
};

/* Where the data of a frame may lie: in the slot that it is for. landed(context) is called once,
 * when nothing is written there any more, before the frame is told of or without that. */
struct landing {
    void *to;
    void (*landed)(void *context);
    void *context;
};

/* Ask the owner of an engine for a place for @p bytes of data that @p head tells of. False: in
 * memory of the engine. */
typedef bool engine_place(void *owner, uint64_t link, const void *head, size_t head_bytes,
                          size_t bytes, struct landing *landing);

enum engine_kind {
    ENGINE_NOTHING,
    ENGINE_UP,      /* connector: the link stands, and nothing was said on it yet */
    ENGINE_DOWN,    /* the link is lost, or was not made: see why; not each engine tells a
                       listener, but its send() does */
    ENGINE_FRAME,   /* the receiver of the event releases the frame */
    ENGINE_SUSPECT, /* listener: some link may have been lost; the next sends tell which */
    ENGINE_STRANGER /* listener: something was refused before it was a link: see why */
};

struct engine_event {
    enum engine_kind kind;
    uint64_t link;
    struct frame *frame;
    const char *why;
};

/* A piece of shared memory that is sent where it lies: sent(context) is called once, perhaps in
 * another thread, when the engine no longer reads it. */
struct lent {
    void *data;
    size_t bytes;
    void (*sent)(void *data, void *context);
    void *context;
};

/* The keys of both sides. Without keys every peer may connect. */
struct engine_keys {
    char secret[41], public[41]; /* our own, Z85; "": none */
    char peer[41];               /* connector: that of the other side */
    struct allow *allow;         /* listener */
};

/* What each engine begins with. */
struct engine {
    const struct engine_keys *keys;
    bool listens;
    char address[256];   /* where it listens, with the kernel's port; or connects to */
    char why[WHY_TEXT];  /* why the last call failed */
    engine_place *place; /* NULL is allowed */
    void *owner;         /* for place() */
};

struct engine_calls {
    const char *name;
    bool has_keys; /* it knows who connects, and encrypts */
    int64_t
        ping_ns; /* how often a listener sends, so that it learns of links that are lost */

    /* NULL: and why. @p keys must outlive it. */
    struct engine *(*open)(const struct engine_keys *keys, char why[WHY_TEXT]);

    /* Wait for links at @p address, HOST:PORT. 0, or -1 and why. */
    int (*listen)(struct engine *engine, const char *address);

    /* Begin to make the one link to @p address; what stood before is dropped. 0, or -1 and why. */
    int (*connect)(struct engine *engine, const char *address);

    /* Readable when next() may have something, or when there may be room to send again. */
    int (*fd)(const struct engine *engine);

    /* Whether to call next() before sleeping. */
    bool (*ready)(struct engine *engine);

    /* What has happened; does not wait. False: nothing. */
    bool (*next)(struct engine *engine, struct engine_event *event);

    /* Send a frame. @p lent may be NULL. 0, -EAGAIN (no room now), -EHOSTUNREACH (the link is
     * down). Unless it returns 0, lent->sent is not called. */
    int (*send)(struct engine *engine, uint64_t link, const void *head, size_t bytes,
                const struct lent *lent);

    /* The public key of the peer that has sent a frame, in Z85; it lives as long as that. "": it
     * has none. NULL: the engine knows no keys. */
    const char *(*peer)(const struct frame *frame);

    void (*release)(struct frame *frame); /* NULL is allowed */

    /* All links go down; what was lent is given back before it returns. */
    void (*close)(struct engine *engine);
};

extern const struct engine_calls engine_zmq, engine_ucx;

/* The engine that @p address names, "ucx://HOST:PORT" or "zmq://HOST:PORT", and HOST:PORT; without
 * a name the first one that this program has. NULL, and why: there is no such engine. */
const struct engine_calls *engine_choose(const char **address, char why[WHY_TEXT]);

/* The names of those that this program has: "zmq", "ucx", "zmq ucx". */
const char *engine_names(void);

#endif
