/* SPDX-License-Identifier: MIT */
/* release.c - the end of a message in this process, and of a request that nobody has answered. */
#include <tensoring/message.h>

#include "ipc/exchange/slot.h"
#include "src/channel/reply.h"
#include "src/message/message.h"

/* The slower thread must not release a later pin on the same value. */
static int let_go(struct message *message, const tr_message *given)
{
    return message_claim(message, given) &&
                   shared_unpin(&message->arena->self, &message->pin)
               ? 0
               : message_stale(given, "release");
}

/* The word is read before the handle is looked at: if it is that of a later handle, we see
 * that there is one. So of two threads that release one handle, one finds another word. A
 * thread that writes into a request, or has only a pin, claims the handle first. */
int tr_message_release(tr_message *given)
{
    struct message *message = handle_address(given);
    uint64_t word;

    if (__builtin_expect(!message, 0))
        return 0;
    /* acquire, local: pairs with message_take(). */
    word = atomic_load_explicit(&message->word, memory_order_acquire);
    if (__builtin_expect(!message_known(given), 0))
        return message_stale(given, "release");
    if (__builtin_expect(!message_is_ours(message), 0))
        return message_not_ours("release");
    if (message->held == HELD_SHARED)
        return let_go(message, given);
    if (__builtin_expect(message_is_request(message), 0)) {
        /* If this process was taken for dead, another server has it: nothing is written. */
        if (!arena_is_joined(message->arena) || !message_claim(message, given))
            return message_stale(given, "release");
        if (request_let_go(message))
            return 0;
    }
    message_end(message, given);
    return slot_free_held(&message->arena->self, message->slot, message->class, word)
               ? 0
               : message_stale(given, "release");
}
