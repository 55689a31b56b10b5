/* SPDX-License-Identifier: MIT */
#include "ipc/exchange/histogram.h"

#include "ipc/mutant.h"

#define PART_BITS 2 /* 1 << PART_BITS buckets for each power of two */
#define PARTS     (1u << PART_BITS)

uint32_t histogram_bucket(uint64_t value)
{
    uint64_t below = value ? value - 1 : 0;
    uint32_t bucket, power;

    if (below < PARTS)
        return (uint32_t)below;
    power = 63 - (uint32_t)__builtin_clzll(below);
    bucket = (power - PART_BITS + 1) * PARTS +
             ((uint32_t)(below >> (power - PART_BITS)) & (PARTS - 1));
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

uint64_t histogram_bound(uint32_t bucket)
{
    if (bucket >= HISTOGRAM_BUCKETS - 1)
        return UINT64_MAX;
    if (bucket < PARTS)
        return bucket + 1;
    return (uint64_t)(PARTS + bucket % PARTS + 1) << (bucket / PARTS - 1);
}

static void count_up(_Atomic uint64_t *bucket)
{
    /* relaxed: a report; each word is exact by itself. */
    if (MUTANT(BUCKET_STORED)) {
        uint64_t seen = shm_load(bucket, memory_order_relaxed);

        shm_store(bucket, seen + 1, memory_order_relaxed);
    } else {
        shm_add(bucket, 1, memory_order_relaxed);
    }
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
    count_up(&histogram->buckets[histogram_bucket(value)]);
    shm_add(&histogram->sum, value, memory_order_relaxed); /* relaxed: as the bucket */
}

/* Where they begin, from the start of the ring. */
static uint64_t begin_of(uint32_t capacity)
{
    return (UINT64_C(8) * capacity + ARENA_LINE - 1) / ARENA_LINE * ARENA_LINE;
}

static void build_with(const struct view *view, struct channel *channel, uint8_t *ring,
                       uint32_t capacity)
{
    (void)view;
    (void)ring;
    shm_put(&channel->extra[QUEUE_HISTOGRAMS], begin_of(capacity));
}

/* A maker that died may have wanted them. */
static void build_without(const struct view *view, struct channel *channel, uint8_t *ring,
                          uint32_t capacity)
{
    (void)view;
    (void)ring;
    (void)capacity;
    shm_put(&channel->extra[QUEUE_HISTOGRAMS], 0);
}

void histogram_spec(struct channel_spec *spec, bool wanted)
{
    uint32_t capacity = spec->capacity ? spec->capacity : spec->fallback;

    spec->build = wanted ? build_with : build_without;
    if (wanted)
        spec->ring_bytes = begin_of(capacity) +
                           HISTOGRAM_KINDS * sizeof(struct histogram);
}

struct histogram *histogram_all(const struct view *view, uint32_t channel)
{
    uint64_t at = shm_get(&view_channel(view, channel)->extra[QUEUE_HISTOGRAMS]), bytes;
    uint8_t *ring = channel_bytes(view, channel, &bytes);

    if (at == 0 || at % ARENA_LINE || !ring || at > bytes ||
        bytes - at < HISTOGRAM_KINDS * sizeof(struct histogram))
        return NULL;
    return (struct histogram *)(void *)(ring + at);
}
