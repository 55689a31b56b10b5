/* SPDX-License-Identifier: MIT */
/* message.h - one slot, or one pin, in this process: what the user's handle of it stands for,
 * and a private, checked copy of the descriptors that lie in it.
 *
 * A handle is good while two things hold: the object was not given out again since (`now`),
 * and the shared word by which this process holds the slot, that of the slot or of the pin,
 * is as it was then. So nothing has to be taken back when a message is sent or released, and
 * what was taken from us because we were believed dead is stale, too. */
#ifndef TR_SRC_MESSAGE_H
#define TR_SRC_MESSAGE_H

#include <tensoring/message.h>

#include "ipc/shared.h"
#include "src/arena.h"
#include "src/handle.h"

enum held { HELD_LOAN = 1, HELD_RECEIVED, HELD_SHARED };

struct message {
    _Atomic uint64_t now;    /* local: the handle; written before `word` */
    _Atomic uint64_t word;   /* local: what *proof said when it was given out */
    _Atomic uint64_t *proof; /* the slot's word, or the pin */
    struct tr_arena *arena;
    uint32_t slot;
    uint16_t tag;        /* of the last handle given out; 0: none */
    uint16_t held;       /* enum held */
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

/* How many a table has: one a slot, then one a pin, since a process may read one shared slot
 * more than once. */
static inline uint32_t message_count_of(const struct view *view)
{
    return view->geo.slot_count + view->geo.pin_count;
}

/* Whether the user who has @p given holds it; @p word: of `word`, read before. */
static inline bool message_is(const struct message *message, const tr_message *given,
                              uint64_t word)
{
    /* relaxed: who has the handle was given it after these were written. */
    return atomic_load_explicit(&message->now, memory_order_relaxed) ==
               (uint64_t)(uintptr_t)given &&
           shm_get(message->proof) == word;
}

/* acquire, local: pairs with message_take(). Who sees the word of another handle then sees
 * that there is another handle. */
static inline uint64_t message_word(const struct message *message)
{
    return atomic_load_explicit(&message->word, memory_order_acquire);
}

/* What a handle stands for; NULL: it is NULL or stale. */
static inline struct message *message_known(const tr_message *given)
{
    struct message *message = handle_address(given);

    return __builtin_expect(message && message_is(message, given, message_word(message)),
                            1)
               ? message
               : NULL;
}

/* What the user gets. */
static inline tr_message *message_handle(struct message *message)
{
    /* relaxed: local. */
    return (tr_message *)(uintptr_t)atomic_load_explicit(&message->now,
                                                         memory_order_relaxed);
}

/* TR_EINVAL: what @p given, which message_known() does not know, is not good for. */
int message_stale(const tr_message *given, const char *step);

/* The slot or pin has just become ours: a new handle for it. */
void message_take(struct tr_arena *arena, struct message *message, uint32_t slot,
                  enum held held, _Atomic uint64_t *proof);

/* A call that was to hand the slot on has failed: it is ours under another word. */
void message_keep(struct message *message);

/* The object of a slot that has just become ours, its descriptors read and checked. The
 * payload is seen through @p base (of the view: writable or not). 0, TR_ECORRUPT,
 * TR_ENOMEM; on error the slot still is the caller's. */
int message_open(struct tr_arena *arena, struct message *message, uint32_t slot,
                 const uint8_t *base, enum held held);

/* The object for @p slot of the table. */
struct message *message_of(struct tr_arena *arena, uint32_t slot);

/* The handle of a shared message that we have just pinned. 0, TR_ECORRUPT, TR_ECHECKSUM,
 * TR_ENOMEM; on error it is unpinned. */
int message_open_pinned(struct tr_arena *arena, const struct pin *pin, uint64_t sequence,
                        tr_message **out);

/* TR_EPINS, with what to do about it. */
int message_no_pins(struct tr_arena *arena, const char *step);

/* What @p given stands for, if this process may send or change it: 0, TR_EFORK, TR_EINVAL. */
int message_owned(const tr_message *given, const char *step, struct message **out);

/* The kind of content, of a message that is ours. */
void message_set_content(struct message *message, uint32_t content);

/* Correlation id, deadline and time of a message that is ours are about to be written: what
 * an earlier user of the slot left there goes. */
void message_begin_head(struct message *message);

/* The same for what would keep its requester from ever getting a reply. */
int message_not_asked(const tr_message *given, const char *step, struct message **out);

/* Compare the payloads with the checksum in the header. 0, TR_ECHECKSUM. */
int message_verify(const struct message *message);

/* What sending owes the header: time and checksum. */
void message_stamp(struct message *message, bool with_time);

/* Say that the only tensor begins @p offset bytes into the payload, and has this type and
 * shape: for files that were read into the slot as they are. 0, or as tr_loan(). */
int message_describe(struct message *message, const tr_tensor_spec *spec,
                     uint64_t offset);

/* Give a message that is ours other tensors; what they held is lost. 0, or as tr_loan(). */
int message_respec(struct message *message, const tr_tensor_spec specs[], size_t n);

/* Of a loaned message: room for its tensor's data from the start of the slot. */
uint64_t message_capacity(const struct message *message);

#endif
