/* SPDX-License-Identifier: MIT */
/* histogram.h - counts of values in log-linear buckets, 0.8 % wide: any 64-bit value, no
 * allocation, may lie in shared memory. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BITS    7
#define HISTOGRAM_BUCKETS ((64u - HISTOGRAM_BITS + 1u) << HISTOGRAM_BITS)

struct histogram {
    uint64_t total;
    uint64_t max;
    uint64_t counts[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t value);
void histogram_merge(struct histogram *into, const struct histogram *from);

/* The value that @p share (0 to 1) of all values do not exceed: the middle of its bucket,
 * never more than the largest value; 0 if there are none. */
uint64_t histogram_percentile(const struct histogram *h, double share);

#endif
