/* SPDX-License-Identifier: MIT */
/* descriptor_fuzz.c - a sender writes arbitrary bytes where a message's header and
 * descriptors are; the receiver gets TR_ECORRUPT or tensors that lie in the slot.
 *
 * Input: up to 240 bytes over the record, from the counts on; the rest over the end of the
 * payload, where the table is. */
#include <string.h>

#include <tensoring/tensoring.h>

#include "ipc/exchange/slot.h"
#include "src/arena/arena.h"
#include "tests/fuzz/fuzz.h"

#define RECORD_BYTES (sizeof(struct slot_record) - 64)

static tr_arena *arena;
static tr_queue *queue;

static void set_up(void)
{
    static const tr_slot_class class = {4096, 2};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;

    options.classes = &class;
    options.class_count = 1;
    options.max_participants = 2;
    options.max_channels = 2;
    options.ring_bytes = 4096;
    HOLDS(tr_arena_create(NULL, &options, &arena) == 0);
    HOLDS(tr_queue_open(arena, "queue", NULL, &queue) == 0);
}

static uint32_t send_one(void)
{
    const tr_tensor_spec specs[] = {
        {.dtype = {TR_DTYPE_FLOAT, 32, 1},
         .ndim = 1,
         .shape = (const int64_t[]){16},
         .name = "a"},
        {.dtype = {TR_DTYPE_INT, 64, 1},
         .ndim = 2,
         .shape = (const int64_t[]){3, 4},
         .name = "b"},
    };
    tr_message *message;

    HOLDS(tr_message_loan(arena, specs, 2, TR_NOWAIT, &message) == 0);
    HOLDS(tr_queue_send(queue, message, TR_NOWAIT) == 0);
    for (uint32_t i = 0; i < arena_known(arena)->view.geo.slot_count; i++)
        if (SLOT_STATE(shm_get(&view_record(&arena_known(arena)->view, i)->owner)) ==
            SLOT_QUEUED)
            return i;
    HOLDS(false && "a sent message is in a slot");
    return 0;
}

static void overwrite(uint32_t slot, const uint8_t *data, size_t size)
{
    const struct view *view = &arena_known(arena)->view;
    const struct slot_class *class = &view->geo.classes[0];
    uint8_t *record = (uint8_t *)view_record(view, slot);
    uint8_t *payload = view->base + view_payload_off(view, slot);
    size_t head = size < RECORD_BYTES ? size : RECORD_BYTES;
    size_t table = class->stride - class->slot_bytes + 64;

    memcpy(record + 16, data, head); /* not its owner and location */
    data += head;
    size -= head;
    if (size > table)
        size = table;
    memcpy(payload + class->stride - size, data, size);
}

static void inspect(const tr_message *message, uint32_t slot)
{
    const struct view *view = &arena_known(arena)->view;
    const uint8_t *low = view->base + view_payload_off(view, slot);
    uint64_t room = view->geo.classes[0].stride;

    for (size_t i = 0; i < tr_message_count(message); i++) {
        const tr_tensor *tensor = tr_message_tensor(message, i);
        uint64_t off = (uint64_t)((const uint8_t *)tensor->data - low);
        uint64_t items = 1;

        HOLDS(tensor->ndim <= MAX_NDIM);
        for (uint32_t d = 0; d < (uint32_t)tensor->ndim; d++)
            items *= (uint64_t)tensor->shape[d];
        HOLDS(tensor->nbytes == 0 || (off <= room && tensor->nbytes <= room - off));
        HOLDS(items * tensor->dtype.bits * tensor->dtype.lanes / 8 <= room);
        if (tensor->name)
            HOLDS(strlen(tensor->name) < room);
    }
}

static void receive_one(uint32_t slot)
{
    tr_header header = TR_HEADER_INIT;
    tr_message *message;
    int code = tr_queue_receive(queue, TR_NOWAIT, &message);

    HOLDS(code == 0 || code == TR_ECORRUPT || code == TR_ENOMEM);
    if (code)
        return;
    inspect(message, slot);
    HOLDS(tr_message_header_get(message, &header) == 0);
    (void)!tr_message_verify(message);
    (void)tr_message_find(message, "b");
    tr_message_release(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t slot;

    set_up();
    slot = send_one();
    overwrite(slot, data, size);
    receive_one(slot);
    tr_queue_close(queue);
    tr_arena_close(arena);
    return 0;
}
