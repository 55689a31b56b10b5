/* SPDX-License-Identifier: MIT */
/* queue.h - a bounded first-in-first-out channel: each message goes to one receiver.
 *
 * Any number of senders and receivers in any number of processes. The first to open a name
 * makes the queue, later ones get the same. Queues live as long as their arena. */
#ifndef TENSORING_QUEUE_H
#define TENSORING_QUEUE_H

#include <tensoring/message.h>

TR_BEGIN_DECLS

#define TR_MAX_CHANNEL_NAME 63 /**< bytes, without the 0: UTF-8, no control characters */
#define TR_MAX_CAPACITY     65536 /**< messages in one queue */

/** What becomes of a message whose receiver died with it. */
typedef enum tr_queue_policy {
    TR_QUEUE_REDELIVER = 0, /**< another receiver gets it, max_deliveries times in all */
    TR_QUEUE_DROP = 1       /**< it is given up, and counted; a requester is told */
} tr_queue_policy;

/** Start from TR_QUEUE_OPTIONS_INIT. Opening an existing queue gets its options;
 *  a capacity or policy that differs is TR_EINVAL unless it is 0 or the default. */
typedef struct tr_queue_options {
    uint32_t struct_size;
    uint32_t capacity;       /**< 1 to TR_MAX_CAPACITY; 0: 256, or what the queue has */
    uint32_t policy;         /**< tr_queue_policy */
    uint32_t max_deliveries; /**< 1 to 255; default 3 */
    uint32_t stamp; /**< 1: sending takes the time (20 ns) for header.published_ns */
    /** 1: the queue counts how long its messages wait, how long requests are served, and sizes of
     *  batches (histogram.h). Its messages are stamped; each receive, and each answer to a request,
     *  takes the time as well. 4 KiB of the arena's ring_bytes. */
    uint32_t histograms;
} tr_queue_options;
TR_ASSERT_SIZE(tr_queue_options, 24);
/* clang-format off */
#define TR_QUEUE_OPTIONS_INIT {sizeof(tr_queue_options), 0, TR_QUEUE_REDELIVER, 3, 0, 0}
/* clang-format on */

/**
 * Open the queue @p name, making it if it is not there.
 * @param options  NULL for defaults
 * @return 0, TR_EINVAL, TR_ENAMETOOLONG, TR_ENOSPC (no room for another channel or its
 *         ring; the detail says which option to raise), TR_EAGAIN (its maker is stopped),
 *         TR_ENOMEM, TR_ECORRUPT.
 * Owner:   the caller, until tr_queue_close().
 * Threads: any. Syscalls: none. Crash: a half-made queue is finished by the next process that
 * opens it.
 */
TR_API TR_CHECK int tr_queue_open(tr_arena *arena, const char *name,
                                  const tr_queue_options *options, tr_queue **out);

/** Free the handle; the queue stays. NULL is allowed. Threads: one. */
TR_API void tr_queue_close(tr_queue *queue);

/**
 * Loan a message that is for this queue: as tr_message_loan(), but a wait for a free slot ends
 * when the queue is shut down. Where a slot is free it is loaned, shut down or not.
 * @return as tr_message_loan(), and TR_ECLOSED (shut down, and no slot is free).
 * Owner: the caller. Threads: any. Progress: lock-free while there is a free slot, else blocks.
 * Syscalls: as tr_message_loan(). Crash: as tr_message_loan().
 */
TR_API TR_CHECK int tr_queue_loan(tr_queue *queue, const tr_tensor_spec specs[], size_t n,
                                  int64_t timeout_ns, tr_message **out);

/**
 * Hand @p message to @p queue: one receiver gets it, once. All that was written to the message
 * before this call is visible to that receiver (edge E1 in docs/explanation/memory-model.md).
 *
 * @param message     loaned, or received and now forwarded without a copy; of the queue's
 *                    own arena
 * @param timeout_ns  how long to wait for room
 * @return 0, TR_EAGAIN (TR_NOWAIT and full), TR_ETIMEDOUT (the detail tells which processes
 *         receive from the queue, and what they have in hand), TR_EINTR, TR_ECLOSED, TR_EINVAL
 *         (another arena, or a shared message), TR_EFORK, TR_ECORRUPT
 *
 * Owner:    the queue on 0; on any error nothing has changed hands.
 * Threads:  any; no other thread may be using @p message.
 * Progress: lock-free when there is room, else blocks up to the timeout.
 * Syscalls: none when there is room and nobody sleeps; one wake if somebody does; some for
 *           the detail of TR_ETIMEDOUT.
 * Crash:    killed inside, the message is delivered whole or not at all: reap finishes a send
 *           that had begun, and frees the slot of one that had not.
 */
TR_API TR_CHECK int tr_queue_send(tr_queue *queue, tr_message *message,
                                  int64_t timeout_ns);

/**
 * Take the oldest message.
 *
 * @return 0, TR_EAGAIN (TR_NOWAIT and empty), TR_ETIMEDOUT, TR_EINTR, TR_ECLOSED (closed and
 *         empty), TR_ENOMEM, TR_EUSERS, TR_ECORRUPT or TR_ECHECKSUM (what came
 *         is corrupted: it is freed, if it is a request its requester gets TR_EREMOTE; the
 *         queue goes on).
 *
 * Owner:    the caller: tr_message_release() it, or send it on.
 * Threads:  any. Progress: lock-free while there are messages, else blocks.
 * Syscalls: none while there are messages.
 * Crash:    the queue's policy decides: redelivered, or dropped and counted.
 */
TR_API TR_CHECK int tr_queue_receive(tr_queue *queue, int64_t timeout_ns,
                                     tr_message **out);

/** No more messages: senders get TR_ECLOSED, receivers drain what is there and then get it
 *  too. A send that runs at the same time either succeeds, and its message is received before
 *  anybody is told "closed and empty", or returns TR_ECLOSED and keeps its message. Only a
 *  message that a receiver held when it died may come after that. For everybody, for good.
 *  Threads: any. Progress: wait-free. */
TR_API void tr_queue_shutdown(tr_queue *queue);

/** Whether it was shut down; false if @p queue is invalid. It stays so. Threads: any.
 *  Progress: wait-free. Syscalls: none. */
TR_API bool tr_queue_is_closed(const tr_queue *queue);

/** How many places of the queue are taken, about: messages, and requests that were given up, whose
 *  places are free when receivers or senders come to them. Messages that a dead receiver held are
 *  not in it: tr_stats_channels() counts exactly. Threads: any. Progress: wait-free. */
TR_API uint64_t tr_queue_depth(const tr_queue *queue);

/** How many processes that live receive from it: those that have called tr_queue_receive(), or
 *  put it into a wait set for TR_WAIT_READABLE, since they joined. 0: nobody serves it now.
 *  Threads: any. Progress: wait-free. Syscalls: a few for each of them. Crash: a process that has
 *  died does not count, whether or not somebody has reaped. */
TR_API uint32_t tr_queue_receivers(const tr_queue *queue);

/** How many it can hold. Threads: any. */
TR_API uint32_t tr_queue_capacity(const tr_queue *queue);

/** What the queue is, as its maker said: capacity, policy, max_deliveries, stamp.
 *  @return 0, TR_EINVAL (struct_size). Threads: any. Syscalls: none. */
TR_API TR_CHECK int tr_queue_options_get(const tr_queue *queue,
                                         tr_queue_options *options);

/** Its name. Lives as long as the handle. Threads: any. */
TR_API const char *tr_queue_name(const tr_queue *queue);

/** The arena it is in. Threads: any. */
TR_API tr_arena *tr_queue_arena(const tr_queue *queue);

TR_END_DECLS
#endif
