/* SPDX-License-Identifier: MIT */
/* geometry.c - where everything lies: computed by the creator, checked by everybody else. */
#include <errno.h>
#include <string.h>

#include "ipc/memory/segment.h"

#define LARGE_SLOT 4096
/* Room for descriptors behind the data, so that the user has all of the slot's size. */
#define TABLE_SMALL 256
#define TABLE_LARGE 4096

static bool add_region(uint64_t *at, uint64_t align, uint64_t bytes, uint64_t *start)
{
    uint64_t aligned;

    if (__builtin_add_overflow(*at, align - 1, &aligned))
        return false;
    *start = aligned / align * align;
    return !__builtin_add_overflow(*start, bytes, at);
}

/* Small slots are packed to lines, so that they do not all fall into the same cache sets;
 * from 4096 bytes on they begin at pages. Those of an elastic arena do, whatever their size:
 * their memory comes and goes by the page. */
static bool plan_class(const struct segment_class *spec, bool elastic,
                       struct slot_class *class, uint32_t *slots, uint64_t *at)
{
    uint64_t unit = elastic || spec->slot_bytes >= LARGE_SLOT ? ARENA_PAGE
                                                              : ARENA_LINE / 2;
    uint64_t rounded, bytes;

    if (spec->slot_bytes == 0 || spec->count == 0 || spec->count > MAX_SLOTS - *slots ||
        __builtin_add_overflow(spec->slot_bytes, unit - 1, &rounded))
        return false;
    class->slot_bytes = rounded / unit * unit;
    if (__builtin_add_overflow(class->slot_bytes,
                               (uint64_t)(unit == ARENA_PAGE ? TABLE_LARGE : TABLE_SMALL),
                               &class->stride) ||
        __builtin_mul_overflow(class->stride, spec->count, &bytes) ||
        !add_region(at, ARENA_PAGE, bytes, &class->payload_off))
        return false;
    class->first_slot = *slots;
    class->count = (uint32_t)spec->count;
    *slots += class->count;
    return true;
}

static uint64_t pin_stride(uint32_t pins)
{
    return ((uint64_t)pins * 8 + ARENA_LINE - 1) / ARENA_LINE * ARENA_LINE;
}

static bool plan_tables(const struct segment_spec *spec, struct control *geo,
                        uint64_t *at)
{
    return add_region(at, ARENA_PAGE, sizeof(struct live), &geo->participants_off) &&
           add_region(at, ARENA_PAGE,
                      sizeof(struct participant) * spec->participant_count,
                      &geo->participants_off) &&
           add_region(at, ARENA_PAGE,
                      pin_stride(spec->pin_count) * spec->participant_count,
                      &geo->pins_off) &&
           add_region(at, ARENA_PAGE, sizeof(struct channel) * spec->channel_count,
                      &geo->channels_off) &&
           add_region(at, ARENA_PAGE, spec->rings_bytes, &geo->rings_off);
}

int segment_plan(const struct segment_spec *spec, struct control *geo)
{
    uint64_t at = sizeof(struct control), records = 0, end;
    bool elastic = spec->flags & SEGMENT_ELASTIC;
    uint32_t slots = 0;

    memset(geo, 0, sizeof(*geo));
    for (uint32_t i = 0; i < spec->class_count; i++)
        if (__builtin_add_overflow(records, spec->classes[i].count, &records) ||
            records > MAX_SLOTS)
            return -EOVERFLOW;
    if (!plan_tables(spec, geo, &at) ||
        !add_region(&at, ARENA_PAGE, sizeof(struct slot_record) * records,
                    &geo->records_off) ||
        !add_region(&at, ARENA_PAGE, 0, &geo->payload_off))
        return -EOVERFLOW;
    at = geo->payload_off;
    for (uint32_t i = 0; i < spec->class_count; i++)
        if (!plan_class(&spec->classes[i], elastic, &geo->classes[i], &slots, &at))
            return -EOVERFLOW;
    if (!add_region(&at, ARENA_PAGE, 0, &end) || end > (uint64_t)INT64_MAX)
        return -EOVERFLOW;
    geo->layout = ARENA_LAYOUT;
    geo->features = elastic ? FEATURE_ELASTIC : 0;
    geo->total_bytes = end;
    geo->rings_bytes = spec->rings_bytes;
    geo->memory_bytes = spec->memory_bytes;
    geo->warm_bytes = spec->warm_bytes;
    geo->flags = spec->flags;
    geo->class_count = spec->class_count;
    geo->participant_count = spec->participant_count;
    geo->channel_count = spec->channel_count;
    geo->slot_count = slots;
    geo->pin_count = spec->pin_count;
    geo->pin_stride = (uint32_t)pin_stride(spec->pin_count);
    geo->eventfd_count = spec->eventfd_count;
    return 0;
}

/* A region of @p count things lies between @p low and @p high. */
static bool region(uint64_t low, uint64_t off, uint64_t count, uint64_t size,
                   uint64_t high)
{
    uint64_t bytes, end;

    return off % ARENA_PAGE == 0 && off >= low &&
           !__builtin_mul_overflow(count, size, &bytes) &&
           !__builtin_add_overflow(off, bytes, &end) && end <= high;
}

static bool classes_valid(const struct control *geo)
{
    uint64_t low = geo->payload_off;
    uint32_t slots = 0;

    for (uint32_t i = 0; i < geo->class_count; i++) {
        const struct slot_class *class = &geo->classes[i];

        if (class->count == 0 || class->first_slot != slots || class->slot_bytes == 0 ||
            class->slot_bytes % (ARENA_LINE / 2) || class->stride % (ARENA_LINE / 2) ||
            class->stride < class->slot_bytes || class->count > MAX_SLOTS - slots ||
            !region(low, class->payload_off, class->count, class->stride,
                    geo->total_bytes))
            return false;
        slots += class->count;
        low = class->payload_off + class->count * class->stride;
    }
    return slots == geo->slot_count;
}

bool segment_valid(const struct control *geo, uint64_t file_bytes)
{
    if (geo->total_bytes != file_bytes || geo->class_count < 1 ||
        geo->class_count > MAX_CLASSES || geo->participant_count < 1 ||
        geo->participant_count > MAX_PARTICIPANTS || geo->channel_count < 1 ||
        geo->channel_count > MAX_CHANNELS || geo->pin_count < 1 ||
        geo->pin_count > MAX_PINS || geo->pin_stride != pin_stride(geo->pin_count))
        return false;
    return region(sizeof(struct control) + sizeof(struct live), geo->participants_off,
                  geo->participant_count, sizeof(struct participant), geo->pins_off) &&
           region(geo->participants_off, geo->pins_off, geo->participant_count,
                  geo->pin_stride, geo->channels_off) &&
           region(geo->pins_off, geo->channels_off, geo->channel_count,
                  sizeof(struct channel), geo->rings_off) &&
           region(geo->channels_off, geo->rings_off, 1, geo->rings_bytes,
                  geo->records_off) &&
           region(geo->rings_off, geo->records_off, geo->slot_count,
                  sizeof(struct slot_record), geo->payload_off) &&
           region(geo->records_off, geo->payload_off, 0, 0, geo->total_bytes) &&
           classes_valid(geo);
}
