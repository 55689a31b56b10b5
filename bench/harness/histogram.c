/* SPDX-License-Identifier: MIT */
#include "harness/histogram.h"

#include <stddef.h>

static size_t bucket_of(uint64_t value)
{
    const uint64_t linear = UINT64_C(1) << HISTOGRAM_BITS;

    if (value < linear)
        return (size_t)value;
    const unsigned shift = 63u - (unsigned)__builtin_clzll(value) - HISTOGRAM_BITS;
    return (((size_t)shift + 1) << HISTOGRAM_BITS) +
           (size_t)((value >> shift) & (linear - 1));
}

static uint64_t middle_of(size_t bucket)
{
    const uint64_t linear = UINT64_C(1) << HISTOGRAM_BITS;

    if (bucket < linear)
        return bucket;
    const unsigned shift = (unsigned)(bucket >> HISTOGRAM_BITS) - 1;
    const uint64_t low = (linear + (bucket & (linear - 1))) << shift;
    return low + ((UINT64_C(1) << shift) >> 1);
}

void histogram_add(struct histogram *h, uint64_t value)
{
    h->counts[bucket_of(value)]++;
    h->total++;
    if (value > h->max)
        h->max = value;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->counts[i] += from->counts[i];
    into->total += from->total;
    if (from->max > into->max)
        into->max = from->max;
}

uint64_t histogram_percentile(const struct histogram *h, double share)
{
    if (h->total == 0)
        return 0;
    uint64_t wanted = (uint64_t)(share * (double)h->total + 0.5);
    if (wanted == 0)
        wanted = 1;

    uint64_t seen = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->counts[i];
        if (seen >= wanted) {
            const uint64_t value = middle_of(i);
            return value < h->max ? value : h->max;
        }
    }
    return h->max;
}
