/* SPDX-License-Identifier: MIT */
/* waitset.h - wait for many channels at once, or in another event loop.
 *
 *  open - add what to wait for - wait - take what is there - wait ... - close
 *
 * Readiness is level-triggered: what is ready is told again as long as it is. It is a hint
 * where others receive from the same queue: they may be faster, so receive with TR_NOWAIT.
 *
 * In an event loop (epoll, poll, libuv, asyncio) watch tr_waitset_fd() for reading, and
 * when it is readable:
 *
 *     while (tr_waitset_wait(set, events, 16, TR_NOWAIT, &n) == 0)
 *         for (size_t i = 0; i < n; i++)
 *             take(events[i].token);   // receive with TR_NOWAIT
 *
 * The last call, which finds nothing, arms the descriptor; it stays readable until then. */
#ifndef TENSORING_WAITSET_H
#define TENSORING_WAITSET_H

#include <tensoring/queue.h>

TR_BEGIN_DECLS

#define TR_MAX_WAITABLE 4096 /**< things in one set */

typedef struct tr_waitset tr_waitset; /**< Threads: any */

enum {
    TR_WAIT_READABLE = 1u << 0, /**< a message is there (a descriptor: POLLIN) */
    TR_WAIT_WRITABLE = 1u << 1, /**< there is room (a descriptor: POLLOUT) */
    TR_WAIT_HUNGUP = 1u << 2    /**< closed; told whether asked for or not */
};

/** One thing that is ready. */
typedef struct tr_event {
    uint64_t token; /**< as given when it was added */
    uint32_t ready; /**< TR_WAIT_READABLE, ... */
    uint32_t reserved;
} tr_event;
TR_ASSERT_SIZE(tr_event, 16);

/**
 * Make an empty set for channels of @p arena.
 * @return 0, TR_EINVAL, TR_ENOMEM, and what joining in a forked child returns: TR_EUSERS,
 *         TR_ENFILE.
 * Owner: the caller, until tr_waitset_close().
 * Threads: any. Syscalls: none. Crash: nothing is shared.
 */
TR_API TR_CHECK int tr_waitset_open(tr_arena *arena, tr_waitset **out);

/** Free the set and close its descriptor; no thread may be waiting. NULL is allowed.
 *  Threads: one. */
TR_API void tr_waitset_close(tr_waitset *set);

/**
 * Wait for a queue, too. Both readiness kinds may be asked for: each gives its own event.
 * Threads that are waiting notice it.
 *
 * @param queue  of the set's arena; must outlive its membership
 * @param want   TR_WAIT_READABLE, TR_WAIT_WRITABLE, or both
 * @param token  comes back in the events, and removes
 * @return 0, TR_EINVAL, TR_ENOSPC (TR_MAX_WAITABLE), TR_ENOMEM.
 * Threads: any. Syscalls: one if somebody waits. Crash: reap removes this process from
 * the listeners.
 */
TR_API TR_CHECK int tr_waitset_add_queue(tr_waitset *set, tr_queue *queue, uint32_t want,
                                         uint64_t token);

/**
 * Wait for a free slot, too: TR_WAIT_WRITABLE when tr_message_loan() of the same tensors would find
 * one with TR_NOWAIT; in an elastic arena a slot and the memory for it. So a full arena needs no
 * thread that waits in a loan, and no timer. Messages that a broadcast may give up count as free;
 * none is given up before the loan.
 *
 * One slot that becomes free wakes one of the processes that wait, in a set or in a loan. The one
 * that is told loans, or removes the member, and then another one is told. Of several members of
 * one set that wait for the same slots all are told. Keep this member in the set only while you
 * want a slot: it is ready most of the time.
 *
 * @param specs  as for tr_message_loan(); they need not outlive this call
 * @param token  comes back in the events, and removes
 * @return 0, TR_EINVAL, TR_EOVERFLOW, TR_ENAMETOOLONG, TR_EMSGSIZE (no slot of this arena can ever
 *         have them), TR_ENOSPC (TR_MAX_WAITABLE), TR_ENOMEM, and what joining in a forked child
 *         returns.
 * Threads:  any.
 * Progress: lock-free; each look of a wait checks the slots of one class, in an elastic arena those
 *           of all classes.
 * Syscalls: one if somebody waits. Crash: reap removes this process from the listeners, and wakes
 * those that wait for what the dead one had.
 */
TR_API TR_CHECK int tr_waitset_add_loan(tr_waitset *set, const tr_tensor_spec specs[],
                                        size_t n, uint64_t token);

/**
 * The same for a message that is for @p queue, as tr_queue_loan(): also TR_WAIT_HUNGUP, when the
 * queue is shut down and no slot is free.
 * @param queue  of the set's arena; must outlive its membership
 * @return as tr_waitset_add_loan().
 * Threads, Progress, Syscalls, Crash: as tr_waitset_add_loan().
 */
TR_API TR_CHECK int tr_waitset_add_queue_loan(tr_waitset *set, tr_queue *queue,
                                              const tr_tensor_spec specs[], size_t n,
                                              uint64_t token);

/**
 * Wait for a descriptor, too: a socket, a pipe, a pidfd. It is not taken over and must stay
 * open until it is removed. A set with descriptors waits by epoll.
 *
 * @param want  TR_WAIT_READABLE, TR_WAIT_WRITABLE, or both
 * @return 0, TR_EINVAL, TR_EPERM (of a kind that epoll can't wait for), TR_EEXIST,
 *         TR_ENOSPC, TR_ENOMEM, and as tr_waitset_fd().
 * Threads: any. Syscalls: some. Crash: nothing is shared.
 */
TR_API TR_CHECK int tr_waitset_add_fd(tr_waitset *set, int fd, uint32_t want,
                                      uint64_t token);

/**
 * Take out everything that was added with @p token. When it returns, no other thread uses
 * the channel through this set.
 * @return 0, TR_ENOENT.
 * Threads: any. Syscalls: one if somebody waits. Crash: as tr_waitset_add_queue().
 */
TR_API TR_CHECK int tr_waitset_remove(tr_waitset *set, uint64_t token);

/**
 * Wait until something is ready. If more is ready than there is room for, the rest comes
 * first next time.
 *
 * @param events    room for @p capacity events, at least 1
 * @param count     how many there are: 0 unless the call returns 0
 * @return 0, TR_EAGAIN (TR_NOWAIT and nothing is ready; the descriptor is armed),
 *         TR_ETIMEDOUT, TR_EINTR, TR_EINVAL, and what joining in a forked child returns.
 * Threads:  any, also on one set: each event may go to several.
 * Progress: blocks up to the timeout.
 * Syscalls: none if something is ready; else one to sleep.
 * Crash:    the others go on; a thread that relied on the lost wake-up notices within 2 s.
 */
TR_API TR_CHECK int tr_waitset_wait(tr_waitset *set, tr_event *events, size_t capacity,
                                    int64_t timeout_ns, size_t *count);

/**
 * The descriptor that becomes readable when something may be ready, for poll, epoll and
 * event loops; now and then (after 250 ms to 2 s) also when nothing is. Don't read from it. In a
 * forked child the set lives on, but ask for the descriptor again there.
 *
 * Behind it is an eventfd made before the fork (tr_arena_options.eventfds), an io_uring or
 * a FIFO in /dev/shm: the first that works, or what TENSORING_NOTIFY=eventfd|uring|fifo
 * demands. See docs/explanation/waiting.md.
 *
 * @return 0, TR_EINVAL (TENSORING_NOTIFY), TR_ENOTSUP (what it demands does not work here),
 *         TR_ENFILE, TR_ENOMEM, TR_EIO.
 * Owner: the set. Threads: any. Syscalls: a dozen the first time. Crash: a FIFO is removed
 * by reap.
 */
TR_API TR_CHECK int tr_waitset_fd(tr_waitset *set, int *fd);

/** What is behind the descriptor: "eventfd", "uring", "fifo", or "none" if there is no
 *  descriptor. Static. Threads: any. */
TR_API const char *tr_waitset_backend(tr_waitset *set);

TR_END_DECLS
#endif
