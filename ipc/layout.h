/* SPDX-License-Identifier: MIT */
/* layout.h - every byte that processes share. Little-endian, fixed width; no pointers,
 * enums, bool, size_t. Offsets count from byte 0 of the arena. To move a byte, raise
 * ARENA_LAYOUT and renew tests/abi/layout.golden.
 *
 *  0                 struct control       written once, before the magic; then immutable
 *  4096              struct live          counters, class words, small state of the arena
 *  participants_off  struct participant   one for each process that may join
 *  pins_off          pins                 pin_stride bytes for each participant
 *  channels_off      struct channel       the names
 *  rings_off         rings                cells and tables of the channels, bump-allocated
 *  records_off       struct slot_record   owner of slot i, its header, its first tensor
 *  payload_off       payloads             class by class, page-aligned
 *
 * A slot's payload: data from byte 0; a table of descriptors, if there is one, at the end, or
 * in an elastic arena right behind the data.
 *
 *  data of tensor 0 | pad to 64 | data of tensor 1 | ... | table | strings
 */
#ifndef TR_IPC_LAYOUT_H
#define TR_IPC_LAYOUT_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#ifndef ARENA_LAYOUT /* a test builds a library of another one */
#define ARENA_LAYOUT 3
#endif
#define ARENA_MAGIC      UINT64_C(0x31474e49524f5354) /* "TSORING1", little-endian */
#define FEATURE_ELASTIC  UINT64_C(1)                  /* slots have the pages they need */
#define ARENA_FEATURES   FEATURE_ELASTIC              /* bits that this code knows */
#define ARENA_LINE       128 /* two cache lines: the x86 prefetcher fetches pairs */
#define ARENA_PAGE       4096
#define MAX_CLASSES      16
#define MAX_PARTICIPANTS 256
#define MAX_CHANNELS     1024
#define MAX_SLOTS        (UINT32_C(1) << 20)
#define MAX_NDIM         16
#define MAX_PINS         4096
#define MAX_COUNTERS     64
#define OWN_COUNTERS     16
#define CHANNEL_NAME     64
#define SMALL_TEXT       64
#define MAX_SUBSCRIBERS  256
#define BOARD_KEY        256
#define BOARD_GROUPS     32

/* Locks of the arena's file beyond the participants' own (life.h): the right to remove the name,
 * see name.h. */
#define LOCK_NAME (MAX_PARTICIPANTS + 1)

struct slot_class {
    uint64_t slot_bytes; /* what a user may put in */
    uint64_t stride;     /* from one slot's payload to the next */
    uint64_t payload_off;
    uint32_t first_slot;
    uint32_t count;
};

struct control {
    _Atomic uint64_t magic; /* E0: stored last */
    uint32_t layout;
    uint32_t creator_uid;
    uint64_t features;
    uint64_t total_bytes; /* == fstat().st_size */
    uint64_t nonce;
    uint64_t participants_off;
    uint64_t pins_off;
    uint64_t channels_off;
    uint64_t rings_off;
    uint64_t records_off;
    uint64_t payload_off;
    uint64_t rings_bytes;
    uint32_t flags; /* TR_ARENA_... as asked for */
    uint32_t class_count;
    uint32_t participant_count;
    uint32_t channel_count;
    uint32_t slot_count;
    uint32_t pin_count;
    uint32_t pin_stride;
    uint32_t eventfd_count;
    uint64_t secret[2];    /* of the hashes of names and keys */
    uint64_t memory_bytes; /* elastic arenas: limit of what slots have; 0: none */
    uint64_t warm_bytes;   /* and of what free ones keep */
    struct slot_class classes[MAX_CLASSES];
    uint8_t pad[ARENA_PAGE - 160 - 32 * MAX_CLASSES];
};

/* Per-class words that every loan and free touches. */
struct class_words {
    alignas(ARENA_LINE) _Atomic uint32_t freed; /* wake word: somebody waits for a slot */
    _Atomic uint32_t freed_turn;                /* hint: the listener rung last, + 1 */
    _Atomic uint64_t freed_listeners[4];        /* participants to tell by descriptor */
    alignas(ARENA_LINE) _Atomic uint32_t last;  /* hint: slot freed last, + 1 */
    /* Elastic arenas: how many slots were ever used, see records.h. */
    _Atomic uint32_t used;
};

struct live {
    _Atomic uint64_t counters[MAX_COUNTERS];
    alignas(ARENA_LINE) _Atomic uint64_t rings_used; /* bump of the rings' region */
    _Atomic uint64_t checked_ns; /* when somebody last looked for the dead */
    /* Which process monitors while asleep; see monitor_role.h. */
    _Atomic uint32_t monitor_roles;
    _Atomic uint32_t copy_routine; /* 0 memcpy, 1 rep movsb; see copy.h */
    _Atomic uint64_t populate_ns;
    _Atomic uint64_t check_due_ns; /* when the primary will look next */
    _Atomic uint64_t admission;    /* closed, and count of joins: see participant.h */
    _Atomic uint64_t namer;        /* pid that removes the name now, 0: nobody */
    /* Elastic arenas: see budget.h. */
    _Atomic uint64_t reserved_bytes; /* hint: what slots have */
    _Atomic uint64_t warm_bytes;     /* hint: what free ones have */
    _Atomic uint32_t memory;         /* wake word: somebody waits for a slot or memory */
    _Atomic uint32_t memory_turn;    /* as in struct class_words */
    _Atomic uint64_t memory_listeners[4];
    struct class_words classes[MAX_CLASSES];
};

struct participant {
    /* State and incarnation, see participant.h. */
    alignas(ARENA_LINE) _Atomic uint64_t word;
    _Atomic uint32_t pid;
    _Atomic uint32_t uid;
    _Atomic uint64_t start_time; /* clock ticks since boot, 0 unknown */
    _Atomic uint64_t pid_ns;     /* inode of the pid namespace, 0 unknown */
    _Atomic uint64_t joined_ns;
    _Atomic uint64_t life; /* enum life_kind of its lock, see life.h */
    _Atomic uint64_t reserved[10];
    alignas(ARENA_LINE) _Atomic uint32_t
        doorbell;              /* of a listener to many words: see notify.h */
    _Atomic uint32_t notify;   /* how it wants to be told, see notify.h */
    _Atomic uint64_t inbox;    /* channel of its replies, + 1 */
    _Atomic uint64_t rung;     /* hint: by which channels; bit n is index n modulo 64 */
    _Atomic uint64_t fifo_key; /* in the name of its FIFO, see fifo.h */
    _Atomic uint64_t notify_reserved[12];
    /* What it counted; they stay for the next in the entry. */
    alignas(ARENA_LINE) _Atomic uint64_t counters[OWN_COUNTERS];
};

/* A pin: bits 0-20 slot + 1, 21-31 incarnation of the reader's entry, 32-63 generation of the slot;
 * 0: free. The incarnation tells it from a pin of another owner of the entry. */
#define PIN_SLOT(pin)    (((uint32_t)(pin)&0x1fffff) - 1)
#define PIN_INC(inc)     ((uint64_t)((inc)&0x7ff) << 21)
#define PIN_OF_SLOT(pin) ((pin) & ~PIN_INC(0x7ff))
_Static_assert(MAX_SLOTS < 1 << 21, "a pin names every slot");

/* A channel. The first line is written by its maker, then read-mostly. */
struct channel {
    alignas(ARENA_LINE) _Atomic uint64_t word; /* state, kind, hash: see channel.h */
    _Atomic uint64_t ring_off;                 /* from byte 0 of the arena */
    _Atomic uint64_t ring_bytes;
    _Atomic uint32_t capacity;
    _Atomic uint32_t policy;         /* of a broadcast: how many messages it keeps */
    _Atomic uint32_t max_deliveries; /* of a broadcast: its places for subscribers */
    _Atomic uint32_t stamp;
    _Atomic uint32_t closed;
    _Atomic uint32_t orphans; /* messages of dead receivers wait in their slots */
    _Atomic uint64_t reserved[2];
    _Atomic uint64_t name[CHANNEL_NAME / 8];
    alignas(ARENA_LINE) _Atomic uint64_t tail; /* hint: the next position to fill */
    /* Hint: the oldest position that is full. */
    alignas(ARENA_LINE) _Atomic uint64_t head;
    alignas(ARENA_LINE) _Atomic uint32_t items; /* wake word: receivers sleep on it */
    _Atomic uint32_t items_turn;                /* hint: the listener rung last, + 1 */
    _Atomic uint64_t items_listeners[4];        /* participants to tell by descriptor */
    alignas(ARENA_LINE) _Atomic uint32_t room;  /* wake word: senders sleep on it */
    _Atomic uint32_t room_turn;
    _Atomic uint64_t room_listeners[4];
    /* What its kind needs: broadcast.h, request.h. */
    alignas(ARENA_LINE) _Atomic uint64_t extra[32];
    /* Wake words of a board, see board.h. */
    alignas(ARENA_LINE) _Atomic uint32_t groups[32];
};

/* One tensor: in the record (the first of a plain message) or in the table. */
struct tensor_words {
    _Atomic uint64_t type; /* code 0-7, bits 8-15, lanes 16-31, ndim 32-47, flags 48-63 */
    _Atomic uint64_t nbytes;
    _Atomic uint64_t shape[MAX_NDIM];
    _Atomic uint64_t offset; /* from the start of the slot's payload */
    /* Table: 0-31 in the strings, name 32-47, descr 48-63. Record, with TENSORS_ORIGIN: in which
     * queue elsewhere the message was sent first. */
    _Atomic uint64_t text;
};

/* The first 64 bytes are all that a message of one array of up to two dimensions touches;
 * what comes after is there if a flag in `tensors` says so. */
struct slot_record {
    alignas(ARENA_LINE) _Atomic uint64_t owner; /* its owner and state, see slot.h */
    _Atomic uint64_t location;                  /* in odd generations, see slot.h */
    _Atomic uint64_t reply_to;                  /* see request.h */
    _Atomic uint64_t tensors;  /* count 0-15, content 16-23, sender 24-31, TENSORS_... */
    struct tensor_words first; /* of a table: offset and nbytes are the table's */
    _Atomic uint64_t location_even; /* in even generations */
    _Atomic uint64_t correlation_id;
    _Atomic uint64_t deadline_ns;
    _Atomic uint64_t published_ns;
    _Atomic uint64_t crc32c;
    _Atomic uint64_t user[SMALL_TEXT / 8];
    _Atomic uint64_t content_type[SMALL_TEXT / 8];
    _Atomic uint64_t name[SMALL_TEXT / 8];  /* of the first tensor */
    _Atomic uint64_t descr[SMALL_TEXT / 8]; /* of the first tensor */
    _Atomic uint64_t memory;                /* MEMORY_..., by the slot's holder */
    /* With TENSORS_ERROR: what the server said; with TENSORS_ORIGIN: the number in that queue. */
    _Atomic uint64_t reply_code;
    _Atomic uint64_t last_receiver; /* pid of the last one that died with it; a hint */
};

/* One reader of a broadcast, behind the cells of its channel. */
struct subscriber {
    /* State, policy, owner: see place_word.h. */
    alignas(ARENA_LINE) _Atomic uint64_t word;
    _Atomic uint64_t cursor; /* the next position it wants */
    _Atomic uint64_t missed; /* messages that were gone when it came */
    _Atomic uint64_t subscriber_reserved[13];
};

#define HISTOGRAM_BUCKETS 158

/* How often values of each size were seen: see histogram.h. */
struct histogram {
    alignas(ARENA_LINE) _Atomic uint64_t sum; /* of the values */
    _Atomic uint64_t histogram_reserved;
    _Atomic uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* One key of a board. */
struct board_key {
    alignas(ARENA_LINE) _Atomic uint64_t word; /* state and hash, see board.h */
    _Atomic uint64_t cell;                     /* slot + 1: 0-20, version 21-63 */
    _Atomic uint64_t base; /* a version that it had, for the bits that the cell lacks */
    _Atomic uint64_t key[BOARD_KEY / 8]; /* 0-terminated */
};

#define AT(type, field, off) _Static_assert(offsetof(struct type, field) == (off), #field)
AT(control, layout, 8);
AT(control, total_bytes, 24);
AT(control, flags, 96);
AT(control, classes, 160);
AT(live, rings_used, 512);
AT(live, reserved_bytes, 568);
AT(live, classes, 640);
AT(participant, pid, 8);
AT(participant, doorbell, 128);
AT(participant, counters, 256);
AT(channel, name, 64);
AT(channel, tail, 128);
AT(channel, head, 256);
AT(channel, items, 384);
AT(channel, room, 512);
AT(channel, extra, 640);
AT(channel, groups, 896);
AT(slot_record, location, 8);
AT(slot_record, first, 32);
AT(slot_record, location_even, 192);
AT(slot_record, correlation_id, 200);
AT(slot_record, user, 232);
AT(slot_record, memory, 488);
AT(histogram, buckets, 16);
AT(board_key, key, 24);
#undef AT
_Static_assert(sizeof(struct control) == ARENA_PAGE, "control block");
_Static_assert(sizeof(struct live) == 640 + 256 * MAX_CLASSES, "live");
_Static_assert(sizeof(struct participant) == 3 * ARENA_LINE, "participant");
_Static_assert(sizeof(struct channel) == 1024, "channel");
_Static_assert(sizeof(struct tensor_words) == 160, "tensor");
_Static_assert(sizeof(struct slot_record) == 512, "slot record");
_Static_assert(sizeof(struct subscriber) == ARENA_LINE, "subscriber");
_Static_assert(sizeof(struct histogram) == 10 * ARENA_LINE, "histogram");
_Static_assert(sizeof(struct board_key) == 3 * ARENA_LINE, "key of a board");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2,
               "atomics must work across processes");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the arena is little-endian");

/* Parts of control.flags. */
enum segment_flag {
    SEGMENT_POPULATE = 1u << 0,
    SEGMENT_HUGE = 1u << 1,
    SEGMENT_LAZY = 1u << 2,
    SEGMENT_OVERCOMMIT = 1u << 5, /* limits of memory are not asked */
    SEGMENT_DUMP = 1u << 6,       /* cores hold the arena */
    SEGMENT_ELASTIC = 1u << 8     /* lazy, and by the page */
};

/* Parts of participant.word: see participant.h. */
enum participant_state {
    PARTICIPANT_FREE,
    PARTICIPANT_LIVE,
    PARTICIPANT_REAPING,
    PARTICIPANT_DRAINING
};

#define PARTICIPANT_STATE(word) ((enum participant_state)((word)&3))
#define PARTICIPANT_INC(word)   ((uint32_t)((word) >> 2))

static inline uint64_t participant_word(enum participant_state state, uint32_t inc)
{
    return (uint64_t)state | (uint64_t)inc << 2;
}

/* Parts of slot_record.memory. */
#define MEMORY_RESIDENT UINT64_C(1) /* lazy arenas: it is reserved */
#define MEMORY_DEVICE \
    UINT64_C(2) /* a device may write into it, as long as its generation is 32-63 */
/* Elastic arenas: the pages that are reserved, counted from the start of the payload; without
 * MEMORY_RESIDENT some of them may be. */
#define MEMORY_MOST_PAGES  UINT64_C(0x3fffffff)
#define MEMORY_PAGES(word) ((word) >> 2 & MEMORY_MOST_PAGES)
#define MEMORY_OF(pages)   ((pages) << 2)
#define MEMORY_THERE       (MEMORY_RESIDENT | MEMORY_OF(MEMORY_MOST_PAGES))

/* Parts of slot_record.tensors. */
#define TENSORS_COUNT(word)   ((uint32_t)((word)&0xffff))
#define TENSORS_CONTENT(word) ((uint32_t)((word) >> 16 & 0xff))
#define TENSORS_SENDER(word)  ((uint32_t)((word) >> 24 & 0xff))
#define TENSORS_TABLE         (UINT64_C(1) << 32)
#define TENSORS_CRC           (UINT64_C(1) << 33)
#define TENSORS_TEXT          (UINT64_C(1) << 34) /* name and descr of the first are set */
#define TENSORS_USER          (UINT64_C(1) << 35) /* user bytes are set */
#define TENSORS_MIME          (UINT64_C(1) << 36) /* content_type is set */
#define TENSORS_HEAD \
    (UINT64_C(1) << 37) /* correlation_id, deadline_ns, published_ns are set */
#define TENSORS_MOVED  (UINT64_C(1) << 38) /* the first begins at its offset, not at 0 */
#define TENSORS_ERROR  (UINT64_C(1) << 39) /* a server's error: reply_code is set */
#define TENSORS_ORIGIN (UINT64_C(1) << 40) /* first.text and reply_code: from elsewhere */

/* Counters, in the order of TR_COUNTERS: src/arena/stats.c checks it. */
enum counter {
    COUNT_WAITS,
    COUNT_WAKES,
    COUNT_TIMEOUTS,
    COUNT_LOAN_WAITS,
    COUNT_DEATHS,
    COUNT_FREED,
    COUNT_REDELIVERED,
    COUNT_DROPPED,
    COUNT_CORRUPT,
    COUNT_JOINS,
    COUNT_LAGGED,
    COUNT_EVICTED,
    COUNT_STALE_REPLIES
};
_Static_assert(COUNT_STALE_REPLIES < OWN_COUNTERS, "a line of counters");

#endif
