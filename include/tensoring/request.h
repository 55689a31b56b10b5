/* SPDX-License-Identifier: MIT */
/* request.h - ask over a queue, and get the answer.
 *
 *  client: loan - fill - tr_request_call (or tr_request_send - tr_request_wait) - read - release
 *  server: tr_queue_receive - read - tr_request_reply (or tr_request_fail)
 *
 * Many clients, many servers, one queue. Each request ends in exactly one way: a reply, an
 * error, TR_EPEERDIED, TR_ETIMEDOUT at its deadline, or tr_request_cancel(). A reply that comes
 * after that is dropped, never taken for another reply, and keeps no memory. */
#ifndef TENSORING_REQUEST_H
#define TENSORING_REQUEST_H

#include <tensoring/waitset.h>

TR_BEGIN_DECLS

#define TR_MAX_REQUESTS   1024 /**< in flight from one process */
#define TR_MAX_ERROR_TEXT 511  /**< bytes of a server's error, without the 0 */

/**
 * Send @p message and wait for the reply. Servers see in header.deadline_ns, and by
 * tr_request_remaining_ns(), how much of @p timeout_ns is left.
 *
 * @param message     as for tr_queue_send()
 * @param timeout_ns  for all of it: room in the queue, service, reply
 * @param reply       the answer; it may be the request's own slot. NULL unless 0 is returned
 * @return 0, TR_ETIMEDOUT or TR_EAGAIN (the detail tells how many serve, which process has the
 *         request in hand, and what it does), TR_EINTR,
 *         TR_EREMOTE (the server's error: tr_error_remote_code(), and the detail is its text),
 *         TR_EPEERDIED (a server died with it and it will not be redelivered), TR_ECLOSED,
 *         TR_EINVAL, TR_EFORK, TR_ENOSPC (TR_MAX_REQUESTS are in flight, or no room for
 *         another channel), TR_ENOMEM, TR_EUSERS, TR_ECHECKSUM, TR_ECORRUPT.
 *
 * Owner:    @p message is taken, whatever is returned, except for TR_EINVAL, TR_EFORK,
 *           TR_ECLOSED, TR_ENOSPC, TR_ENOMEM and TR_EUSERS; then it still is the caller's.
 *           The reply is the caller's: tr_message_release() it, or send it on.
 * Threads:  any; no other thread may be using @p message.
 * Progress: blocks up to the timeout. Syscalls: as sending and receiving.
 * Crash:    a request that nobody has received is still served; its reply is dropped.
 *           One that is in a queue that was shut down is served by a process that drains that
 *           queue.
 */
TR_API TR_CHECK int tr_request_call(tr_queue *queue, tr_message *message,
                                    int64_t timeout_ns, tr_message **reply);

#define TR_REQUEST_BY_TICKET (1u << 0) /**< tr_request_next() does not tell of its end */

/**
 * Send a request and go on. End it by tr_request_wait(), tr_request_next() or
 * tr_request_cancel(). At its deadline it ends by itself: the first two then say TR_ETIMEDOUT.
 * @param room_ns     how long this call waits for room
 * @param timeout_ns  from now to the deadline. TR_FOREVER: none
 * @param flags       0, or TR_REQUEST_BY_TICKET: the end is for tr_request_wait() alone, in
 *                    whichever thread it arrives; for processes in which some threads wait by
 *                    ticket and others take what comes next
 * @param ticket      stands for the request, in this process
 * @return 0, TR_EAGAIN, TR_ETIMEDOUT, TR_EINTR, TR_ECLOSED, TR_EINVAL, TR_EFORK, TR_ENOSPC,
 *         TR_ENOMEM, TR_EUSERS.
 * Owner: the queue on 0; on any error nothing has changed hands. Threads: any.
 * Progress: as tr_queue_send(). Syscalls: as tr_queue_send(). Crash: as tr_request_call().
 */
TR_API TR_CHECK int tr_request_send(tr_queue *queue, tr_message *message, int64_t room_ns,
                                    int64_t timeout_ns, uint32_t flags, uint64_t *ticket);

/**
 * The reply to one request.
 * @return 0, TR_EAGAIN, TR_EINTR (in these two cases the ticket stays valid), TR_ETIMEDOUT (it
 *         stays valid if @p timeout_ns is over; it has ended if the request's deadline has come;
 *         the detail says which, and which process has the request), TR_EREMOTE, TR_EPEERDIED,
 *         TR_EINVAL (no such ticket: it has ended), TR_ECHECKSUM, TR_ECORRUPT, TR_ENOMEM,
 *         TR_EUSERS, TR_ENOSPC.
 * Owner: the caller. Threads: any. Progress: blocks up to the timeout.
 * Syscalls: none if it is there. Crash: as tr_request_call().
 */
TR_API TR_CHECK int tr_request_wait(tr_arena *arena, uint64_t ticket, int64_t timeout_ns,
                                    tr_message **reply);

/**
 * The next end of any asynchronous request of this process, for event loops; not of those
 * begun with TR_REQUEST_BY_TICKET.
 * @param ticket  which one it was; 0: none has ended
 * @return 0, TR_EREMOTE, TR_EPEERDIED, TR_ETIMEDOUT with a ticket (its deadline has come, no
 *         reply), TR_ETIMEDOUT without one (@p timeout_ns is over), TR_EAGAIN, TR_EINTR,
 *         TR_ECHECKSUM, TR_ECORRUPT, TR_ENOMEM, TR_EUSERS, TR_ENOSPC.
 * Owner: the caller. Threads: any. Progress: blocks up to the timeout.
 * Syscalls: none if one is there. Crash: as tr_request_call().
 */
TR_API TR_CHECK int tr_request_next(tr_arena *arena, int64_t timeout_ns, uint64_t *ticket,
                                    tr_message **reply);

/**
 * Wait for replies in a set, too: TR_WAIT_READABLE when tr_request_next() may have something, also
 * when a deadline has come. In a forked child the set waits for the replies to the child's own
 * requests; calls on the set may return TR_ENOSPC and TR_ENOMEM there, if no inbox can be made.
 * @return 0, TR_EINVAL, TR_ENOSPC, TR_ENOMEM, TR_EUSERS.
 * Threads: any. Syscalls: one if somebody waits. Crash: as
 * tr_waitset_add_queue().
 */
TR_API TR_CHECK int tr_waitset_add_replies(tr_waitset *set, uint64_t token);

/**
 * Give a request up. If nobody has it in hand it is taken back; else its reply is dropped.
 * @return 0, TR_EINVAL (no such ticket: it has ended).
 * Threads: any. Progress: lock-free. Syscalls: none if nobody sleeps. Crash: a reply
 * that lies there is freed by the reap.
 */
TR_API TR_CHECK int tr_request_cancel(tr_arena *arena, uint64_t ticket);

/** Whether somebody waits for a reply to this message, which was received from a queue. If
 *  it is released instead, the requester gets TR_EREMOTE with TR_ECANCELED.
 *  Threads: one. Syscalls: none. */
TR_API bool tr_message_is_request(const tr_message *message);

/** How long the requester still waits, in ns: TR_FOREVER, or 0 if it no longer does.
 *  Threads: one. Syscalls: none. */
TR_API int64_t tr_request_remaining_ns(const tr_message *message);

/**
 * Give the slot of a request other tensors, to be filled with the reply; what they held is
 * lost. From here on it will not be redelivered if this process dies.
 * @return 0, TR_EINVAL (not a request), TR_EMSGSIZE (the slot is too small: loan another
 *         message), TR_ENOSPC (elastic arena: no memory for them within its limit, or at
 *         all), TR_EOVERFLOW, TR_ENAMETOOLONG, TR_EFORK, TR_ENOMEM, TR_ECORRUPT. On
 *         TR_EMSGSIZE and TR_ENOSPC the tensors stay as they were.
 * Owner: the caller. Threads: one. Progress: wait-free; lock-free where an elastic arena has to
 * find memory. Syscalls: none, except for that memory. Crash: the requester gets TR_EPEERDIED.
 */
TR_API TR_CHECK int tr_request_reuse(tr_message *request, const tr_tensor_spec specs[],
                                     size_t n);

/**
 * Answer.
 * @param request  received from a queue
 * @param reply    loaned, or received and now passed on; of the same arena. NULL or
 *                 @p request: the request itself goes back, with what was written into it. A
 *                 server that writes into a request without tr_request_reuse() should serve a
 *                 queue of policy TR_QUEUE_DROP: a second server would get what was written.
 * @return 0 (also if the requester is dead, has given up, or its deadline has come: the reply is
 *         dropped), TR_EINVAL (not a request; or @p reply is a request itself),
 *         TR_EFORK, TR_ECORRUPT, TR_EUSERS.
 * Owner:    both are gone on 0; on any error nothing has changed hands.
 * Threads:  any. Progress: lock-free. Syscalls: none if the requester is not asleep.
 * Crash:    the reply is there or not; in the second case the policy of the queue decides.
 */
TR_API TR_CHECK int tr_request_reply(tr_message *request, tr_message *reply);

/**
 * Answer with an error: the requester gets TR_EREMOTE, @p code and @p text.
 * @param code  not 0; of the caller's choice
 * @param text  UTF-8; what does not fit in the request's slot, or in TR_MAX_ERROR_TEXT bytes,
 *              is cut off; all of it, where an elastic arena has no memory for it
 * @return 0, TR_EINVAL, TR_EFORK, TR_ECORRUPT, TR_EUSERS.
 * Owner: the request is gone on 0. Threads, Progress, Syscalls, Crash: as tr_request_reply().
 */
TR_API TR_CHECK int tr_request_fail(tr_message *request, int32_t code, const char *text);

/** The code of the server's error, after TR_EREMOTE in this thread. Threads: any. */
TR_API int32_t tr_error_remote_code(void);

TR_END_DECLS
#endif
