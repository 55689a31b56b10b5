/* SPDX-License-Identifier: MIT */
/* stats.h - what an arena is doing: counters, who holds what, how deep each channel is.
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
    X(corrupt, "messages or words that broke a rule")             \
    X(joins, "participants that joined")                          \
    X(lagged, "messages that slow subscribers missed")            \
    X(evicted, "subscribers evicted")                             \
    X(stale_replies, "replies that came after their request was given up")

typedef struct tr_stats {
    uint32_t struct_size;  /**< in: sizeof(tr_stats) of the caller */
    uint32_t participants; /**< alive, as far as known */
    uint32_t channels;
    uint32_t slots;
    uint32_t slots_free;
    uint32_t slots_loaned;
    uint32_t slots_queued;
    uint32_t slots_received;
    uint32_t slots_shared;
    uint32_t reserved;
#define TR_STATS_FIELD(name, text) uint64_t name;
    TR_COUNTERS(TR_STATS_FIELD)
#undef TR_STATS_FIELD
} tr_stats;

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
    uint64_t held_bytes; /**< slot bytes of what it loaned and received */
    uint64_t start_time; /**< clock ticks since boot, as /proc/PID/stat has it */
} tr_participant_stats;
TR_ASSERT_SIZE(tr_participant_stats, 48);

/** One channel. */
typedef struct tr_channel_stats {
    char name[64];
    uint32_t kind; /**< 1 queue, 2 broadcast, 3 board */
    uint32_t capacity;
    uint64_t depth;
    uint64_t sent;               /**< position of the next message */
    uint64_t received;           /**< position of the oldest one that is there */
    uint32_t sleeping_receivers; /**< 1 if somebody may be asleep */
    uint32_t sleeping_senders;
} tr_channel_stats;
TR_ASSERT_SIZE(tr_channel_stats, 104);

/** Totals.
 *  @return 0, TR_EINVAL (struct_size). Threads: any. Syscalls: none. Crash: -. */
TR_API TR_CHECK int tr_stats_read(tr_arena *arena, tr_stats *stats);

/** The participants there are, at most @p capacity of them.
 *  @param count  how many were written
 *  @return 0. Threads: any. Syscalls: one or two a participant. Crash: -. */
TR_API TR_CHECK int tr_stats_participants(tr_arena *arena, tr_participant_stats *out,
                                          size_t capacity, size_t *count);

/** The channels there are, at most @p capacity of them.
 *  @param count  how many were written
 *  @return 0. Threads: any. Syscalls: none. Crash: -. */
TR_API TR_CHECK int tr_stats_channels(tr_arena *arena, tr_channel_stats *out,
                                      size_t capacity, size_t *count);

TR_END_DECLS
#endif
