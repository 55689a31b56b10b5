/* SPDX-License-Identifier: MIT */
/* queue.h - a handle of a queue. */
#ifndef TR_SRC_QUEUE_H
#define TR_SRC_QUEUE_H

#include <tensoring/queue.h>

#include "ipc/exchange/channel.h"
#include "src/arena/arena.h"
#include "src/base/options.h"

struct tr_queue {
    struct handle handle;
    struct tr_arena *arena;
    struct ring ring;
    _Atomic uint64_t receiver; /* local: holder_of() of one that says that it receives */
    struct histogram *histograms; /* of each kind; NULL: it counts nothing */
    bool stamp;
    char name[TR_MAX_CHANNEL_NAME + 1];
};

static inline struct tr_queue *queue_known(const tr_queue *given)
{
    return handle_known(given);
}

/* What a user gave, for a call that may wait: 0, or why it is invalid. */
static inline int queue_enter(const tr_queue *given, const char *step, int64_t timeout_ns,
                              struct tr_queue **out)
{
    *out = queue_known(given);
    if (__builtin_expect(!*out, 0))
        return handle_fail(given, step, "queue");
    if (__builtin_expect(timeout_ns < -1, 0))
        return timeout_fail(step, timeout_ns);
    return arena_enter((*out)->arena);
}

/* The arena goes. */
void queue_orphan(const struct tr_arena *arena);

/* tr_queue_send() of what has been checked. */
int queue_send(struct tr_queue *queue, const tr_message *given, int64_t timeout_ns);

/* Say that this process receives from the queue; once. */
void queue_receives(tr_queue *queue);

/* tr_queue_open() for any name, also the library's own; a new one has @p behind bytes more
 * than its cells take. */
int queue_open_any(tr_arena *arena, const char *name, const tr_queue_options *options,
                   uint64_t behind, tr_queue **out);

#endif
