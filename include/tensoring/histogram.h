/* SPDX-License-Identifier: MIT */
/* histogram.h - how long messages wait and requests are served, and how large batches are.
 *
 * A queue that was made with options.histograms counts, for all its senders and receivers
 * together, in the arena: what a process counted stays when it has died. Each histogram has
 * TR_HISTOGRAM_BUCKETS buckets: one for each value up to 8, then four for each power of two, so a
 * value is known to 25 %. To count takes two additions and no system call. */
#ifndef TENSORING_HISTOGRAM_H
#define TENSORING_HISTOGRAM_H

#include <tensoring/look.h>
#include <tensoring/queue.h>

TR_BEGIN_DECLS

#define TR_HISTOGRAM_BUCKETS 158

typedef enum tr_histogram_kind {
    /** How long messages waited, in ns: from their sending to each receive. */
    TR_HISTOGRAM_WAIT = 0,
    /** How long servers had requests, in ns: from the receive to the reply, the error, or the
     *  release. Not counted if the server dies with it. */
    TR_HISTOGRAM_SERVICE = 1,
    /** Sizes of batches, in rows: what servers gave to tr_queue_note_batch(). */
    TR_HISTOGRAM_BATCH = 2
} tr_histogram_kind;

typedef struct tr_histogram {
    uint32_t struct_size; /**< in: sizeof(tr_histogram) of the caller */
    uint32_t kind;        /**< tr_histogram_kind */
    uint64_t count;       /**< of values: the sum of all buckets, always */
    uint64_t sum; /**< of the values; a process that was killed while it counted may have
                               left its last value out */
    uint64_t buckets[TR_HISTOGRAM_BUCKETS]; /**< how many values each has */
} tr_histogram;
#define TR_HISTOGRAM_INIT TR_RESULT_INIT(tr_histogram)

/**
 * What a queue has counted since it was made.
 * @param channel  its name
 * @param kind     tr_histogram_kind
 * @return 0, TR_ENOENT (no queue of this name, or it was made without options.histograms),
 *         TR_EINVAL (struct_size, kind, NULL).
 * Threads: any. Syscalls: none. Crash: nothing is changed.
 */
TR_API TR_CHECK int tr_stats_histogram(tr_arena *arena, const char *channel,
                                       uint32_t kind, tr_histogram *histogram);

/** The same of an arena that is looked at; the counts are from the opening of the look.
 *  @return as tr_stats_histogram(). Threads: one. Syscalls: none. */
TR_API TR_CHECK int tr_look_histogram(const tr_look *look, const char *channel,
                                      uint32_t kind, tr_histogram *histogram);

/** The largest value that bucket @p bucket of @p histogram counts; the next one counts larger
 *  ones. UINT64_MAX of the last, and of any beyond; 0 if @p histogram is NULL, or has another
 *  struct_size. All histograms have the same bounds. Threads: any. Syscalls: none. */
TR_API uint64_t tr_histogram_bound(const tr_histogram *histogram, uint32_t bucket);

/** A value that a part of @p part (0 to 1) of all values does not exceed, such as 0.99: the bound
 *  of a bucket, at most 25 % too large. UINT64_MAX if that is the last bucket; 0 if nothing was
 *  counted, or where tr_histogram_bound() is 0. Threads: any. Syscalls: none. */
TR_API uint64_t tr_histogram_quantile(const tr_histogram *histogram, double part);

/** A server has put @p rows rows together: they count as one batch. Nothing happens if the queue
 *  has no histograms.
 *  @return 0, TR_EINVAL, TR_EFORK.
 *  Threads: any. Progress: wait-free. Syscalls: none. Crash: counted or not. */
TR_API TR_CHECK int tr_queue_note_batch(tr_queue *queue, uint64_t rows);

TR_END_DECLS
#endif
