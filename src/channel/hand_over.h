/* SPDX-License-Identifier: MIT */
/* hand_over.h - what sending, publishing and putting have in common. A message that is ours is
 * checked and stamped, and its handle ends, before another process may own the slot: once it is
 * sent, a thread of ours may receive it, in the same object. Where that fails, message_keep()
 * undoes it. */
#ifndef TR_SRC_HAND_OVER_H
#define TR_SRC_HAND_OVER_H

#include "ipc/path.h"
#include "src/message/message.h"

/* TR_EINVAL: the message lies in another arena than the @p kind @p name. */
int hand_over_elsewhere(const char *step, const char *kind, const char *name);

PATH void hand_over_begin(struct message *message, const tr_message *given,
                          bool with_time)
{
    arena_check_liveness(message->arena);
    message_stamp(message, with_time);
    message_hand_on(message, given);
}

#endif
