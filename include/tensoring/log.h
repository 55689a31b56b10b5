/* SPDX-License-Identifier: MIT */
/* log.h - a callback that hears what is rare and nobody asked for.
 *
 * The library counts what happens (stats.h) and returns what went wrong. Some events concern no
 * caller, or more than the caller: another process died, a message was given up, a subscriber was
 * too slow, memory was corrupted, something slower was used instead. A program that wants them in
 * its log sets a callback.
 *
 * The callback runs in the thread that noticed, inside whatever call of the library that thread
 * was in, and perhaps with locks of the library held:
 *
 *  - it calls nothing of this library but tr_strerror() and tr_error_name();
 *  - it returns: no longjmp(), no C++ exception, no fork(), no end of the thread;
 *  - it is short: others wait for the work that the thread has interrupted;
 *  - where tr_arena_reap() is called in a signal handler, it runs in that handler;
 *  - several threads may be in it at the same time.
 *
 * It may change errno: that is put back. Nothing is told on the data path: a message that is sent
 * and received in order makes no event. */
#ifndef TENSORING_LOG_H
#define TENSORING_LOG_H

#include <tensoring/base.h>

TR_BEGIN_DECLS

typedef enum tr_log_kind {
    TR_LOG_REAP = 1, /**< this process swept dead participants; count: how many of them */
    /** Messages were given up; count: how many. Their receivers died, or a loan in this process
     *  took the slots of messages that slow subscribers had not read. */
    TR_LOG_DROP = 2,
    TR_LOG_CORRUPT = 3,  /**< a word or a message in the arena is corrupted; count: 1 */
    TR_LOG_FALLBACK = 4, /**< what was asked for does not work: large pages, io_uring */
    TR_LOG_LAG = 5,  /**< a subscriber in this process missed messages; count: how many */
    TR_LOG_EVICT = 6 /**< the same, and its subscription has ended by it */
} tr_log_kind;

typedef struct tr_log_event {
    uint32_t struct_size; /**< what this library has filled */
    uint32_t kind;        /**< tr_log_kind; ignore those that you do not know */
    uint64_t count;
    /** Its name, "" if it has none; valid until the callback returns, as text is. */
    const char *arena;
    const char *text; /**< one sentence */
} tr_log_event;

typedef void tr_log_callback(const tr_log_event *event, void *context);

/** Tell @p callback of events in this process from now on; NULL: no longer. There is one for each
 *  process; a forked child has its parent's. Each is called with its own @p context, and a thread
 *  that is in the old one when this returns may still be in it: keep what @p context points to.
 *  An event that happens during the call may be told to neither. Threads: one at a time.
 *  Syscalls: none. */
TR_API void tr_log_set(tr_log_callback *callback, void *context);

TR_END_DECLS
#endif
