/* SPDX-License-Identifier: MIT */
#define TR_SRC_MESSAGE_C
/* message.c - the calls on a message that a user has. */
#include "src/message/message.h"

#include <isa-l/crc.h>
#include <string.h>
#include <unistd.h>

#include "ipc/exchange/owned.h"
#include "ipc/exchange/slot.h"
#include "ipc/kernel/os.h"
#include "ipc/kernel/timens.h"
#include "src/base/error.h"
#include "src/base/options.h"

static struct slot_record *record_of(const struct message *message)
{
    return view_record(&message->arena->view, message->slot);
}

struct message *message_of(struct tr_arena *arena, uint32_t slot)
{
    return &arena->messages[slot];
}

void message_keep(struct message *message)
{
    const struct self *me = &message->arena->self;
    uint64_t word = shm_get(&view_record(&message->arena->view, message->slot)->owner);

    /* Not if we were taken for dead: then another owns it. */
    if (!slot_is(word, SLOT_LOANED, me) && !slot_is(word, SLOT_RECEIVED, me))
        return;
    /* relaxed: local; the handle is the same. */
    atomic_store_explicit(&message->word, word, memory_order_relaxed);
    atomic_store_explicit(&message->ended, 0, memory_order_relaxed);
}

int message_no_pins(struct tr_arena *arena, const char *step)
{
    return tr_fail(
        TR_EPINS,
        "%s: this process holds %u shared messages; release some, or create the "
        "arena with more pins",
        step, arena->view.geo.pin_count);
}

int message_stale(const tr_message *given, const char *step)
{
    return tr_fail(TR_EINVAL,
                   given
                       ? "%s: the message was sent or released before, or its arena was "
                         "closed"
                       : "%s: the message is NULL",
                   step);
}

int message_not_ours(const char *step)
{
    return tr_fail(
        TR_EFORK,
        "%s: the message was taken by process %d's parent before the fork, and "
        "stays its own",
        step, (int)getpid());
}

int message_disowned(const tr_message *given, const char *step)
{
    const struct message *message = message_known(given);

    if (!message)
        return message_stale(given, step);
    if (message->held == HELD_SHARED)
        return tr_fail(TR_EINVAL, "%s: the message is shared with other readers; copy it",
                       step);
    return message_not_ours(step);
}

int message_writable(const tr_message *given, const char *step, struct message **out)
{
    int result = message_owned(given, step, out);

    return result == 0 ? arena_enter((*out)->arena) : result;
}

int message_asked(const char *step)
{
    return tr_fail(TR_EINVAL,
                   "%s: somebody waits for a reply to this message; answer it, or "
                   "send it on over a queue",
                   step);
}

size_t tr_message_count(const tr_message *given)
{
    const struct message *message = message_known(given);

    return message ? message->count : 0;
}

const tr_tensor *tr_message_tensor(const tr_message *given, size_t i)
{
    const struct message *message = message_known(given);

    return message && i < message->count ? &message->tensors[i] : NULL;
}

const tr_tensor *tr_message_find(const tr_message *given, const char *name)
{
    const struct message *message = name ? message_known(given) : NULL;

    for (uint32_t i = 0; message && i < message->count; i++)
        if (strcmp(message->tensors[i].name, name) == 0)
            return &message->tensors[i];
    return NULL;
}

tr_arena *tr_message_arena(const tr_message *given)
{
    const struct message *message = message_known(given);

    return message ? handle_of(message->arena) : NULL;
}

void message_set_content(struct message *message, uint32_t content)
{
    struct slot_record *record = record_of(message);
    uint64_t rest = shm_get(&record->tensors) & ~(UINT64_C(0xff) << 16);

    ASSERT_HELD(&message->arena->self, record);
    shm_put(&record->tensors, rest | (uint64_t)content << 16);
}

/* These words lie in a line of their own. Writing the same value would take the line from a
 * reader. */
static void put_other(_Atomic uint64_t *word, uint64_t value)
{
    if (shm_get(word) != value)
        shm_put(word, value);
}

void message_set_deadline(struct message *message, int64_t deadline_ns)
{
    struct slot_record *record = record_of(message);
    uint64_t flags = shm_get(&record->tensors);

    ASSERT_HELD(&message->arena->self, record);
    put_other(&record->deadline_ns, (uint64_t)deadline_ns);
    if (flags & TENSORS_HEAD)
        return;
    put_other(&record->correlation_id, 0);
    put_other(&record->published_ns, 0);
    shm_put(&record->tensors, flags | TENSORS_HEAD);
}

void message_begin_head(struct message *message)
{
    if (!(shm_get(&record_of(message)->tensors) & TENSORS_HEAD))
        message_set_deadline(message, 0);
}

/* The parts that are there only if a flag says so. */
static void read_optional(const struct slot_record *record, uint64_t flags,
                          tr_header *out)
{
    uint64_t words[SMALL_TEXT / 8];

    if (flags & TENSORS_HEAD) {
        out->correlation_id = shm_get(&record->correlation_id);
        out->deadline_ns = timens_here((int64_t)shm_get(&record->deadline_ns));
        out->published_ns = timens_here((int64_t)shm_get(&record->published_ns));
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

int tr_message_header_get(const tr_message *given, tr_header *header)
{
    const struct message *message = message_known(given);
    struct slot_record *record;
    tr_header out = {0};
    uint64_t flags;
    int result;

    result = message ? result_size_check(header, sizeof(out), "message header", "header")
                     : message_stale(given, "message header");
    if (result < 0)
        return result;
    record = record_of(message);
    flags = shm_get(&record->tensors);
    out.struct_size = header->struct_size;
    out.content = TENSORS_CONTENT(flags);
    out.sequence = message->sequence;
    out.deliveries = message->deliveries;
    out.sender = message->sender;
    out.last_receiver = message->deliveries ? shm_get(&record->last_receiver) : 0;
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

int tr_message_header_set(tr_message *handle, const tr_header *given)
{
    struct message *message = NULL;
    struct slot_record *record;
    tr_header header = {0};
    uint64_t flags;
    int result = message_writable(handle, "set header", &message);

    if (result == 0 && !given)
        result = tr_fail(TR_EINVAL, "set header: header is NULL");
    if (result == 0)
        result = options_take(&header, sizeof(header), given, "tr_header");
    if (result < 0)
        return result;
    record = record_of(message);
    if (!memchr(header.content_type, 0, sizeof(header.content_type)))
        return tr_fail(TR_EINVAL, "set header: content_type has no 0 in its %d bytes",
                       TR_MAX_CONTENT_TYPE + 1);
    if (header.content > UINT8_MAX)
        return tr_fail(TR_EINVAL,
                       "set header: content is %u, see tr_content for what it can be",
                       header.content);
    ASSERT_HELD(&message->arena->self, record);
    message_begin_head(message);
    shm_put(&record->correlation_id, header.correlation_id);
    if (!message_is_request(message)) /* else it is the requester's */
        shm_put(&record->deadline_ns, (uint64_t)timens_shared(header.deadline_ns));
    message_set_content(message, header.content);
    flags = shm_get(&record->tensors) & ~(TENSORS_USER | TENSORS_MIME);
    flags |= write_optional(record->user, header.user,
                            any_set(header.user, sizeof(header.user)), TENSORS_USER);
    flags |= write_optional(record->content_type, header.content_type,
                            header.content_type[0] != 0, TENSORS_MIME);
    shm_put(&record->tensors, flags);
    return 0;
}

int tr_message_origin_get(const tr_message *given, tr_origin *origin)
{
    const struct message *message = message_known(given);
    struct slot_record *record;
    tr_origin out = {0};
    int result;

    result = message ? result_size_check(origin, sizeof(out), "message origin", "origin")
                     : message_stale(given, "message origin");
    if (result < 0)
        return result;
    record = record_of(message);
    if (!(shm_get(&record->tensors) & TENSORS_ORIGIN))
        return tr_fail(TR_ENOENT, "message origin: the message was sent in this arena");
    out.struct_size = origin->struct_size;
    out.source = shm_get(&record->first.text);
    out.number = shm_get(&record->reply_code);
    memcpy(origin, &out, origin->struct_size);
    return 0;
}

int tr_message_origin_set(tr_message *handle, const tr_origin *given)
{
    struct message *message = NULL;
    struct slot_record *record;
    tr_origin origin = {0};
    int result = message_writable(handle, "set origin", &message);

    if (result == 0 && !given)
        result = null_fail("set origin", "origin");
    if (result == 0)
        result = options_take(&origin, sizeof(origin), given, "tr_origin");
    if (result == 0 && origin.reserved)
        result = tr_fail(TR_EINVAL, "set origin: reserved is %u, it must be 0",
                         origin.reserved);
    if (result == 0 && !origin.source)
        result = tr_fail(TR_EINVAL,
                         "set origin: the source is 0, it must be another number");
    if (result < 0)
        return result;
    record = record_of(message);
    ASSERT_HELD(&message->arena->self, record);
    shm_put(&record->first.text, origin.source);
    shm_put(&record->reply_code, origin.number);
    shm_put(&record->tensors, shm_get(&record->tensors) | TENSORS_ORIGIN);
    return 0;
}

/* ISA-L's crc32_iscsi is CRC32C without the final complement. */
static uint32_t checksum(const struct message *message)
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

static void keep_checksum(struct message *message)
{
    struct slot_record *record = record_of(message);

    ASSERT_HELD(&message->arena->self, record);
    shm_put(&record->crc32c, checksum(message));
    shm_put(&record->tensors, shm_get(&record->tensors) | TENSORS_CRC);
}

int tr_message_seal(tr_message *given)
{
    struct message *message = NULL;
    int result = message_writable(given, "seal", &message);

    if (result == 0)
        keep_checksum(message);
    return result;
}

int message_verify(const struct message *message)
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

int tr_message_verify(const tr_message *given)
{
    const struct message *message = message_known(given);

    return message ? message_verify(message) : message_stale(given, "verify");
}

void message_stamp_more(struct message *message, bool with_time)
{
    if (with_time) {
        message_begin_head(message);
        shm_put(&record_of(message)->published_ns, (uint64_t)os->now_ns());
    }
    if (message->arena->view.geo.flags & TR_ARENA_CRC32C)
        keep_checksum(message);
}
