/* SPDX-License-Identifier: MIT */
/* window.h - the messages of a queue that were received here and are not confirmed yet. If the
 * bridge dies, the arena gives them to the next receiver, with the same numbers. */
#ifndef TR_BRIDGE_WINDOW_H
#define TR_BRIDGE_WINDOW_H

#include <stdatomic.h>

#include <tensoring/message.h>

#include "wire.h"

struct lane;

enum held_state {
    HELD_WAITS,   /* for a link */
    HELD_SENDING, /* its first frame was sent */
    HELD_SENT,    /* all of it; a receipt is due */
    HELD_BACK,    /* it was declined: it stays until the link is made again */
    HELD_FAILING, /* a request whose requester is told why as soon as the engine allows */
    HELD_DONE     /* confirmed; the engine may still read it */
};

struct held {
    tr_message *message;
    tr_header header;
    uint64_t bytes;
    enum held_state state;
    struct lane *lane; /* on which it was sent; NULL */
    struct lane *only; /* for which it is; NULL: any */
    const char *key;   /* of a board; NULL */
    uint32_t key_index;
    int32_t code;            /* of a request that failed */
    char *fault;             /* the same, as a text */
    bool counted;            /* in lane->in_flight */
    struct identity arena;   /* to which it was ever sent; 0: none */
    char where[160];         /* the same, for people */
    size_t tensor;           /* the next piece to be sent */
    uint64_t at, sent_bytes; /* in that tensor; in all */
    _Atomic uint32_t lent;   /* local: pieces that the engine reads */
};

struct window {
    struct held **held; /* in the order in which they were received */
    uint32_t count, room;
    uint64_t bytes;
    uint32_t done; /* HELD_DONE, of these */
};

/* Keep a message that was received. False: no memory, and it still is the caller's. */
bool window_add(struct window *window, tr_message *message);

/* The same without a message: a key of a board was deleted, or a request has failed. */
bool window_add_blank(struct window *window);

/* The message with that number that was sent on @p lane; NULL: none. */
struct held *window_find(const struct window *window, const struct lane *lane,
                         uint64_t number);

/* It was confirmed: release it, now or when the engine no longer reads it. */
void window_confirm(struct window *window, struct held *held);

/* Release what the engine has given back since. */
void window_tidy(struct window *window);

/* Forget it all, and release nothing: the arena gives the messages to others. The engine is
 * closed. */
void window_abandon(struct window *window);

#endif
