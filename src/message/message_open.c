/* SPDX-License-Identifier: MIT */
#include "src/message/message_open.h"

#include "ipc/path.h"
#include "src/message/descriptor.h"
#include "src/message/message_table.h"

void message_prepare(struct tr_arena *arena, struct message *message, uint32_t slot)
{
    uint32_t index = (uint32_t)(message - arena->messages);

    message->slot = slot;
    message->class = view_class_of(&arena->view, slot);
    message->payload_off = view_payload_off(&arena->view, slot);
    message->payload_bytes = arena->view.geo.classes[message->class].stride;
    message->arena = arena;
    /* relaxed: local. New, or its table was another arena's before. */
    if (atomic_load_explicit(&message->now, memory_order_relaxed) == 0)
        atomic_store_explicit(&message->now,
                              handle_word(message, arena->table->tags[index]),
                              memory_order_relaxed);
}

int message_open(struct tr_arena *arena, struct message *message, uint32_t slot,
                 uint64_t word, const uint8_t *base, enum held held, tr_message **out)
{
    tr_message *handle = message_hold(arena, message, slot, word, held);
    int result = descriptor_read(message, view_record(&arena->view, slot), base);

    if (LIKELY(result == 0))
        *out = handle;
    return result;
}

/* Whether the descriptors are known: this pin read the same message the last time. Not in a
 * forked child: a thread of the parent may have been reading them. */
static bool is_known(const struct message *message, const struct pin *pin)
{
    return message->arena && message_is_ours(message) && message->pin.slot == pin->slot &&
           message->pin.generation == pin->generation;
}

/* The handle for a pin. A handle that the parent gave out before a fork is stale now. */
int message_open_pinned(struct tr_arena *arena, const struct pin *pin, uint64_t sequence,
                        tr_message **out)
{
    struct message *message = message_of(arena, arena->view.geo.slot_count + pin->index);
    bool known = is_known(message, pin);
    tr_message *handle;
    int result = 0;

    message->pin = *pin;
    if (!known)
        message_prepare(arena, message, pin->slot);
    handle = message_take(arena, message, HELD_SHARED, 0);
    if (!known)
        result = descriptor_read_new(message, view_record(&arena->view, message->slot),
                                     arena->view.readonly);
    if (result == 0 && !known && (arena->view.geo.flags & TR_ARENA_CRC32C))
        result = message_verify(message);
    message->sequence = sequence;
    message->deliveries = 0;
    message->sender = pin->sender;
    if (result < 0) {
        message->arena = NULL; /* what was read is not valid for another message */
        shared_unpin(&arena->self, pin);
    } else {
        *out = handle;
    }
    return result;
}
