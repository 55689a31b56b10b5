/* SPDX-License-Identifier: MIT */
#include "src/message/descriptor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/event.h"
#include "ipc/exchange/owned.h"
#include "ipc/path.h"
#include "src/base/error.h"
#include "src/base/text_check.h"
#include "src/tensor/npy_descr.h"
#include "src/tensor/tensor.h"

#define TYPE_FLAGS      (TR_TENSOR_F_ORDER | TR_TENSOR_BYTESWAPPED)
#define TENSORS_UNUSUAL (TENSORS_TABLE | TENSORS_MOVED | TENSORS_TEXT)
#define SMALL           (SMALL_TEXT - 1) /* longest string in the record */

static size_t length_of(const char *text)
{
    return text ? strlen(text) : 0;
}

/* The descr is one of NumPy's and agrees with the spec. */
static int check_descr(const tr_tensor_spec *spec, const char *step)
{
    char text[TR_MAX_DESCR + 1], why[256];
    struct descr parsed = {.text = text};

    if (descr_parse_text(spec->descr, &parsed) == 0)
        return descr_check(step, spec, &parsed);
    snprintf(why, sizeof(why), "%.255s", tr_error_detail());
    return tr_fail(TR_EINVAL, "%s: its descr is not one of NumPy's: %s", step, why);
}

static int check_letters(const tr_tensor_spec *spec, size_t i)
{
    char step[32];
    int result = 0;

    snprintf(step, sizeof(step), "tensor %zu", i);
    if (spec->name)
        result = text_check(step, "its name", spec->name);
    if (result == 0 && spec->descr && *spec->descr)
        result = check_descr(spec, step);
    return result;
}

static int check_texts(const tr_tensor_spec *spec, size_t i)
{
    size_t name = length_of(spec->name), descr = length_of(spec->descr);

    if (name > TR_MAX_TENSOR_NAME)
        return tr_fail(TR_ENAMETOOLONG,
                       "tensor %zu: its name has %zu bytes, the limit is %d", i, name,
                       TR_MAX_TENSOR_NAME);
    if (descr > TR_MAX_DESCR)
        return tr_fail(TR_ENAMETOOLONG,
                       "tensor %zu: its descr has %zu bytes, the limit is %d", i, descr,
                       TR_MAX_DESCR);
    return name || descr ? check_letters(spec, i) : 0;
}

/* FNV-1a. */
static size_t hash_name(const char *name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
    return (size_t)(hash ^ hash >> 32);
}

#define NAME_CELLS 8192
_Static_assert(NAME_CELLS >= 2 * TR_MAX_TENSORS, "half of them stay free");

/* Two tensors of one name: only the first could be found by it. Cells have 1 + an index. */
static int check_names(const tr_tensor_spec specs[], size_t n)
{
    uint16_t cells[NAME_CELLS];
    size_t mask = 15;

    while (mask + 1 < 2 * n)
        mask = 2 * mask + 1;
    memset(cells, 0, (mask + 1) * sizeof(cells[0]));
    for (size_t i = 0; i < n; i++) {
        size_t at;

        if (length_of(specs[i].name) == 0)
            continue;
        at = hash_name(specs[i].name) & mask;
        for (; cells[at]; at = (at + 1) & mask)
            if (strcmp(specs[cells[at] - 1].name, specs[i].name) == 0)
                return tr_fail(TR_EINVAL, "tensors %d and %zu both have the name \"%s\"",
                               cells[at] - 1, i, specs[i].name);
        cells[at] = (uint16_t)(i + 1);
    }
    return 0;
}

int descriptor_plan(const tr_tensor_spec specs[], size_t n, struct plan *plan)
{
    uint64_t at = 0, texts = 0;

    if (n > TR_MAX_TENSORS)
        return tr_fail(TR_EINVAL, "%zu tensors in one message, the limit is %d", n,
                       TR_MAX_TENSORS);
    for (size_t i = 0; i < n; i++) {
        uint64_t nbytes;
        int result = tr_tensor_nbytes(specs[i].dtype, specs[i].ndim, specs[i].shape,
                                      &nbytes);

        if (result == 0)
            result = spec_check("tensor", &specs[i]);
        if (result == 0)
            result = check_texts(&specs[i], i);
        if (result < 0)
            return result;
        at = (at + TR_TENSOR_ALIGN - 1) / TR_TENSOR_ALIGN * TR_TENSOR_ALIGN;
        if (__builtin_add_overflow(at, nbytes, &at) || at > (uint64_t)INT64_MAX)
            return tr_fail(TR_EOVERFLOW,
                           "the tensors together need more than 2^63 bytes");
        texts += length_of(specs[i].name) + length_of(specs[i].descr);
    }
    if (texts && n > 1) {
        int result = check_names(specs, n);

        if (result < 0)
            return result;
    }
    plan->data_bytes = at;
    plan->table_bytes = 0;
    if (n > 1 || (n == 1 && (length_of(specs[0].name) > SMALL ||
                             length_of(specs[0].descr) > SMALL)))
        plan->table_bytes = n * sizeof(struct tensor_words) + (texts + 7) / 8 * 8;
    return 0;
}

bool descriptor_plan_plain(const tr_tensor_spec specs[], size_t n, struct plan *plan)
{
    plan->table_bytes = 0;
    return n == 1 && !specs->name && !specs->descr && specs->shape &&
           !((specs->flags & ~(uint32_t)TR_TENSOR_F_ORDER) | specs->reserved) &&
           tensor_quick(specs->dtype, specs->ndim, specs->shape, false, NULL,
                        &plan->data_bytes);
}

/* Where a table begins that lies right behind the data. */
static uint64_t behind(const struct plan *plan)
{
    return (plan->data_bytes + 7) / 8 * 8;
}

uint64_t descriptor_bytes(const struct plan *plan)
{
    return plan->table_bytes ? behind(plan) + plan->table_bytes : plan->data_bytes;
}

bool descriptor_fits(const struct slot_class *class, const struct plan *plan)
{
    return plan->data_bytes <= class->slot_bytes && plan->table_bytes <= class->stride &&
           behind(plan) <= class->stride - plan->table_bytes;
}

static uint64_t type_word(const tr_tensor_spec *spec)
{
    return (uint64_t)spec->dtype.code | (uint64_t)spec->dtype.bits << 8 |
           (uint64_t)spec->dtype.lanes << 16 | (uint64_t)spec->ndim << 32 |
           (uint64_t)(spec->flags & TYPE_FLAGS) << 48;
}

static void write_tensor(struct tensor_words *to, const tr_tensor_spec *spec,
                         uint64_t nbytes)
{
    shm_put(&to->type, type_word(spec));
    shm_put(&to->nbytes, nbytes);
    for (uint32_t d = 0; d < spec->ndim; d++)
        shm_put(&to->shape[d], (uint64_t)spec->shape[d]);
}

static void write_small_text(_Atomic uint64_t *to, const char *text)
{
    uint64_t words[SMALL_TEXT / 8] = {0};

    memcpy(words, text, strlen(text));
    shm_copy_in(to, words, SMALL_TEXT / 8);
}

/* Entries, then their strings one after the other. */
static void write_table(uint8_t *table, const tr_tensor_spec specs[], size_t n)
{
    struct tensor_words *entries = (struct tensor_words *)(void *)table;
    uint8_t *texts = table + n * sizeof(*entries);
    uint64_t at = 0, used = 0;

    for (size_t i = 0; i < n; i++) {
        size_t name = length_of(specs[i].name), descr = length_of(specs[i].descr);
        uint64_t nbytes = 0;

        (void)!tr_tensor_nbytes(specs[i].dtype, specs[i].ndim, specs[i].shape, &nbytes);
        at = (at + TR_TENSOR_ALIGN - 1) / TR_TENSOR_ALIGN * TR_TENSOR_ALIGN;
        write_tensor(&entries[i], &specs[i], nbytes);
        shm_put(&entries[i].offset, at);
        shm_put(&entries[i].text, used | (uint64_t)name << 32 | (uint64_t)descr << 48);
        memcpy(texts + used, specs[i].name ? specs[i].name : "", name);
        memcpy(texts + used + name, specs[i].descr ? specs[i].descr : "", descr);
        used += name + descr;
        at += nbytes;
    }
}

static uint64_t table_place(const struct view *view, uint32_t slot,
                            const struct plan *plan)
{
    if (view->geo.flags & TR_ARENA_ELASTIC)
        return behind(plan);
    return view->geo.classes[view_class_of(view, slot)].stride - plan->table_bytes;
}

void descriptor_write(const struct view *view, uint32_t slot,
                      const tr_tensor_spec specs[], size_t n, const struct plan *plan)
{
    struct slot_record *record = view_record(view, slot);
    uint64_t tensors = n;

    if (plan->table_bytes) {
        uint64_t off = table_place(view, slot, plan);

        write_table(view->base + view_payload_off(view, slot) + off, specs, n);
        shm_put(&record->first.offset, off);
        shm_put(&record->first.nbytes, plan->table_bytes);
        tensors |= TENSORS_TABLE;
    } else if (n) {
        write_tensor(&record->first, &specs[0], plan->data_bytes);
        if (__builtin_expect(specs[0].name || specs[0].descr, 0)) {
            write_small_text(record->name, specs[0].name ? specs[0].name : "");
            write_small_text(record->descr, specs[0].descr ? specs[0].descr : "");
            tensors |= TENSORS_TEXT;
        }
    }
    shm_put(&record->tensors, tensors);
}

/* Whether the handle's first tensor was made of the same words, for the same slot. */
static bool is_known(const struct message *message, const uint8_t *base, uint64_t type,
                     uint64_t offset, uint64_t nbytes)
{
    return message->base == base && message->first_type == type &&
           message->first_offset == offset && message->first.nbytes == nbytes;
}

static bool same_shape(const tr_tensor *tensor, const int64_t *shape)
{
    for (uint32_t d = 0; d < tensor->ndim; d++)
        if (tensor->shape[d] != shape[d])
            return false;
    return true;
}

/* The handle's first tensor is another than it was. */
static ASIDE void remember_plain(struct message *message, const tr_tensor_spec *spec,
                                 const struct plan *plan)
{
    const struct view *view = &message->arena->view;
    tr_tensor *tensor = &message->first;

    tensor->dtype = spec->dtype;
    tensor->ndim = spec->ndim;
    tensor->flags = spec->flags & TYPE_FLAGS;
    tensor->nbytes = plan->data_bytes;
    for (uint32_t d = 0; d < spec->ndim; d++)
        tensor->shape[d] = spec->shape[d];
    packed_strides(spec->ndim, spec->shape, spec->flags & TR_TENSOR_F_ORDER,
                   tensor->strides);
    tensor->data = plan->data_bytes ? view->base + message->payload_off : NULL;
    message->base = view->base;
    message->first_type = type_word(spec);
    message->first_offset = 0;
}

PATH void write_plain(struct message *message, struct slot_record *record,
                      const tr_tensor_spec *spec, const struct plan *plan)
{
    uint64_t type = type_word(spec), bytes = plan->data_bytes;
    const uint8_t *base = message->arena->view.base;
    const int64_t *shape = spec->shape;
    uint32_t ndim = spec->ndim;

    ASSERT_HELD(&message->arena->self, record);
    shm_put(&record->tensors, 1);
    shm_put(&record->first.type, type);
    shm_put(&record->first.nbytes, bytes);
    for (uint32_t d = 0; d < ndim; d++)
        shm_put(&record->first.shape[d], (uint64_t)shape[d]);
    message->tensors = &message->first;
    message->count = 1;
    message->first.name = message->first.descr = "";
    if (UNLIKELY(!is_known(message, base, type, 0, bytes) ||
                 !same_shape(&message->first, shape)))
        remember_plain(message, spec, plan);
}

PATH_ACROSS void descriptor_write_plain(struct message *message,
                                        struct slot_record *record,
                                        const tr_tensor_spec *spec,
                                        const struct plan *plan)
{
    write_plain(message, record, spec, plan);
}

int descriptor_write_again(struct message *message, const tr_tensor_spec *spec,
                           const struct plan *plan)
{
    write_plain(message, view_record(&message->arena->view, message->slot), spec, plan);
    return 0;
}

void descriptor_move_first(const struct view *view, uint32_t slot, uint64_t offset)
{
    struct slot_record *record = view_record(view, slot);
    uint64_t tensors = shm_get(&record->tensors), table = shm_get(&record->first.offset);
    struct tensor_words *first = &record->first;

    if (tensors & TENSORS_TABLE)
        first = (struct tensor_words *)(void *)(view->base +
                                                view_payload_off(view, slot) + table);
    else
        shm_put(&record->tensors, tensors | TENSORS_MOVED);
    shm_put(&first->offset, offset);
}

/* Where the payload of the message lies, and how much of it there is. */
struct span {
    const uint8_t *start;
    uint64_t bytes;
};

/* @p type_seen: the word that was checked, read once, as @p offset was. */
static bool read_tensor(tr_tensor *to, const struct tensor_words *from, uint64_t offset,
                        struct span payload, bool read_only, uint64_t *type_seen)
{
    uint64_t type = shm_get(&from->type), nbytes;

    to->dtype = (tr_dtype){(uint8_t)type, (uint8_t)(type >> 8), (uint16_t)(type >> 16)};
    to->ndim = (uint32_t)(type >> 32 & 0xffff);
    to->flags = (uint32_t)(type >> 48) & TYPE_FLAGS;
    to->reserved = 0;
    to->nbytes = shm_get(&from->nbytes);
    if (to->ndim > TR_MAX_NDIM)
        return false;
    for (uint32_t d = 0; d < to->ndim; d++)
        to->shape[d] = (int64_t)shm_get(&from->shape[d]);
    if (!tensor_quick(to->dtype, to->ndim, to->shape, to->flags & TR_TENSOR_F_ORDER,
                      to->strides, &nbytes)) {
        if (tr_tensor_nbytes(to->dtype, to->ndim, to->shape, &nbytes) < 0)
            return false;
        packed_strides(to->ndim, to->shape, to->flags & TR_TENSOR_F_ORDER, to->strides);
    }
    if (nbytes != to->nbytes || offset > payload.bytes || nbytes > payload.bytes - offset)
        return false;
    if (read_only)
        to->flags |= TR_TENSOR_READ_ONLY;
    to->data = nbytes ? (void *)(uintptr_t)(payload.start + offset) : NULL;
    to->name = "";
    to->descr = "";
    *type_seen = type;
    return true;
}

/* Room that is kept between messages, so that a used handle allocates nothing. @p kept:
 * where its pointer is. A child that is forked at any point has the old room or the new, and
 * never more room than there is. What was in it is lost. */
static bool grow(void *kept, uint32_t *has, uint64_t wants, size_t unit)
{
    void *old, *more;

    if (wants <= *has)
        return true;
    more = malloc(wants * unit);
    if (!more)
        return false;
    memcpy(&old, kept, sizeof(old));
    memcpy(kept, &more, sizeof(more));
    atomic_signal_fence(memory_order_seq_cst);
    *has = (uint32_t)wants;
    free(old);
    return true;
}

static RARE int corrupt(const struct message *message, const char *what)
{
    view_count(&message->arena->view, COUNT_CORRUPT, 1);
    event_tell(&message->arena->view, EVENT_CORRUPT, 1,
               "slot %u: %s of the message does not fit in the slot", message->slot,
               what);
    return tr_fail(TR_ECORRUPT, "slot %u: %s of the message does not fit in the slot",
                   message->slot, what);
}

static ASIDE int read_small_texts(struct message *message,
                                  const struct slot_record *record)
{
    uint64_t words[2][SMALL_TEXT / 8];

    if (!grow(&message->text, &message->text_room, sizeof(words), 1))
        return tr_fail(TR_ENOMEM, "no memory for the name of a tensor");
    shm_copy_out(words[0], record->name, SMALL_TEXT / 8);
    shm_copy_out(words[1], record->descr, SMALL_TEXT / 8);
    memcpy(message->text, words, sizeof(words));
    message->text[SMALL] = message->text[SMALL_TEXT + SMALL] = 0;
    message->first.name = message->text;
    message->first.descr = message->text + SMALL_TEXT;
    return 0;
}

/* A string of the table, 0-terminated in private memory. */
static const char *take_text(char **to, const uint8_t *from, uint64_t length)
{
    char *start = *to;

    memcpy(start, from, length);
    start[length] = 0;
    *to += length + 1;
    return start;
}

static int read_texts(struct message *message, const struct tensor_words *entries,
                      struct span texts)
{
    uint64_t room = texts.bytes + 2 * (uint64_t)message->count;
    char *to;

    if (!grow(&message->text, &message->text_room, room, 1))
        return tr_fail(TR_ENOMEM, "no memory for the names of %u tensors",
                       message->count);
    to = message->text;
    for (uint32_t i = 0; i < message->count; i++) {
        uint64_t words = shm_get(&entries[i].text);
        uint64_t at = words & UINT32_MAX, name = words >> 32 & 0xffff,
                 descr = words >> 48;

        /* Each may lie anywhere in the strings, but all must fit in what we have. */
        if (at > texts.bytes || name + descr > texts.bytes - at ||
            (uint64_t)(to - message->text) + name + descr + 2 > room)
            return corrupt(message, "a name");
        message->tensors[i].name = take_text(&to, texts.start + at, name);
        message->tensors[i].descr = take_text(&to, texts.start + at + name, descr);
    }
    return 0;
}

static ASIDE int read_table(struct message *message, const struct slot_record *record,
                            const uint8_t *base)
{
    struct span payload = {base + message->payload_off, message->payload_bytes};
    bool read_only = message->held == HELD_SHARED;
    uint64_t off = shm_get(&record->first.offset), bytes = shm_get(&record->first.nbytes);
    uint64_t entries_bytes = (uint64_t)message->count * sizeof(struct tensor_words);
    const struct tensor_words *entries;
    uint64_t type;
    struct span texts;

    if (off % 8 || off > payload.bytes || bytes > payload.bytes - off ||
        message->count > TR_MAX_TENSORS || entries_bytes > bytes)
        return corrupt(message, "the table");
    if (!grow(&message->more, &message->room, message->count, sizeof(tr_tensor)))
        return tr_fail(TR_ENOMEM, "no memory for %u tensors", message->count);
    message->tensors = message->more;
    entries = (const struct tensor_words *)(const void *)(payload.start + off);
    for (uint32_t i = 0; i < message->count; i++)
        if (!read_tensor(&message->tensors[i], &entries[i], shm_get(&entries[i].offset),
                         payload, read_only, &type))
            return corrupt(message, "a tensor");
    texts = (struct span){payload.start + off + entries_bytes, bytes - entries_bytes};
    return read_texts(message, entries, texts);
}

/* The same words as last time, which were checked then: nearly every message of a stream.
 * Compared as they are read, so a peer that changes them now only makes us read again. */
static bool read_again(const struct message *message, const struct slot_record *record,
                       const uint8_t *base, uint64_t offset)
{
    const tr_tensor *tensor = &message->first;

    if (!is_known(message, base, shm_get(&record->first.type), offset,
                  shm_get(&record->first.nbytes)))
        return false;
    for (uint32_t d = 0; d < tensor->ndim; d++)
        if ((int64_t)shm_get(&record->first.shape[d]) != tensor->shape[d])
            return false;
    return true;
}

static ASIDE int read_first(struct message *message, const struct slot_record *record,
                            const uint8_t *base, uint64_t offset)
{
    struct span payload = {base + message->payload_off, message->payload_bytes};

    message->base = NULL;
    if (!read_tensor(&message->first, &record->first, offset, payload,
                     message->held == HELD_SHARED, &message->first_type))
        return corrupt(message, "the tensor");
    message->base = base;
    message->first_offset = offset;
    return 0;
}

/* What is not one plain tensor, or another than last time. */
PATH int read_any(struct message *message, const struct slot_record *record,
                  const uint8_t *base, uint64_t tensors)
{
    uint64_t offset = tensors & TENSORS_MOVED ? shm_get(&record->first.offset) : 0;
    int result = 0;

    if (tensors & TENSORS_TABLE)
        return read_table(message, record, base);
    if (message->count > 1)
        return corrupt(message, "the number of tensors");
    if (message->count == 0)
        return 0;
    if (!read_again(message, record, base, offset))
        result = read_first(message, record, base, offset);
    message->first.name = message->first.descr = "";
    if (result == 0 && tensors & TENSORS_TEXT)
        result = read_small_texts(message, record);
    return result;
}

static ASIDE int read_aside(struct message *message, const struct slot_record *record,
                            const uint8_t *base, uint64_t tensors)
{
    return read_any(message, record, base, tensors);
}

int descriptor_read_new(struct message *message, const struct slot_record *record,
                        const uint8_t *base)
{
    uint64_t tensors = shm_get(&record->tensors);

    message->base = NULL; /* what it knows is of another slot */
    message->count = TENSORS_COUNT(tensors);
    message->tensors = &message->first;
    return read_any(message, record, base, tensors);
}

PATH_ACROSS int descriptor_read(struct message *message, const struct slot_record *record,
                                const uint8_t *base)
{
    uint64_t tensors = shm_get(&record->tensors);

    message->count = TENSORS_COUNT(tensors);
    message->tensors = &message->first;
    if (UNLIKELY(message->count != 1 || tensors & TENSORS_UNUSUAL ||
                 !read_again(message, record, base, 0)))
        return read_aside(message, record, base, tensors);
    message->first.name = message->first.descr = "";
    return 0;
}
