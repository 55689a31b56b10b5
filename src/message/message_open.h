/* SPDX-License-Identifier: MIT */
/* message_open.h - from a slot or a pin that has become ours to the handle of a message. */
#ifndef TR_SRC_MESSAGE_OPEN_H
#define TR_SRC_MESSAGE_OPEN_H

#include "src/message/message.h"

/* Fields of a slot that never change are computed when its object is first used. */
void message_prepare(struct tr_arena *arena, struct message *message, uint32_t slot);

/* The object of a slot that has just become ours, with a new handle. */
PATH tr_message *message_hold(struct tr_arena *arena, struct message *message,
                              uint32_t slot, uint64_t word, enum held held)
{
    /* A forked child: a thread of the parent may have been writing the object. */
    if (__builtin_expect(message->arena != arena || !message_is_ours(message), 0)) {
        message_prepare(arena, message, slot);
        message->base = NULL;
    }
    return message_take(arena, message, held, word);
}

/* The object of a slot that has just become ours under @p word, its descriptors read and
 * checked. The payload is seen through @p base (of the view: writable or not). 0, with its
 * handle; TR_ECORRUPT, TR_ENOMEM; on error the slot still is the caller's. */
int message_open(struct tr_arena *arena, struct message *message, uint32_t slot,
                 uint64_t word, const uint8_t *base, enum held held, tr_message **out);

/* The handle of a shared message that we have just pinned. 0, TR_ECORRUPT, TR_ECHECKSUM,
 * TR_ENOMEM; on error it is unpinned. */
int message_open_pinned(struct tr_arena *arena, const struct pin *pin, uint64_t sequence,
                        tr_message **out);

#endif
