/* SPDX-License-Identifier: MIT */
/* message.c - what a user does with a message that it has. */
#include "src/message.h"

#include <isa-l/crc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc/os.h"
#include "ipc/slot.h"
#include "src/descriptor.h"
#include "src/error.h"
#include "src/options.h"
#include "src/request.h"

size_t message_table_bytes(const struct view *view)
{
    return ((size_t)view->geo.slot_count + view->geo.pin_count) *
           sizeof(struct tr_message);
}

/* Only handles that were used have anything; an untouched page stays untouched when it is
 * read, so ask the kernel nothing and walk. */
void message_table_free(struct tr_arena *arena)
{
    for (uint32_t i = 0; i < arena->view.geo.slot_count + arena->view.geo.pin_count;
         i++) {
        free(arena->messages[i].more);
        free(arena->messages[i].text);
    }
}

struct tr_message *message_of(struct tr_arena *arena, uint32_t slot)
{
    return &arena->messages[slot];
}

int message_no_pins(struct tr_arena *arena, const char *step)
{
    return tr_fail(
        TR_EPINS,
        "%s: this process holds %u shared messages; release some, or create the "
        "arena with more pins",
        step, arena->view.geo.pin_count);
}

/* Of a message that was read by this pin the last time, too, the descriptors are known. */
static bool is_known(const struct tr_message *message, const struct pin *pin)
{
    return message->arena && message->pin.slot == pin->slot &&
           message->pin.generation == pin->generation;
}

/* The handle for a pin. Those that the parent held at the fork stay the parent's: a view of
 * them may still be let go here, which must not touch what is ours. */
static struct tr_message *pinned_handle(struct tr_arena *arena, struct pin *pin)
{
    for (uint32_t i = 0; i < arena->view.geo.pin_count; i++) {
        struct tr_message *message = message_of(arena,
                                                arena->view.geo.slot_count + pin->index);

        if (message->held != HELD_SHARED || message->holder == holder_of(&arena->peer))
            return message;
        if (shared_pin_elsewhere(&arena->peer, pin) < 0)
            break;
    }
    return NULL;
}

/* Unpin, and remember nothing. */
static void close_pinned(struct tr_message *message)
{
    struct tr_arena *arena = message->arena;

    message->arena = NULL;
    message->held = HELD_NOT;
    shared_unpin(&arena->peer, &message->pin);
}

int message_open_pinned(struct tr_arena *arena, const struct pin *given,
                        uint64_t sequence, tr_message **out)
{
    struct pin pin = *given;
    struct tr_message *message = pinned_handle(arena, &pin);
    int result = 0;

    if (!message) {
        shared_unpin(&arena->peer, &pin);
        return message_no_pins(arena, "receive");
    }
    if (is_known(message, &pin)) {
        message->held = HELD_SHARED;
        message->holder = holder_of(&arena->peer);
    } else {
        message->pin = pin;
        message->base = NULL; /* the pin was of another slot, or life */
        result = message_open(arena, message, pin.slot, arena->view.readonly,
                              HELD_SHARED);
        if (result == 0 && (arena->view.geo.flags & TR_ARENA_CRC32C))
            result = tr_message_verify(message);
    }
    message->pin = pin;
    message->sequence = sequence;
    message->deliveries = 0;
    message->sender = pin.sender;
    if (result < 0)
        close_pinned(message);
    else
        *out = message;
    return result;
}

static struct slot_record *record_of(const struct tr_message *message)
{
    return view_record(&message->arena->view, message->slot);
}

int message_owned(const struct tr_message *message, const char *step)
{
    if (message->held == HELD_SHARED)
        return tr_fail(TR_EINVAL, "%s: the message is shared with other readers; copy it",
                       step);
    if (message->held == HELD_NOT)
        return tr_fail(TR_EINVAL, "%s: the message was sent or released before", step);
    if (message->holder != holder_of(&message->arena->peer))
        return tr_fail(
            TR_EFORK,
            "%s: the message was taken by process %d's parent before the fork, and "
            "stays its own",
            step, (int)getpid());
    return 0;
}

int message_not_asked(const struct tr_message *message, const char *step)
{
    int result = message_owned(message, step);

    if (result == 0 && message_is_request(message))
        return tr_fail(TR_EINVAL,
                       "%s: somebody waits for a reply to this message; answer it, or "
                       "send it on over a queue",
                       step);
    return result;
}

void tr_release(tr_message *message)
{
    struct tr_arena *arena = message ? message->arena : NULL;

    if (!arena || message->held == HELD_NOT)
        return;
    /* acquire: pairs with arena_join(). A child that has not joined holds nothing. */
    if (atomic_load_explicit(&arena->here->joined, memory_order_acquire) != JOINED ||
        message->holder != holder_of(&arena->peer))
        return;
    if (message->held == HELD_SHARED) {
        message->held = HELD_NOT;
        shared_unpin(&arena->peer, &message->pin);
        return;
    }
    if (__builtin_expect(message_is_request(message), 0) && request_let_go(message))
        return;
    message->held = HELD_NOT;
    slot_free(&arena->peer, message->slot);
}

size_t tr_message_count(const tr_message *message)
{
    return message->count;
}

const tr_tensor *tr_message_tensor(const tr_message *message, size_t i)
{
    return i < message->count ? &message->tensors[i] : NULL;
}

const tr_tensor *tr_message_find(const tr_message *message, const char *name)
{
    for (uint32_t i = 0; i < message->count; i++)
        if (strcmp(message->tensors[i].name, name) == 0)
            return &message->tensors[i];
    return NULL;
}

tr_arena *tr_message_arena(const tr_message *message)
{
    return message->arena;
}

void message_set_content(struct tr_message *message, uint32_t content)
{
    struct slot_record *record = record_of(message);
    uint64_t rest = shm_get(&record->tensors) & ~(UINT64_C(0xff) << 16);

    shm_put(&record->tensors, rest | (uint64_t)content << 16);
}

void message_begin_head(struct tr_message *message)
{
    struct slot_record *record = record_of(message);
    uint64_t flags = shm_get(&record->tensors);

    if (flags & TENSORS_HEAD)
        return;
    shm_put(&record->correlation_id, 0);
    shm_put(&record->deadline_ns, 0);
    shm_put(&record->published_ns, 0);
    shm_put(&record->tensors, flags | TENSORS_HEAD);
}

/* The parts that are there only if a flag says so. */
static void read_optional(const struct slot_record *record, uint64_t flags,
                          tr_header *out)
{
    uint64_t words[SMALL_TEXT / 8];

    if (flags & TENSORS_HEAD) {
        out->correlation_id = shm_get(&record->correlation_id);
        out->deadline_ns = (int64_t)shm_get(&record->deadline_ns);
        out->published_ns = (int64_t)shm_get(&record->published_ns);
    }
    if (flags & TENSORS_CRC) {
        out->has_crc = 1;
        out->crc32c = (uint32_t)shm_get(&record->crc32c);
    }
    if (flags & TENSORS_USER) {
        shm_copy_out(words, record->user, SMALL_TEXT / 8);
        memcpy(out->user, words, sizeof(out->user));
    }
    if (flags & TENSORS_MIME) {
        shm_copy_out(words, record->content_type, SMALL_TEXT / 8);
        memcpy(out->content_type, words, sizeof(out->content_type));
        out->content_type[TR_MAX_CONTENT_TYPE] = 0;
    }
}

int tr_message_header(const tr_message *message, tr_header *header)
{
    struct slot_record *record = record_of(message);
    uint64_t flags = shm_get(&record->tensors);
    tr_header out = {.struct_size = header->struct_size,
                     .content = TENSORS_CONTENT(flags),
                     .sequence = message->sequence,
                     .deliveries = message->deliveries,
                     .sender = message->sender};

    if (header->struct_size < 8 || header->struct_size > sizeof(out))
        return tr_fail(TR_EINVAL, "header: struct_size is %u, this library knows %zu",
                       header->struct_size, sizeof(out));
    read_optional(record, flags, &out);
    memcpy(header, &out, header->struct_size);
    return 0;
}

static bool any_set(const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i])
            return true;
    return false;
}

/* 64 bytes that are there only if any is set. */
static uint64_t write_optional(_Atomic uint64_t *to, const void *from, bool set,
                               uint64_t flag)
{
    uint64_t words[SMALL_TEXT / 8];

    if (!set)
        return 0;
    memcpy(words, from, sizeof(words));
    shm_copy_in(to, words, SMALL_TEXT / 8);
    return flag;
}

int tr_message_set_header(tr_message *message, const tr_header *given)
{
    struct slot_record *record = record_of(message);
    tr_header header = {0};
    uint64_t flags;
    int result = message_owned(message, "set header");

    if (result == 0)
        result = options_take(&header, sizeof(header), given, "tr_header");
    if (result < 0)
        return result;
    if (!memchr(header.content_type, 0, sizeof(header.content_type)))
        return tr_fail(TR_EINVAL, "set header: content_type has no 0 in its %d bytes",
                       TR_MAX_CONTENT_TYPE + 1);
    if (header.content > UINT8_MAX)
        return tr_fail(TR_EINVAL,
                       "set header: content is %u, see tr_content for what it can be",
                       header.content);
    message_begin_head(message);
    shm_put(&record->correlation_id, header.correlation_id);
    if (!message_is_request(message)) /* else it is the requester's */
        shm_put(&record->deadline_ns, (uint64_t)header.deadline_ns);
    message_set_content(message, header.content);
    flags = shm_get(&record->tensors) & ~(TENSORS_USER | TENSORS_MIME);
    flags |= write_optional(record->user, header.user,
                            any_set(header.user, sizeof(header.user)), TENSORS_USER);
    flags |= write_optional(record->content_type, header.content_type,
                            header.content_type[0] != 0, TENSORS_MIME);
    shm_put(&record->tensors, flags);
    return 0;
}

/* ISA-L's crc32_iscsi is CRC32C without the final complement. */
static uint32_t checksum(const tr_message *message)
{
    uint32_t crc = UINT32_MAX;

    for (uint32_t i = 0; i < message->count; i++) {
        const tr_tensor *tensor = &message->tensors[i];
        uint8_t *at = tensor->data;
        uint64_t left = tensor->nbytes;

        while (left) {
            int piece = left > INT32_MAX / 2 ? INT32_MAX / 2 : (int)left;

            crc = crc32_iscsi(at, piece, crc);
            at += piece;
            left -= (uint64_t)piece;
        }
    }
    return ~crc;
}

static void keep_checksum(tr_message *message)
{
    struct slot_record *record = record_of(message);

    shm_put(&record->crc32c, checksum(message));
    shm_put(&record->tensors, shm_get(&record->tensors) | TENSORS_CRC);
}

int tr_message_seal(tr_message *message)
{
    int result = message_owned(message, "seal");

    if (result == 0)
        keep_checksum(message);
    return result;
}

int tr_message_verify(const tr_message *message)
{
    struct slot_record *record = record_of(message);
    uint32_t said = (uint32_t)shm_get(&record->crc32c), found;

    if (!(shm_get(&record->tensors) & TENSORS_CRC))
        return 0;
    found = checksum(message);
    if (found != said)
        return tr_fail(TR_ECHECKSUM, "the payload has CRC32C %08x, its header says %08x",
                       found, said);
    return 0;
}

void message_stamp(struct tr_message *message, bool with_time)
{
    struct slot_record *record = record_of(message);
    uint64_t rest = shm_get(&record->tensors) & ~(UINT64_C(0xff) << 24);

    shm_put(&record->tensors, rest | (uint64_t)(message->arena->peer.who & 0xff) << 24);
    if (__builtin_expect(with_time, 0)) {
        message_begin_head(message);
        shm_put(&record_of(message)->published_ns, (uint64_t)os->now_ns());
    }
    if (__builtin_expect(message->arena->view.geo.flags & TR_ARENA_CRC32C, 0))
        keep_checksum(message);
}
