/* SPDX-License-Identifier: MIT */
#include <tensoring/stats.h>

#include <stdio.h>
#include <string.h>

#include "ipc/channel.h"
#include "ipc/os.h"
#include "ipc/participant.h"
#include "ipc/slot.h"
#include "ipc/wake.h"
#include "src/arena.h"
#include "src/error.h"

/* What all participants counted, and who had no entry yet. */
static uint64_t read_counter(const struct view *view, uint32_t i)
{
    uint64_t sum = shm_get(&view_live(view)->counters[i]);

    for (uint32_t p = 0; p < view->geo.participant_count; p++)
        sum += shm_get(&view_participant(view, p)->counters[i]);
    return sum;
}

/* Counters in the order of the fields, which is that of enum counter. */
static void read_counters(const struct view *view, tr_stats *stats)
{
    uint32_t i = 0;

#define READ(name, text) stats->name = read_counter(view, i++);
    TR_COUNTERS(READ)
#undef READ
}

static void count_slots(const struct view *view, tr_stats *stats)
{
    for (uint32_t slot = 0; slot < view->geo.slot_count; slot++) {
        /* relaxed: a report, not a decision. */
        uint64_t word = shm_get(&view_record(view, slot)->owner);

        stats->slots_free += SLOT_STATE(word) == SLOT_FREE;
        stats->slots_loaned += SLOT_STATE(word) == SLOT_LOANED;
        stats->slots_queued += SLOT_STATE(word) == SLOT_QUEUED ||
                               SLOT_STATE(word) == SLOT_ORPHAN;
        stats->slots_received += SLOT_STATE(word) == SLOT_RECEIVED;
        stats->slots_shared += SLOT_STATE(word) > SLOT_ORPHAN;
    }
}

static bool is_live(const struct view *view, uint32_t i)
{
    /* E4 acquire: pairs with participant_join(). */
    return PARTICIPANT_STATE(shm_load(&view_participant(view, i)->word, E4_LOOK)) !=
           PARTICIPANT_FREE;
}

int tr_stats_read(tr_arena *arena, tr_stats *stats)
{
    const struct view *view = &arena->view;
    uint32_t size = stats->struct_size;
    tr_stats all = {0};

    if (size < 8 || size > sizeof(all))
        return tr_fail(TR_EINVAL, "stats: struct_size is %u, this library knows %zu",
                       size, sizeof(all));
    all.struct_size = size;
    all.slots = view->geo.slot_count;
    for (uint32_t i = 0; i < view->geo.participant_count; i++)
        all.participants += is_live(view, i);
    for (uint32_t i = 0; i < view->geo.channel_count; i++)
        all.channels += CHANNEL_STATE(channel_word(view, i)) == CHANNEL_READY;
    count_slots(view, &all);
    read_counters(view, &all);
    memcpy(stats, &all, size);
    return 0;
}

static void read_participant(const struct view *view, uint32_t i,
                             tr_participant_stats *out)
{
    struct participant *entry = view_participant(view, i);
    _Atomic uint64_t *pins = view_pins(view, i);
    uint32_t inc = PARTICIPANT_INC(
        shm_load(&entry->word, E4_LOOK)); /* E4: as in is_live() */

    *out = (tr_participant_stats){.index = i,
                                  .incarnation = inc,
                                  .pid = shm_get(&entry->pid),
                                  .uid = shm_get(&entry->uid),
                                  .alive = !os->dead(view, i),
                                  .start_time = shm_get(&entry->start_time)};
    for (uint32_t slot = 0; slot < view->geo.slot_count; slot++) {
        /* relaxed: a report, not a decision. */
        uint64_t word = shm_get(&view_record(view, slot)->owner);

        if (SLOT_WHO(word) != i || SLOT_INC(word) != (inc & 0xfff))
            continue;
        out->loaned += SLOT_STATE(word) == SLOT_LOANED;
        out->received += SLOT_STATE(word) == SLOT_RECEIVED;
        if (SLOT_STATE(word) == SLOT_LOANED || SLOT_STATE(word) == SLOT_RECEIVED)
            out->held_bytes += view->geo.classes[view_class_of(view, slot)].slot_bytes;
    }
    for (uint32_t p = 0; p < view->geo.pin_count; p++)
        out->pinned += shm_get(&pins[p]) != 0;
}

int tr_stats_participants(tr_arena *arena, tr_participant_stats *out, size_t capacity,
                          size_t *count)
{
    const struct view *view = &arena->view;

    *count = 0;
    for (uint32_t i = 0; i < view->geo.participant_count && *count < capacity; i++)
        if (is_live(view, i))
            read_participant(view, i, &out[(*count)++]);
    return 0;
}

static void read_channel(const struct view *view, uint32_t i, tr_channel_stats *out)
{
    struct channel *channel = view_channel(view, i);

    memset(out, 0, sizeof(*out));
    channel_name(view, i, out->name);
    out->kind = CHANNEL_KIND(channel_word(view, i));
    out->capacity = shm_get(&channel->capacity);
    out->sent = shm_get(&channel->tail);
    out->received = shm_get(&channel->head);
    out->depth = out->sent > out->received ? out->sent - out->received : 0;
    out->sleeping_receivers = shm_get(&channel->items) & WAKE_ASLEEP;
    out->sleeping_senders = shm_get(&channel->room) & WAKE_ASLEEP;
}

int tr_stats_channels(tr_arena *arena, tr_channel_stats *out, size_t capacity,
                      size_t *count)
{
    const struct view *view = &arena->view;

    *count = 0;
    for (uint32_t i = 0; i < view->geo.channel_count && *count < capacity; i++)
        if (CHANNEL_STATE(channel_word(view, i)) == CHANNEL_READY)
            read_channel(view, i, &out[(*count)++]);
    return 0;
}

/* "ShmemPmdMapped" or "FilePmdMapped" of the mapping at @p base: /proc/self/smaps. */
static uint64_t huge_bytes(const void *base)
{
    FILE *smaps = fopen("/proc/self/smaps", "re");
    char line[512];
    unsigned long start, end, kib, found = 0;
    bool here = false;

    if (!smaps)
        return 0;
    while (fgets(line, sizeof(line), smaps)) {
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
            here = start <= (uintptr_t)base && (uintptr_t)base < end;
        else if (here && (sscanf(line, "ShmemPmdMapped: %lu", &kib) == 1 ||
                          sscanf(line, "FilePmdMapped: %lu", &kib) == 1))
            found += kib;
    }
    fclose(smaps);
    return found * 1024;
}

int tr_arena_info_read(tr_arena *arena, tr_arena_info *info)
{
    const struct control *geo = &arena->view.geo;
    uint32_t size = info->struct_size;
    tr_arena_info all = {.struct_size = size};
    int result = arena_enter(arena);

    if (result < 0)
        return result;
    if (size < 8 || size > sizeof(all))
        return tr_fail(TR_EINVAL, "info: struct_size is %u, this library knows %zu", size,
                       sizeof(all));
    all.flags = geo->flags;
    all.total_bytes = geo->total_bytes;
    all.huge_bytes = huge_bytes(arena->view.base);
    all.resident_bytes = arena_resident(arena);
    all.populate_ns = shm_get(&view_live(&arena->view)->populate_ns);
    all.class_count = geo->class_count;
    all.max_participants = geo->participant_count;
    all.max_channels = geo->channel_count;
    all.layout = geo->layout;
    all.self = arena->peer.who;
    all.copy_routine = shm_get(&view_live(&arena->view)->copy_routine);
    all.base = arena->view.base;
    all.fd = arena->view.lock_fd;
    all.huge_error = arena->huge_error ? tr_fail_errno(arena->huge_error, "large pages")
                                       : 0;
    memcpy(info, &all, size);
    return 0;
}
