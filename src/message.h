/* SPDX-License-Identifier: MIT */
/* message.h - a handle of one slot: what this process holds, and a private, checked copy of
 * the descriptors that lie in it. */
#ifndef TR_SRC_MESSAGE_H
#define TR_SRC_MESSAGE_H

#include <tensoring/message.h>

#include "ipc/shared.h"
#include "src/arena.h"

enum held { HELD_NOT, HELD_LOAN, HELD_RECEIVED, HELD_SHARED };

struct tr_message {
    struct tr_arena *arena;
    uint32_t slot;
    uint32_t held;       /* enum held */
    uint64_t holder;     /* holder_of() when it was taken: a forked child differs */
    uint64_t sequence;   /* position in its channel */
    uint32_t deliveries; /* before this one */
    uint32_t sender;
    struct pin pin; /* of a shared message */
    uint32_t count;
    uint32_t class;         /* of the slot; fixed, as are the next two */
    uint64_t payload_off;   /* from the start of the arena */
    uint64_t payload_bytes; /* with the room for descriptors */
    const uint8_t *base;    /* through which `first` was checked; NULL: it was not */
    uint64_t first_type, first_offset; /* the words from which `first` was made */
    tr_tensor *tensors;                /* &first, or more */
    uint32_t room;                     /* of more */
    uint32_t text_room;
    tr_tensor *more; /* kept for the next message of this slot */
    char *text;      /* names and descrs, likewise */
    tr_tensor first;
};

static inline uint64_t holder_of(const struct peer *me)
{
    return (uint64_t)me->who << 32 | me->inc;
}

/* The private table of handles: one a slot, then one a pin, since a process may read one
 * shared slot more than once. */
size_t message_table_bytes(const struct view *view);
void message_table_free(struct tr_arena *arena);

/* The handle of a slot that has just become ours, its descriptors read and checked. The
 * payload is seen through @p base (of the view: writable or not). 0, TR_ECORRUPT,
 * TR_ENOMEM; on error the slot still is the caller's. */
int message_open(struct tr_arena *arena, struct tr_message *message, uint32_t slot,
                 const uint8_t *base, enum held held);

/* The handle for @p slot of the table. */
struct tr_message *message_of(struct tr_arena *arena, uint32_t slot);

/* The handle of a shared message that we have just pinned. 0, TR_ECORRUPT, TR_ECHECKSUM,
 * TR_ENOMEM; on error it is unpinned. */
int message_open_pinned(struct tr_arena *arena, const struct pin *pin, uint64_t sequence,
                        tr_message **out);

/* TR_EPINS, with what to do about it. */
int message_no_pins(struct tr_arena *arena, const char *step);

/* Whether this process may send or change it: 0, TR_EFORK, TR_EINVAL. */
int message_owned(const struct tr_message *message, const char *step);

/* The kind of content, of a message that is ours. */
void message_set_content(struct tr_message *message, uint32_t content);

/* Correlation id, deadline and time of a message that is ours are about to be written: what
 * an earlier user of the slot left there goes. */
void message_begin_head(struct tr_message *message);

/* The same for what would keep its requester from ever getting a reply. */
int message_not_asked(const struct tr_message *message, const char *step);

/* What sending owes the header: time and checksum. */
void message_stamp(struct tr_message *message, bool with_time);

/* Say that the only tensor begins @p offset bytes into the payload, and has this type and
 * shape: for files that were read into the slot as they are. 0, or as tr_loan(). */
int message_describe(struct tr_message *message, const tr_tensor_spec *spec,
                     uint64_t offset);

/* Give a message that is ours other tensors; what they held is lost. 0, or as tr_loan(). */
int message_respec(struct tr_message *message, const tr_tensor_spec specs[], size_t n);

/* Of a loaned message: room for its tensor's data from the start of the slot. */
uint64_t message_capacity(const struct tr_message *message);

#endif
