/* SPDX-License-Identifier: MIT */
/* queue.h - a handle of a queue, and opening channels of any kind. */
#ifndef TR_SRC_QUEUE_H
#define TR_SRC_QUEUE_H

#include <tensoring/queue.h>

#include "ipc/channel.h"

struct tr_queue {
    struct tr_arena *arena;
    struct ring ring;
    _Atomic uint64_t receiver; /* local: holder_of() who has said that it receives */
    bool stamp;
    char name[TR_MAX_CHANNEL_NAME + 1];
};

/* Say that this process receives from the queue; once. */
void queue_receives(tr_queue *queue);

/* Names that a user may give. 0, TR_EINVAL, TR_ENAMETOOLONG. */
int channel_name_check(const char *name);

/* channel_open(), waiting a moment for who is making it; says why not. */
int channel_open_waiting(struct tr_arena *arena, const struct channel_wish *wish,
                         uint32_t *index);

/* tr_queue_open() for any name, also the library's own; a new one has @p behind bytes more
 * than its cells take. */
int queue_open_any(tr_arena *arena, const char *name, const tr_queue_options *options,
                   uint64_t behind, tr_queue **out);

#endif
