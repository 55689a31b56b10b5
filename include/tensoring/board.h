/* SPDX-License-Identifier: MIT */
/* board.h - the newest message of each key.
 *
 * A put replaces what was there at once, for everybody. A get is a view of one version: it
 * stays as it is while it is held, whatever is put meanwhile. Readers never keep a writer
 * waiting, writers never a reader. header.sequence of what a get returns is the version,
 * header.published_ns when it was put. */
#ifndef TENSORING_BOARD_H
#define TENSORING_BOARD_H

#include <tensoring/waitset.h>

TR_BEGIN_DECLS

#define TR_MAX_KEY_BYTES     255 /**< bytes, without the 0: UTF-8, no control characters */
#define TR_MAX_KEYS          (1u << 20) /**< of one board */
#define TR_BOARD_ANY_VERSION UINT64_MAX /**< for deletes of any version */
/** Of a key that was never put; versions begin at 1. */
#define TR_BOARD_NO_VERSION UINT64_C(0)

typedef struct tr_board tr_board;             /**< many keys. Threads: any */
typedef struct tr_board_watch tr_board_watch; /**< follows one key. Threads: any */

/** Start from TR_BOARD_OPTIONS_INIT. Opening an existing board gets its options. */
typedef struct tr_board_options {
    uint32_t struct_size;
    /** Keys; each that is ever used counts. Rounded up to a power of 2; each takes 384 bytes of the
     *  arena's ring_bytes. Default 0: 1024, or what the board has. */
    uint32_t capacity;
} tr_board_options;
TR_ASSERT_SIZE(tr_board_options, 8);
/* clang-format off */
#define TR_BOARD_OPTIONS_INIT {sizeof(tr_board_options), 0}
/* clang-format on */

/**
 * Open the board @p name, making it if it is not there.
 * @param options  NULL for defaults
 * @return 0, TR_EINVAL, TR_ENAMETOOLONG, TR_ENOSPC (no room for another channel or its
 *         table; the detail says which option to raise), TR_EAGAIN (its maker is stopped),
 *         TR_ENOMEM, TR_EUSERS, TR_ECORRUPT.
 * Owner:   the caller, until tr_board_close().
 * Threads: any. Syscalls: none. Crash: half-made, it is finished by the next process that opens it.
 */
TR_API TR_CHECK int tr_board_open(tr_arena *arena, const char *name,
                                  const tr_board_options *options, tr_board **out);

/** Free the handle; the board stays. NULL is allowed. Threads: one. */
TR_API void tr_board_close(tr_board *board);

/**
 * Make @p message the value of @p key. All that was written to it before is visible to those
 * that get it (edge E11 in docs/explanation/memory-model.md).
 *
 * @param key      1 to TR_MAX_KEY_BYTES bytes
 * @param message  loaned, or received from a queue and now forwarded without a copy; of the
 *                 board's own arena
 * @param version  what it has become; may be NULL
 * @return 0, TR_EINVAL (the key, another arena, or a message that is shared already),
 *         TR_ENAMETOOLONG, TR_ENOSPC (a new key, and the board is full), TR_EFORK,
 *         TR_EUSERS.
 *
 * Owner:    the board on 0; on any error nothing has changed hands.
 * Threads:  any; no other thread may be using @p message.
 * Progress: lock-free. Syscalls: none when nobody sleeps.
 * Crash:    killed inside, the old value or the new one is there; in the first case reap
 *           frees the slot, or hands a forwarded one on by the policy of its queue.
 */
TR_API TR_CHECK int tr_board_put(tr_board *board, const char *key, tr_message *message,
                                 uint64_t *version);

/**
 * The same, if the key still has @p expected, which tr_board_get() or tr_board_version()
 * told; TR_BOARD_NO_VERSION: if it was never put.
 * @param version  what it has become, or on TR_ESTALE what it is; may be NULL
 * @return 0, TR_ESTALE, and as tr_board_put().
 * Owner, Threads, Progress, Syscalls, Crash: as tr_board_put().
 */
TR_API TR_CHECK int tr_board_put_if(tr_board *board, const char *key, tr_message *message,
                                    uint64_t expected, uint64_t *version);

/**
 * The value of @p key, for reading: its tensors have TR_TENSOR_READ_ONLY, writing to them
 * faults.
 * @param version  of the value, or on TR_ENOENT of its deletion; may be NULL
 * @return 0, TR_ENOENT, TR_EINVAL, TR_ENAMETOOLONG, TR_EPINS (this process holds as many
 *         shared messages as the arena's option `pins` allows), TR_ENOMEM, TR_EUSERS,
 *         TR_ECHECKSUM, TR_ECORRUPT.
 *
 * Owner:    the caller: tr_message_release() it.
 * Threads:  any. Progress: lock-free. Syscalls: none.
 * Crash:    what it held is free once the others have released it.
 */
TR_API TR_CHECK int tr_board_get(tr_board *board, const char *key, tr_message **out,
                                 uint64_t *version);

/**
 * The values of @p n keys as they were at one instant: no put came between them.
 * @param out       n handles, NULL where a key has no value
 * @param versions  of each; may be NULL
 * @return 0, TR_EAGAIN (writers were faster a thousand times), TR_ENOSPC (a key that is new
 *         counts as used, and the board is full), and as tr_board_get() but TR_ENOENT. On
 *         error nothing is held.
 * Owner: as tr_board_get(). Threads: any. Progress: obstruction-free, and bounded.
 * Syscalls: none; over 64 keys those of malloc(). Crash: as tr_board_get().
 */
TR_API TR_CHECK int tr_board_get_many(tr_board *board, const char *const keys[], size_t n,
                                      tr_message *out[], uint64_t versions[]);

/**
 * Wait until @p key has a value that is newer than @p newer_than, and get it. The key need
 * not be there yet; it then counts as used.
 * @return as tr_board_get() but TR_ENOENT; TR_EAGAIN (TR_NOWAIT), TR_ETIMEDOUT, TR_EINTR,
 *         TR_ENOSPC (a new key, and the board is full).
 * Owner: as tr_board_get(). Threads: any. Progress: blocks up to the timeout.
 * Syscalls: none if it is there. Crash: as tr_board_get().
 */
TR_API TR_CHECK int tr_board_wait(tr_board *board, const char *key, uint64_t newer_than,
                                  int64_t timeout_ns, tr_message **out,
                                  uint64_t *version);

/**
 * Follow @p key: each version that is newer than the last one got, the newest first.
 * @param newer_than  the version to begin after; TR_BOARD_NO_VERSION: also what is there now
 * @return 0, TR_EINVAL, TR_ENAMETOOLONG, TR_ENOSPC (a new key, and the board is full),
 *         TR_ENOMEM, TR_EUSERS.
 * Owner: the caller, until tr_board_watch_close(). Threads: any.
 * Syscalls: none. Crash: nothing is shared.
 */
TR_API TR_CHECK int tr_board_watch_open(tr_board *board, const char *key,
                                        uint64_t newer_than, tr_board_watch **out);

/** Stop following the key. NULL is allowed. Threads: one. */
TR_API void tr_board_watch_close(tr_board_watch *watch);

/**
 * Wait for the next version, and get it.
 * @return as tr_board_wait().
 * Owner: the caller. Threads: any; each version to one of them. Progress: blocks up to the
 * timeout. Syscalls: none if it is there. Crash: as tr_board_get().
 */
TR_API TR_CHECK int tr_board_watch_next(tr_board_watch *watch, int64_t timeout_ns,
                                        tr_message **out, uint64_t *version);

/**
 * Wait for a watch in a set, too: TR_WAIT_READABLE when tr_board_watch_next() would return at
 * once.
 * @param watch  of the set's arena; must outlive its membership
 * @return 0, TR_EINVAL, TR_ENOSPC (TR_MAX_WAITABLE), TR_ENOMEM.
 * Threads: any. Syscalls: one if somebody waits. Crash: as
 * tr_waitset_add_queue().
 */
TR_API TR_CHECK int tr_waitset_add_watch(tr_waitset *set, tr_board_watch *watch,
                                         uint64_t token);

/**
 * Take the value of @p key away, if it has version @p expected (TR_BOARD_ANY_VERSION: whatever it
 * has). The version grows by one; a later put goes on from there.
 * @return 0, TR_ENOENT, TR_ESTALE, TR_EINVAL, TR_ENAMETOOLONG, TR_EUSERS.
 * Threads: any. Progress: lock-free. Syscalls: none when nobody sleeps.
 * Crash: done or not done.
 */
TR_API TR_CHECK int tr_board_delete(tr_board *board, const char *key, uint64_t expected);

/** The version of @p key, without its value; TR_BOARD_NO_VERSION if it was never put, or is not a
 *  key. Threads: any. Progress: wait-free. Syscalls: none. */
TR_API uint64_t tr_board_version(tr_board *board, const char *key);

/**
 * Walk over the keys that have a value, in no particular order. What is put or deleted
 * meanwhile may or may not be seen.
 * @param cursor   0 to begin with; else as the last call left it
 * @param key      the next key, 0-terminated
 * @param version  of its value; may be NULL
 * @return 0, TR_ENOENT (that was all), TR_EUSERS.
 * Threads: any. Progress: wait-free. Syscalls: none.
 */
TR_API TR_CHECK int tr_board_next(tr_board *board, uint32_t *cursor,
                                  char key[TR_MAX_KEY_BYTES + 1], uint64_t *version);

/** How many keys it has room for. Threads: any. */
TR_API uint32_t tr_board_capacity(const tr_board *board);

/** Its name. Lives as long as the handle. Threads: any. */
TR_API const char *tr_board_name(const tr_board *board);

/** The arena it is in. Threads: any. */
TR_API tr_arena *tr_board_arena(const tr_board *board);

TR_END_DECLS
#endif
