/* SPDX-License-Identifier: MIT */
/* broadcast.h - each message to every subscriber, one copy for all of them.
 *
 * Subscribers come and go while it runs, and read the payload where it lies, through a
 * read-only mapping. Each lags alone, and says at subscription what its lagging means. A
 * subscriber that holds a message holds one slot and stalls nobody as long as slots remain. */
#ifndef TENSORING_BROADCAST_H
#define TENSORING_BROADCAST_H

#include <tensoring/waitset.h>

TR_BEGIN_DECLS

#define TR_MAX_SUBSCRIBERS 256

typedef struct tr_broadcast tr_broadcast;       /**< many publishers. Threads: any */
typedef struct tr_subscription tr_subscription; /**< one place in it. Threads: any */

/** What becomes of a subscriber that is as far behind as the broadcast allows. */
typedef enum tr_lag {
    TR_LAG_BLOCK = 0,       /**< publishers wait for it, as long as it lives */
    TR_LAG_DROP_OLDEST = 1, /**< it misses the oldest messages, and is told how many */
    TR_LAG_EVICT = 2        /**< it must subscribe again */
} tr_lag;

/** Start from TR_BROADCAST_OPTIONS_INIT. Opening an existing broadcast gets its
 *  options; a capacity that differs after rounding is TR_EINVAL unless it is 0. */
typedef struct tr_broadcast_options {
    uint32_t struct_size;
    /** Messages that a subscriber may be behind. Rounded up to one less than a power of 2, at most
     *  TR_MAX_CAPACITY - 1; 0: 63, or what the broadcast has. */
    uint32_t capacity;
    /** Messages kept for late subscribers when all others have had them, as long as there are free
     *  slots; default 1. */
    uint32_t keep;
    uint32_t max_subscribers; /**< at a time, 1 to TR_MAX_SUBSCRIBERS; default 64 */
    uint32_t stamp; /**< 1: publishing takes the time (20 ns) for header.published_ns */
    uint32_t reserved;
} tr_broadcast_options;
TR_ASSERT_SIZE(tr_broadcast_options, 24);
/* clang-format off */
#define TR_BROADCAST_OPTIONS_INIT {sizeof(tr_broadcast_options), 0, 1, 64, 0, 0}
/* clang-format on */

/** Start from TR_SUBSCRIPTION_OPTIONS_INIT. */
typedef struct tr_subscription_options {
    uint32_t struct_size;
    uint32_t lag; /**< tr_lag; default TR_LAG_DROP_OLDEST */
    /** Begin with this many of the last messages, as far as they are still there; default 0: only
     *  new ones. One of these that is dropped before it is read does not count as missed. */
    uint32_t last;
    uint32_t reserved;
} tr_subscription_options;
TR_ASSERT_SIZE(tr_subscription_options, 16);
/* clang-format off */
#define TR_SUBSCRIPTION_OPTIONS_INIT {sizeof(tr_subscription_options), 1, 0, 0}
/* clang-format on */

/**
 * Open the broadcast @p name, making it if it is not there.
 * @param options  NULL for defaults
 * @return 0, TR_EINVAL, TR_ENAMETOOLONG, TR_ENOSPC (no room for another channel or its
 *         ring; the detail says which option to raise), TR_EAGAIN (its maker is stopped),
 *         TR_ENOMEM, TR_EUSERS, TR_ECORRUPT.
 * Owner:   the caller, until tr_broadcast_close().
 * Threads: any. Syscalls: none. Crash: half-made, it is finished by the next process that opens it.
 */
TR_API TR_CHECK int tr_broadcast_open(tr_arena *arena, const char *name,
                                      const tr_broadcast_options *options,
                                      tr_broadcast **out);

/** Free the handle; the broadcast stays. NULL is allowed. Threads: one. */
TR_API void tr_broadcast_close(tr_broadcast *broadcast);

/**
 * Loan a message that is for this broadcast: as tr_message_loan(), but a wait for a free slot ends
 * when the broadcast is shut down. Where a slot is free it is loaned, shut down or not.
 * @return as tr_message_loan(), and TR_ECLOSED (shut down, and no slot is free).
 * Owner: the caller. Threads: any. Progress: lock-free while there is a free slot, else blocks.
 * Syscalls: as tr_message_loan(). Crash: as tr_message_loan().
 */
TR_API TR_CHECK int tr_broadcast_loan(tr_broadcast *broadcast,
                                      const tr_tensor_spec specs[], size_t n,
                                      int64_t timeout_ns, tr_message **out);

/**
 * Give @p message to every subscriber there is, and to those that will ask for the last ones. All
 * that was written to it before is visible to them (edge E11 in
 * docs/explanation/memory-model.md).
 *
 * @param message     loaned, or received from a queue and now forwarded without a copy; of
 *                    the broadcast's own arena
 * @param timeout_ns  how long to wait for subscribers that block
 * @return 0, TR_EAGAIN (TR_NOWAIT and somebody blocks), TR_ETIMEDOUT (the detail names the
 *         subscriber that is behind), TR_EINTR, TR_ECLOSED, TR_EINVAL (another arena, or a
 *         message that is shared already), TR_EFORK, TR_EUSERS, TR_ECORRUPT.
 *
 * Owner:    the broadcast on 0; on any error nothing has changed hands.
 * Threads:  any; no other thread may be using @p message.
 * Progress: lock-free unless a subscriber blocks, then blocks up to the timeout.
 * Syscalls: none when nobody sleeps; one wakes all that do.
 * Crash:    killed inside, the message is there for every subscriber or for none; in the
 *           second case reap frees its slot, or hands a forwarded one on by the policy of
 *           the queue it came from.
 */
TR_API TR_CHECK int tr_broadcast_publish(tr_broadcast *broadcast, tr_message *message,
                                         int64_t timeout_ns);

/** No more messages: publishers get TR_ECLOSED, subscribers read what is there and then get
 *  it too. A publish that runs at the same time either succeeds before any subscriber is told
 *  so, or returns TR_ECLOSED and keeps its message. For everybody, for good. Threads: any.
 *  Progress: wait-free. */
TR_API void tr_broadcast_shutdown(tr_broadcast *broadcast);

/** Whether it was shut down; false if @p broadcast is invalid. It stays so. Threads: any.
 *  Progress: wait-free. Syscalls: none. */
TR_API bool tr_broadcast_is_closed(const tr_broadcast *broadcast);

/** How many messages a subscriber may be behind. Threads: any. */
TR_API uint32_t tr_broadcast_capacity(const tr_broadcast *broadcast);

/** How many living subscribers there are, about. Threads: any. Progress: wait-free. */
TR_API uint32_t tr_broadcast_subscribers(const tr_broadcast *broadcast);

/** Its name. Lives as long as the handle. Threads: any. */
TR_API const char *tr_broadcast_name(const tr_broadcast *broadcast);

/** The arena it is in. Threads: any. */
TR_API tr_arena *tr_broadcast_arena(const tr_broadcast *broadcast);

/**
 * Become a subscriber. The place belongs to this process: a forked child subscribes itself.
 * @param options  NULL for defaults
 * @return 0, TR_EINVAL, TR_ENOSPC (all places are taken by living processes), TR_ENOMEM,
 *         TR_EUSERS.
 * Owner:   the caller, until tr_subscription_close().
 * Threads: any. Progress: lock-free. Syscalls: none, or one that wakes publishers.
 * Crash:   the dead subscriber delays nobody, its place is taken by the next.
 */
TR_API TR_CHECK int tr_subscription_open(tr_broadcast *broadcast,
                                         const tr_subscription_options *options,
                                         tr_subscription **out);

/** Unsubscribe. Messages received before stay valid. NULL is allowed. Threads: one. */
TR_API void tr_subscription_close(tr_subscription *subscription);

/**
 * The next message, for reading: its tensors have TR_TENSOR_READ_ONLY, writing to them
 * faults. Threads that share a subscription share its messages out among them.
 *
 * @return 0, TR_EAGAIN (TR_NOWAIT and none is there), TR_ETIMEDOUT, TR_EINTR, TR_ELAGGED
 *         (tr_subscription_missed() tells how many; the next call goes on with the oldest
 *         that is left), TR_EEVICTED (unsubscribe), TR_EPINS (this process holds as many
 *         shared messages as the arena's option `pins` allows), TR_ECLOSED (closed, and
 *         nothing is left), TR_EFORK (subscribed before the fork), TR_ENOMEM, TR_EUSERS,
 *         TR_ECHECKSUM, TR_ECORRUPT.
 *
 * Owner:    the caller: tr_message_release() it.
 * Threads:  any. Progress: lock-free while there are messages, else blocks.
 * Syscalls: none while there are messages; one wakes a publisher that waits for this subscriber.
 * Crash:    what it held is free once the others have released it.
 */
TR_API TR_CHECK int tr_subscription_receive(tr_subscription *subscription,
                                            int64_t timeout_ns, tr_message **out);

/**
 * Wait for a subscription in a set, too: TR_WAIT_READABLE when tr_subscription_receive() would
 * return at once, TR_WAIT_HUNGUP when the broadcast is closed and nothing is left.
 * @param subscription  of this process and the set's arena; must outlive its membership
 * @return 0, TR_EINVAL, TR_EFORK, TR_ENOSPC (TR_MAX_WAITABLE), TR_ENOMEM.
 * Threads: any. Syscalls: one if somebody waits. Crash: as
 * tr_waitset_add_queue().
 */
TR_API TR_CHECK int tr_waitset_add_subscription(tr_waitset *set,
                                                tr_subscription *subscription,
                                                uint64_t token);

/**
 * Wait for room in a broadcast, in a set: TR_WAIT_WRITABLE when tr_broadcast_publish() would not
 * wait for a subscriber that blocks, TR_WAIT_HUNGUP when the broadcast is closed.
 * @param broadcast  of the set's arena; must outlive its membership
 * @return 0, TR_EINVAL, TR_ENOSPC (TR_MAX_WAITABLE), TR_ENOMEM, and what joining in a forked child
 *         returns.
 * Threads: any. Syscalls: one if somebody waits. Crash: as tr_waitset_add_queue().
 */
TR_API TR_CHECK int tr_waitset_add_broadcast(tr_waitset *set, tr_broadcast *broadcast,
                                             uint64_t token);

/**
 * tr_waitset_add_loan() for a message that is for @p broadcast, as tr_broadcast_loan(): also
 * TR_WAIT_HUNGUP, when it is shut down and no slot is free.
 * @param broadcast  of the set's arena; must outlive its membership
 * @return as tr_waitset_add_loan().
 * Threads, Progress, Syscalls, Crash: as tr_waitset_add_loan().
 */
TR_API TR_CHECK int tr_waitset_add_broadcast_loan(tr_waitset *set,
                                                  tr_broadcast *broadcast,
                                                  const tr_tensor_spec specs[], size_t n,
                                                  uint64_t token);

/** How many messages it has missed since it began. Threads: any. Progress: wait-free. */
TR_API uint64_t tr_subscription_missed(const tr_subscription *subscription);

TR_END_DECLS
#endif
