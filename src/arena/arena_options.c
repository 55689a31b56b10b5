/* SPDX-License-Identifier: MIT */
#include "src/arena/arena_options.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/error.h"
#include "src/base/text_check.h"

_Static_assert((int)TR_ARENA_POPULATE == (int)SEGMENT_POPULATE &&
                   (int)TR_ARENA_HUGE == (int)SEGMENT_HUGE &&
                   (int)TR_ARENA_LAZY == (int)SEGMENT_LAZY &&
                   (int)TR_ARENA_OVERCOMMIT == (int)SEGMENT_OVERCOMMIT &&
                   (int)TR_ARENA_DUMP == (int)SEGMENT_DUMP &&
                   (int)TR_ARENA_ELASTIC == (int)SEGMENT_ELASTIC,
               "one set of flags");
_Static_assert(TR_MAX_PARTICIPANTS == MAX_PARTICIPANTS &&
                   TR_MAX_CHANNELS == MAX_CHANNELS && TR_MAX_SLOTS == MAX_SLOTS &&
                   TR_MAX_CLASSES == MAX_CLASSES,
               "one set of limits");

#define ALL_FLAGS                                                                \
    (TR_ARENA_POPULATE | TR_ARENA_HUGE | TR_ARENA_LAZY | TR_ARENA_ALLOW_PICKLE | \
     TR_ARENA_CRC32C | TR_ARENA_OVERCOMMIT | TR_ARENA_DUMP | TR_ARENA_SCRUB |    \
     TR_ARENA_ELASTIC)

/* What fits in a record's count of pages. */
#define MOST_SLOT_BYTES(flags) \
    ((flags)&TR_ARENA_ELASTIC ? UINT64_C(1) << 41 : UINT64_C(1) << 46)
_Static_assert((UINT64_C(1) << 41) / ARENA_PAGE < MEMORY_MOST_PAGES,
               "a page for descriptors");

static const tr_slot_class default_classes[] = {{4096, 256}, {1 << 20, 64}};

int arena_check_name(const char *name)
{
    size_t length = strlen(name);

    if (length > TR_MAX_ARENA_NAME)
        return tr_fail(TR_ENAMETOOLONG, "arena name has %zu bytes, the limit is %d",
                       length, TR_MAX_ARENA_NAME);
    if (!((name[0] >= 'a' && name[0] <= 'z') || (name[0] >= 'A' && name[0] <= 'Z') ||
          (name[0] >= '0' && name[0] <= '9') || name[0] == '_') ||
        strchr(name, '/'))
        return tr_fail(
            TR_EINVAL,
            "arena name \"%s\" must begin with a letter, digit or _ and hold no /", name);
    return text_check("arena", "the name", name);
}

static int check_range(const char *what, uint64_t value, uint64_t low, uint64_t high)
{
    if (value >= low && value <= high)
        return 0;
    return tr_fail(TR_EINVAL, "create: %s is %lu, allowed are %lu to %lu", what,
                   (unsigned long)value, (unsigned long)low, (unsigned long)high);
}

static int by_size(const void *a, const void *b)
{
    const struct segment_class *x = a, *y = b;

    return x->slot_bytes < y->slot_bytes ? -1 : x->slot_bytes > y->slot_bytes;
}

int arena_take_classes(const tr_arena_options *options, struct segment_class *classes)
{
    uint64_t slots = 0;
    int result = 0;

    for (uint32_t i = 0; i < options->class_count && result == 0; i++) {
        classes[i].slot_bytes = options->classes[i].slot_bytes;
        classes[i].count = options->classes[i].count;
        result = check_range("slot_bytes", classes[i].slot_bytes, 1,
                             MOST_SLOT_BYTES(options->flags));
        if (result == 0)
            result = check_range("count of a class", classes[i].count, 1, TR_MAX_SLOTS);
        slots += classes[i].count;
    }
    if (result == 0)
        result = check_range("slots of all classes", slots, 1, TR_MAX_SLOTS);
    if (result == 0)
        qsort(classes, options->class_count, sizeof(*classes), by_size);
    return result;
}

/* A user that may read but not write could hold locks that keep others out; participants must
 * write. */
static int check_mode(uint32_t mode)
{
    uint32_t read = mode & 0444, write = mode & 0222;

    if ((mode & ~0666u) == 0 && read >> 1 == write && (mode & 0600) == 0600)
        return 0;
    return tr_fail(
        TR_EINVAL,
        "create: mode %03o: give each of owner, group and others both read and "
        "write or neither, and the owner both: 600, 660, 666",
        mode);
}

#define WARM_BYTES (UINT64_C(16) << 20)

/* What free slots may keep: a part of the limit, if there is one. */
static int check_memory(tr_arena_options *options)
{
    bool elastic = options->flags & TR_ARENA_ELASTIC;

    if (!elastic && (options->memory_bytes || options->warm_bytes))
        return tr_fail(TR_EINVAL,
                       "create: memory_bytes is %lu and warm_bytes %lu, which are for "
                       "TR_ARENA_ELASTIC; set that flag, or leave them 0",
                       (unsigned long)options->memory_bytes,
                       (unsigned long)options->warm_bytes);
    if (elastic)
        options->flags |= TR_ARENA_LAZY;
    if (elastic && options->warm_bytes == 0)
        options->warm_bytes = options->memory_bytes ? options->memory_bytes / 4
                                                    : WARM_BYTES;
    return 0;
}

int arena_check_options(tr_arena_options *options)
{
    int result = 0;

    if (options->flags & ~(uint32_t)ALL_FLAGS)
        return tr_fail(TR_EINVAL, "create: flags 0x%x has bits that mean nothing",
                       options->flags);
    if (!options->classes && options->class_count)
        return tr_fail(TR_EINVAL, "create: class_count is %u, and classes is NULL",
                       options->class_count);
    if (!options->classes) {
        options->classes = default_classes;
        options->class_count = 2;
    }
    result = check_memory(options);
    if (result < 0)
        return result;
    if (options->spin_ns < -1)
        return tr_fail(TR_EINVAL,
                       "create: spin_ns is %ld; use -1 (adapts), 0 (never spins) or more",
                       (long)options->spin_ns);
    result = check_range("class_count", options->class_count, 1, TR_MAX_CLASSES);
    if (result == 0)
        result = check_range("max_participants", options->max_participants, 1,
                             TR_MAX_PARTICIPANTS);
    if (result == 0)
        result = check_range("max_channels", options->max_channels, 1, TR_MAX_CHANNELS);
    if (result == 0)
        result = check_range("ring_bytes", options->ring_bytes, 0, UINT64_C(1) << 40);
    if (result == 0)
        result = check_range("pins", options->pins, 1, MAX_PINS);
    if (result == 0)
        result = check_range("eventfds", options->eventfds, 0, options->max_participants);
    return result < 0 ? result : check_mode(options->mode);
}
