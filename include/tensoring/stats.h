/* SPDX-License-Identifier: MIT */
/* stats.h - what an arena is doing: counters, which process holds what, how deep each channel is.
 *
 * The counters lie in the arena, so that they can be read from outside and after death. */
#ifndef TENSORING_STATS_H
#define TENSORING_STATS_H

#include <tensoring/arena.h>

TR_BEGIN_DECLS

/** Name and meaning of each counter; tr_stats has a field for each. All count from create. */
#define TR_COUNTERS(X)                                            \
    X(waits, "times that a call went to sleep")                   \
    X(wakes, "wake-up system calls made")                         \
    X(timeouts, "calls that ran into their deadline")             \
    X(loan_waits, "loans that found no free slot at first")       \
    X(deaths, "participants found dead")                          \
    X(freed, "slots taken back from the dead")                    \
    X(redelivered, "messages of dead receivers handed to others") \
    X(dropped, "messages of dead receivers given up")             \
    X(corrupt, "messages or words that were corrupted")           \
    X(joins, "participants that joined")                          \
    X(lagged, "messages that slow subscribers missed")            \
    X(evicted, "subscribers evicted")                             \
    X(stale_replies, "replies that came after their request was given up")

/** Where every slot is:
 *
 *      slots = free + loaned + queued + orphaned + received
 *            + kept + board + pinned + retired
 *
 *  While others work, the parts are of moments close to one another, so the sum is exact and
 *  a part may be one off. Nothing is leaked if, with nobody holding anything, loaned, received
 *  and pinned are 0: queued and orphaned messages wait for a receiver, kept ones for slow and
 *  late subscribers, and a board's values are what it is for. */
typedef struct tr_stats {
    uint32_t struct_size;  /**< in: sizeof(tr_stats) of the caller */
    uint32_t participants; /**< that joined and were not swept yet */
    uint32_t channels;
    uint32_t slots;
    uint32_t slots_free;
    uint32_t slots_loaned;   /**< also while they are being put or published */
    uint32_t slots_queued;   /**< in a queue, or an inbox of replies */
    uint32_t slots_received; /**< by a receiver that has not released them */
    uint32_t slots_shared;   /**< kept + board + pinned + retired */
    uint32_t slots_orphaned; /**< of dead receivers; the next receiver gets them */
    uint32_t slots_kept;     /**< by broadcasts; the oldest go when memory is needed */
    uint32_t slots_board;    /**< values of boards */
    uint32_t slots_pinned;   /**< replaced or given up, but somebody still reads them */
    uint32_t slots_retired;  /**< nobody's: the next loan that needs one frees them */
#define TR_STATS_FIELD(name, text) uint64_t name;
    TR_COUNTERS(TR_STATS_FIELD)
#undef TR_STATS_FIELD
} tr_stats;
#define TR_STATS_INIT TR_RESULT_INIT(tr_stats)

/** One participant. */
typedef struct tr_participant_stats {
    uint32_t index;
    uint32_t incarnation;
    uint32_t pid;
    uint32_t uid;
    uint32_t alive; /**< 0: proven dead, not yet swept */
    uint32_t loaned;
    uint32_t received;
    uint32_t pinned;
    uint64_t held_bytes;   /**< slot bytes of what it loaned and received */
    uint64_t start_time;   /**< clock ticks since boot, as /proc/PID/stat has it */
    uint64_t pinned_bytes; /**< slot bytes of what it reads of broadcasts and boards */
    uint64_t pid_ns;       /**< inode of its pid namespace, 0: not known */
    uint64_t joined_ns;    /**< how long ago it joined */
    uint64_t oldest_ns;    /**< age, since it was sent, of the oldest message that it has
                                received; 0: none has a time (queues stamp on request) */
    uint32_t foreign;      /**< 1: pid is a number of another pid namespace than ours */
    uint32_t state;        /**< letter of proc(5): R, S, D, T stopped, Z; 0: not known */
    char command[16];      /**< as ps shows it; "": not known */
    char channel[64];      /**< that most of what it received came from; "": none */
} tr_participant_stats;
TR_ASSERT_SIZE(tr_participant_stats, 168);

typedef enum tr_channel_kind {
    TR_CHANNEL_QUEUE = 1,
    TR_CHANNEL_BROADCAST = 2,
    TR_CHANNEL_BOARD = 3
} tr_channel_kind;

/** One channel. */
typedef struct tr_channel_stats {
    char name[64];
    uint32_t kind;     /**< tr_channel_kind */
    uint32_t capacity; /**< messages; board: keys */
    uint64_t depth; /**< queue: messages that wait, orphans among them; broadcast: kept;
                            board: keys that have a value */
    uint64_t sent;  /**< position of the next message; board: puts and deletes so far */
    uint64_t received; /**< position of the oldest one that is there; board: 0 */
    uint32_t sleeping_receivers; /**< 1 if somebody may be asleep */
    uint32_t sleeping_senders;
    /** Queue: messages of dead receivers, in their slots, not in the ring. */
    uint32_t orphans;
    uint32_t receivers; /**< queue: as tr_queue_receivers() */
    /** Broadcast: how many messages the slowest living subscriber that blocks is behind; capacity
     *  or more: publishers wait for it. */
    uint64_t behind;
    uint32_t laggard; /**< which participant that is, if behind is not 0 */
    uint32_t reserved;
} tr_channel_stats;
TR_ASSERT_SIZE(tr_channel_stats, 128);

/** The slots of one size; the sum of the counts from free to retired is slots. */
typedef struct tr_class_stats {
    uint64_t slot_bytes;
    uint32_t slots;
    uint32_t waiting; /**< 1 if somebody may be waiting for one */
    uint32_t free;
    uint32_t loaned; /**< from here on as in tr_stats */
    uint32_t queued;
    uint32_t received;
    uint32_t orphaned;
    uint32_t kept;
    uint32_t board;
    uint32_t pinned;
    uint32_t retired;
    uint32_t reserved;
} tr_class_stats;
TR_ASSERT_SIZE(tr_class_stats, 56);

/** Totals: a pass over all slots.
 *  @return 0, TR_EINVAL (struct_size). Threads: any. Syscalls: none. */
TR_API TR_CHECK int tr_stats_get(tr_arena *arena, tr_stats *stats);

/** The participants there are, at most @p capacity of them.
 *  @param element_bytes  sizeof(out[0]) of the caller; so it is below
 *  @param count  how many were written
 *  @return 0, TR_EINVAL (element_bytes, NULL). Threads: any. Syscalls: five to seven a
 *  participant. */
TR_API TR_CHECK int tr_stats_participants(tr_arena *arena, tr_participant_stats *out,
                                          size_t element_bytes, size_t capacity,
                                          size_t *count);

/** The channels there are, at most @p capacity of them: a pass over all slots, and over the
 *  keys of boards.
 *  @param count  how many were written
 *  @return 0, TR_EINVAL (element_bytes, NULL). Threads: any. Syscalls: a few for each process
 *  that receives from a queue. */
TR_API TR_CHECK int tr_stats_channels(tr_arena *arena, tr_channel_stats *out,
                                      size_t element_bytes, size_t capacity,
                                      size_t *count);

/** The sizes of slots there are, at most @p capacity of them, TR_MAX_CLASSES in all: a pass over
 *  all slots.
 *  @param count  how many were written
 *  @return 0, TR_EINVAL (element_bytes, NULL). Threads: any. Syscalls: none. */
TR_API TR_CHECK int tr_stats_classes(tr_arena *arena, tr_class_stats *out,
                                     size_t element_bytes, size_t capacity,
                                     size_t *count);

TR_END_DECLS
#endif
