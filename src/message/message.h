/* SPDX-License-Identifier: MIT */
/* message.h - one slot, or one pin, in this process: what the user's handle of it stands for,
 * and a private, checked copy of the descriptors that lie in it.
 *
 * A handle is valid until its object is given out again, which changes `now`, or the message is
 * sent or released, which notes the handle in `ended`. Nobody takes `now` back: a thread that
 * releases what another has released already could then end the handle of a third. */
#ifndef TR_SRC_MESSAGE_H
#define TR_SRC_MESSAGE_H

#include <tensoring/message.h>

#include "ipc/exchange/owned.h"
#include "ipc/exchange/shared.h"
#include "ipc/path.h"
#include "src/arena/arena.h"
#include "src/base/handle.h"

/* A request is a message of a queue that asks for a reply. */
enum held { HELD_LOAN = 1, HELD_RECEIVED, HELD_REQUEST, HELD_SHARED };

struct message {
    _Atomic uint64_t now;   /* local: the handle that was given out last; 0: none yet */
    _Atomic uint64_t ended; /* local: a handle that has ended, though it was the last */
    _Atomic uint64_t word;  /* local: of the slot while it is ours; written after `now` */
    struct tr_arena *arena;
    uint32_t slot;
    uint32_t held;       /* enum held */
    uint64_t holder;     /* holder_of() when it was taken: a forked child differs */
    uint64_t sequence;   /* position in its channel */
    uint32_t deliveries; /* before this one */
    uint32_t sender;
    uint32_t count;
    uint32_t class;         /* of the slot; fixed, as are the next two */
    uint64_t payload_off;   /* from the start of the arena */
    uint64_t payload_bytes; /* with the room for descriptors */
    const uint8_t *base;    /* through which `first` was checked; NULL: it was not */
    uint64_t first_type, first_offset; /* the words from which `first` was made */
    tr_tensor *tensors;                /* &first, or more */
    tr_tensor first; /* up to its shape, the last that most messages touch */
    tr_tensor *more; /* kept for the next message of this slot */
    char *text;      /* names and descrs, likewise */
    uint32_t room;   /* of more */
    uint32_t text_room;
    union {
        struct pin pin;                   /* of a shared message */
        struct {                          /* of a request: */
            struct histogram *histograms; /* its queue's; NULL: it counts nothing */
            uint64_t received_ns;         /* when it was received, if it does */
        };
    };
};

/* How many a table has: one a slot, then one a pin, since a process may read one shared slot
 * more than once. */
static inline uint32_t message_count_of(const struct view *view)
{
    return view->geo.slot_count + view->geo.pin_count;
}

/* What a handle stands for; NULL: it is NULL or stale. */
static inline struct message *message_known(const tr_message *given)
{
    struct message *message = handle_address(given);
    uint64_t handle = (uint64_t)(uintptr_t)given;

    /* relaxed: local. The owner of a valid handle got it after both were written. */
    return __builtin_expect(
               message &&
                   atomic_load_explicit(&message->now, memory_order_relaxed) == handle &&
                   atomic_load_explicit(&message->ended, memory_order_relaxed) != handle,
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

/* Its handle ends, before another may own it. */
static inline void message_end(struct message *message, const tr_message *given)
{
    /* relaxed: local. */
    atomic_store_explicit(&message->ended, (uint64_t)(uintptr_t)given,
                          memory_order_relaxed);
}

/* The same where several threads end one handle at once, an error of the user: one of them does.
 * False: another was faster. */
static inline bool message_claim(struct message *message, const tr_message *given)
{
    /* relaxed: local. Read before the handle is looked at. */
    uint64_t ended = atomic_load_explicit(&message->ended, memory_order_relaxed);

    /* The last look: `ended` may have been taken back to what it was. */
    return message_known(given) &&
           shm_cas(&message->ended, &ended, (uint64_t)(uintptr_t)given,
                   memory_order_relaxed) && /* relaxed: local */
           message_handle(message) == given;
}

/* Before it is sent, published or put. Two threads that do this at once are their user's error:
 * test builds end the process by it, a release has no time to look. */
#ifdef TR_ASSERTS
#define message_hand_on(message, given) \
    ASSERT_ONCE(message_claim(message, given), (message)->slot)
#else
#define message_hand_on(message, given) message_end(message, given)
#endif

/* The call that would hand it on has failed: it is ours, under another word. */
void message_keep(struct message *message);

/* TR_EINVAL: @p given, which message_known() does not know, is invalid. */
int message_stale(const tr_message *given, const char *step);

/* The slot or pin has just become ours, a slot under @p word: a new handle for it. */
static inline tr_message *message_take(struct tr_arena *arena, struct message *message,
                                       enum held held, uint64_t word)
{
    /* relaxed: local; the one that takes a slot or pin is alone. */
    uint64_t now = handle_next(atomic_load_explicit(&message->now, memory_order_relaxed));

    message->held = held;
    message->holder = atomic_load_explicit(&arena->here->holder, memory_order_relaxed);
    atomic_store_explicit(&message->now, now, memory_order_relaxed);
    /* release, local: pairs with tr_message_release(). */
    atomic_store_explicit(&message->word, word, memory_order_release);
    return (tr_message *)(uintptr_t)now;
}

/* The object for @p slot of the table. */
struct message *message_of(struct tr_arena *arena, uint32_t slot);

/* TR_EPINS, with what to do about it. */
int message_no_pins(struct tr_arena *arena, const char *step);

/* Else it is the parent's, from before a fork. A child that has not joined holds nothing. */
static inline bool message_is_ours(const struct message *message)
{
    /* relaxed: the thread that has the handle knows that its process has joined. */
    return message->holder ==
           atomic_load_explicit(&message->arena->here->holder, memory_order_relaxed);
}

/* Whether it comes from a queue and asks for a reply. */
static inline bool message_is_request(const struct message *message)
{
    return message->held == HELD_REQUEST;
}

/* TR_EFORK. */
int message_not_ours(const char *step);

/* Why message_owned() refuses it. */
int message_disowned(const tr_message *given, const char *step);

/* As in error.h: the analyzer can't know that it fails. */
#if defined __clang_analyzer__ && !defined TR_SRC_MESSAGE_C
#define message_disowned(...) ((message_disowned)(__VA_ARGS__), TR_EINVAL)
#endif

/* What @p given stands for, if this process may send or change it: 0, TR_EFORK, TR_EINVAL. */
static inline int message_owned(const tr_message *given, const char *step,
                                struct message **out)
{
    struct message *message = message_known(given);

    *out = message;
    return __builtin_expect(
               message && message->held != HELD_SHARED && message_is_ours(message), 1)
               ? 0
               : message_disowned(given, step);
}

/* The same, for calls that do nothing but write: others have what a process held that was taken
 * for dead. Also TR_EABANDONED. */
int message_writable(const tr_message *given, const char *step, struct message **out);

/* The kind of content, of a message that is ours. */
void message_set_content(struct message *message, uint32_t content);

/* Correlation id, deadline and time of a message that is ours are about to be written: what
 * an earlier user of the slot left there goes. */
void message_begin_head(struct message *message);

/* The same, and its deadline; 0: none. */
void message_set_deadline(struct message *message, int64_t deadline_ns);

/* TR_EINVAL: it is a request, and its requester would never get a reply. */
int message_asked(const char *step);

/* As above. */
#if defined __clang_analyzer__ && !defined TR_SRC_MESSAGE_C
#define message_asked(...) ((message_asked)(__VA_ARGS__), TR_EINVAL)
#endif

/* The same as message_owned() where that would be so. */
static inline int message_not_asked(const tr_message *given, const char *step,
                                    struct message **out)
{
    int result = message_owned(given, step, out);

    return __builtin_expect(result == 0 && message_is_request(*out), 0)
               ? message_asked(step)
               : result;
}

/* Compare the payloads with the checksum in the header. 0, TR_ECHECKSUM. */
int message_verify(const struct message *message);

/* What sending adds to the header: sender, time and checksum. */
void message_stamp_more(struct message *message, bool with_time);

static inline void message_stamp(struct message *message, bool with_time)
{
    const struct tr_arena *arena = message->arena;
    struct slot_record *record = view_record(&arena->view, message->slot);
    uint64_t rest = shm_get(&record->tensors) & ~(UINT64_C(0xff) << 24);

    ASSERT_HELD(&arena->self, record);
    shm_put(&record->tensors, rest | (uint64_t)(arena->self.who & 0xff) << 24);
    if (UNLIKELY(with_time | !!(arena->view.geo.flags & TR_ARENA_CRC32C)))
        message_stamp_more(message, with_time);
}

/* tr_message_loan() of a message that is for @p channel: -ESHUTDOWN, without a detail, if that is
 * shut down, and no slot is free. */
int message_loan_for(tr_arena *arena, const struct channel *channel,
                     const tr_tensor_spec specs[], size_t n, int64_t timeout_ns,
                     tr_message **out);

/* Say that the only tensor begins @p offset bytes into the payload, and has this type and
 * shape: for files that were read into the slot as they are. 0, or as tr_message_loan(). */
int message_describe(struct message *message, const tr_tensor_spec *spec,
                     uint64_t offset);

/* Give a message that is ours other tensors; what they held is lost. 0, or as tr_message_loan(). */
int message_respec(struct message *message, const tr_tensor_spec specs[], size_t n);

/* Room for the data of a loaned message's tensor, from the start of the slot. */
uint64_t message_capacity(const struct message *message);

#endif
