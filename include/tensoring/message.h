/* SPDX-License-Identifier: MIT */
/* message.h - what a slot carries: a header, 1..N tensors, their payloads.
 *
 *  loan - fill - send            (or release: the loan is aborted)
 *  receive - read - release      (or send it on: forwarded without a copy)
 *
 * A call that takes a message over does so only when it returns 0; else the caller still
 * has it. */
#ifndef TENSORING_MESSAGE_H
#define TENSORING_MESSAGE_H

#include <tensoring/arena.h>
#include <tensoring/tensor.h>

TR_BEGIN_DECLS

#define TR_USER_BYTES       64
#define TR_MAX_CONTENT_TYPE 63 /**< bytes of a free content type, without the 0 */

/** What the payload is, for programs that serialize. TR_CONTENT_OTHER has a string beside it. */
typedef enum tr_content {
    TR_CONTENT_TENSORS = 0, /**< raw arrays, described by their tensors */
    TR_CONTENT_OCTETS = 1,  /**< application/octet-stream */
    TR_CONTENT_TEXT = 2,    /**< text/plain; charset=utf-8 */
    TR_CONTENT_JSON = 3,    /**< application/json */
    TR_CONTENT_JSONL = 4,   /**< application/jsonlines */
    TR_CONTENT_CSV = 5,     /**< text/csv */
    TR_CONTENT_NPY = 6,     /**< application/x-npy */
    TR_CONTENT_NPZ = 7,     /**< application/x-npz */
    TR_CONTENT_PICKLE = 8,  /**< application/x-pickle, protocol 5 */
    TR_CONTENT_ARROW = 9,   /**< application/vnd.apache.arrow.stream */
    TR_CONTENT_LIBSVM = 10, /**< text/libsvm */
    TR_CONTENT_OTHER = 255
} tr_content;

/** The header of a message. Read it with tr_message_header_get(), change it with
 *  tr_message_header_set() before sending. */
typedef struct tr_header {
    uint32_t struct_size;    /**< sizeof(tr_header) of the caller */
    uint32_t content;        /**< tr_content */
    uint64_t sequence;       /**< position in its channel; set by sending */
    uint64_t correlation_id; /**< of a request and its reply */
    int64_t deadline_ns;     /**< CLOCK_MONOTONIC here, 0: none */
    int64_t published_ns;    /**< CLOCK_MONOTONIC here; 0 unless stamped */
    uint32_t deliveries;     /**< how often it was handed out before: 0 the first time */
    uint32_t sender;         /**< participant that sent it */
    uint32_t crc32c;         /**< of all payloads in order; see has_crc */
    uint32_t has_crc;
    uint8_t user[TR_USER_BYTES];
    char content_type[TR_MAX_CONTENT_TYPE + 1]; /**< of TR_CONTENT_OTHER; "" else */
    uint64_t last_receiver; /**< pid of the process that died with it in hand; 0 if
                                 deliveries is 0. For reports: a reaper that was stopped for
                                 long can leave an older one's */
} tr_header;
TR_ASSERT_SIZE(tr_header, 192);
#define TR_HEADER_INIT TR_RESULT_INIT(tr_header)

/**
 * Take a free slot for @p n tensors. Fill their payloads in place through
 * tr_message_tensor()->data, or by tr_tensor_fill(). No two of them have the same name; with
 * @p n 0 the message is its header alone.
 *
 * @return 0, TR_EINVAL, TR_EOVERFLOW, TR_EMSGSIZE (the detail names the size needed, and the
 *         largest class or the limit of an elastic arena), TR_EAGAIN or TR_ETIMEDOUT
 *         (the detail names the holders),
 *         TR_EINTR, TR_ENOSPC (lazy arena and no memory; beyond the limit of an
 *         elastic one a loan waits), TR_ENOMEM, TR_EUSERS, TR_ECORRUPT.
 *
 * Owner:    the caller: send, publish, put or tr_message_release() it.
 * Threads:  any. Progress: lock-free while a slot is free, else blocks up to the timeout.
 * Syscalls: none while a slot is free that has its memory; in a lazy arena some for that memory,
 *           and now and then some dozens that ask how much the machine has left.
 * Crash:    reap frees the slot.
 */
TR_API TR_CHECK int tr_message_loan(tr_arena *arena, const tr_tensor_spec specs[],
                                    size_t n, int64_t timeout_ns, tr_message **out);

/** A loan of one byte array: content TR_CONTENT_OCTETS, one tensor of uint8[nbytes].
 *  @return as tr_message_loan(). Owner, Threads, Progress, Syscalls, Crash: as
 *  tr_message_loan(). */
TR_API TR_CHECK int tr_message_loan_bytes(tr_arena *arena, uint64_t nbytes,
                                          int64_t timeout_ns, tr_message **out);

/** Give a message back: a loan is aborted, a received slot is free once nobody else reads
 *  it. NULL is allowed.
 *  @return 0; TR_EINVAL (it was sent or released before, or its arena was closed) and
 *          TR_EFORK (taken by the parent, before the fork): nothing was done, to nobody.
 *  Owner: nobody. Threads: one. Progress: lock-free. Syscalls: none unless somebody waits for
 *  a slot; in an elastic arena some, where free slots have all the memory that they may keep.
 *  Crash: freed, or reap frees it. */
TR_API int tr_message_release(tr_message *message);

/** How many tensors. Threads: one. */
TR_API size_t tr_message_count(const tr_message *message);

/** Tensor @p i, or NULL if there is none. The pointer is valid as long as the handle.
 *  Threads: one. */
TR_API const tr_tensor *tr_message_tensor(const tr_message *message, size_t i);

/** The tensor of that name, or NULL. Threads: one. */
TR_API const tr_tensor *tr_message_find(const tr_message *message, const char *name);

/** The arena that the message lies in. Threads: one. */
TR_API tr_arena *tr_message_arena(const tr_message *message);

/** Copy the header out.
 *  @return 0, TR_EINVAL (struct_size). Threads: one. Syscalls: none. */
TR_API TR_CHECK int tr_message_header_get(const tr_message *message, tr_header *header);

/** Change content type, correlation id, deadline and user bytes of a message that this
 *  process owns (loaned, or received from a queue); the other fields are ignored.
 *  @return 0, TR_EINVAL (read-only message, or an unterminated content type), TR_EFORK,
 *          TR_EABANDONED (as tr_arena_reap()).
 *  Threads: one. Syscalls: none. */
TR_API TR_CHECK int tr_message_header_set(tr_message *message, const tr_header *header);

/** Where a message was sent first, if a bridge (bridge.h) has carried it from there. */
typedef struct tr_origin {
    uint32_t struct_size; /**< sizeof(tr_origin) of the caller */
    uint32_t reserved;    /**< 0 */
    uint64_t source;      /**< the queue of that arena: a random number, not 0 */
    uint64_t number;      /**< its sequence in that queue */
} tr_origin;
TR_ASSERT_SIZE(tr_origin, 24);
#define TR_ORIGIN_INIT TR_RESULT_INIT(tr_origin)

/** The origin of a message that a bridge has carried here through a queue or a service. Two
 *  messages with one origin are the same message: it came twice, as it may if the bridge that
 *  receives is killed, or if requests are sent again after a cut. The bridge on the other side
 *  says what it is. A message that is sent on, in this arena or over further bridges, keeps it.
 *  @return 0, TR_ENOENT (it was sent in this arena), TR_EINVAL (struct_size).
 *  Threads: one. Syscalls: none. */
TR_API TR_CHECK int tr_message_origin_get(const tr_message *message, tr_origin *origin);

/** Say what the origin of a message is, for programs that carry messages between arenas. As
 *  tr_message_header_set(), of a message that this process owns. tr_request_reuse() and
 *  tr_request_fail() remove it.
 *  @return 0, TR_EINVAL (read-only message, or the source is 0), TR_EFORK, TR_EABANDONED (as
 *          tr_arena_reap()).
 *  Threads: one. Syscalls: none. */
TR_API TR_CHECK int tr_message_origin_set(tr_message *message, const tr_origin *origin);

/** Compute CRC32C (RFC 3720, appendix B.4) over the payloads and keep it in the header.
 *  @return 0, TR_EINVAL (read-only), TR_EFORK, TR_EABANDONED (as tr_arena_reap()).
 *  Threads: one. Syscalls: none. */
TR_API TR_CHECK int tr_message_seal(tr_message *message);

/** Compare the payloads with the checksum in the header.
 *  @return 0 (also if there is none), TR_ECHECKSUM (the detail gives both).
 *  Threads: one. Syscalls: none. */
TR_API TR_CHECK int tr_message_verify(const tr_message *message);

TR_END_DECLS
#endif
