/* SPDX-License-Identifier: MIT */
/* histogram.h - how often values of each size were seen, in 158 buckets: one for each value up to
 * 8, then four for each power of two. The last one takes all that is larger.
 *
 *  values   1  2  3  ..  8 | 9-10 11-12 13-14 15-16 | 17-20 ... | 5 * 2^38 + 1 and more
 *  bucket   0  1  2  ..  7 |    8     9    10    11 |    12 ... | 157
 *
 * 0 counts as 1. A bucket is one word, and a value adds 1 to it. There is no count of its own: the
 * count is the sum of the buckets, so no process that is killed can leave a count that differs from
 * it. Killed before its second step, it leaves a sum of values that lacks the last one.
 *
 * Any number of processes add. What they counted belongs to the channel, and stays when they are
 * gone. */
#ifndef TR_IPC_HISTOGRAM_H
#define TR_IPC_HISTOGRAM_H

#include "ipc/exchange/channel.h"

/* What a queue counts, in the order of tr_histogram_kind. */
enum histogram_kind {
    HISTOGRAM_WAIT,    /* ns from the sending of a message to its receipt */
    HISTOGRAM_SERVICE, /* ns from the receipt of a request to its answer */
    HISTOGRAM_BATCH,   /* rows */
    HISTOGRAM_KINDS
};

/* channel.extra of a queue: where its histograms are, from the start of its ring; 0: none. */
enum { QUEUE_HISTOGRAMS = 2 };

/* The bucket of a value. */
uint32_t histogram_bucket(uint64_t value);

/* The largest value of a bucket; UINT64_MAX of the last one. */
uint64_t histogram_bound(uint32_t bucket);

/* One more value. Wait-free. */
void histogram_add(struct histogram *histogram, uint64_t value);

/* The queue that @p spec makes has histograms behind its cells, or has none. Its capacity is
 * set. */
void histogram_spec(struct channel_spec *spec, bool wanted);

/* Those of a queue, one of each kind. NULL: it has none, or where they are is corrupted. */
struct histogram *histogram_all(const struct view *view, uint32_t channel);

#endif
