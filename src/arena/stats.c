/* SPDX-License-Identifier: MIT */
#include <tensoring/stats.h>

#include <stdio.h>
#include <string.h>

#include "ipc/exchange/board.h"
#include "ipc/exchange/broadcast.h"
#include "ipc/exchange/budget.h"
#include "ipc/exchange/channel.h"
#include "ipc/exchange/receivers.h"
#include "ipc/exchange/records.h"
#include "ipc/exchange/shared.h"
#include "ipc/liveness/participant.h"
#include "ipc/signal/wake.h"
#include "src/arena/arena.h"
#include "src/arena/stats.h"
#include "src/base/error.h"
#include "src/base/options.h"

/* What all participants counted, and processes that had no entry yet. */
static uint64_t read_counter(const struct view *view, uint32_t i)
{
    uint64_t sum = shm_get(&view_live(view)->counters[i]);

    for (uint32_t p = 0; p < view->geo.participant_count; p++)
        sum += shm_get(&view_participant(view, p)->counters[i]);
    return sum;
}

/* The fields are in the order of enum counter. */
#define FIELD(name, text) FIELD_##name,
enum { TR_COUNTERS(FIELD) FIELDS };
#undef FIELD
#define SAME(field, counter) \
    _Static_assert((int)FIELD_##field == COUNT_##counter, #field " has another counter")
SAME(waits, WAITS);
SAME(wakes, WAKES);
SAME(timeouts, TIMEOUTS);
SAME(loan_waits, LOAN_WAITS);
SAME(deaths, DEATHS);
SAME(freed, FREED);
SAME(redelivered, REDELIVERED);
SAME(dropped, DROPPED);
SAME(corrupt, CORRUPT);
SAME(joins, JOINS);
SAME(lagged, LAGGED);
SAME(evicted, EVICTED);
SAME(stale_replies, STALE_REPLIES);
_Static_assert((int)FIELDS == COUNT_STALE_REPLIES + 1, "each field has a counter");
#undef SAME

static void read_counters(const struct view *view, tr_stats *stats)
{
    uint32_t i = 0;

#define READ(name, text) stats->name = read_counter(view, i++);
    TR_COUNTERS(READ)
#undef READ
}

uint32_t stats_channel_of(const struct view *view, uint32_t slot, uint64_t word)
{
    return LOCATION_CHANNEL(slot_location(view_record(view, slot), word));
}

static bool is_on_board(const struct view *view, uint32_t slot, uint64_t word)
{
    uint32_t index = stats_channel_of(view, slot, word);

    return index < view->geo.channel_count &&
           CHANNEL_KIND(channel_word(view, index)) == CHANNEL_BOARD;
}

/* Each slot into one of the fields whose sum is stats->slots. */
static void count_slot(const struct view *view, uint32_t slot, tr_stats *stats)
{
    /* relaxed: a report, not a decision. */
    uint64_t word = shm_get(&view_record(view, slot)->owner);
    enum slot_state state = SLOT_STATE(word);

    stats->slots_free += state == SLOT_FREE;
    stats->slots_loaned += state == SLOT_LOANED || state == SLOT_PUTTING;
    stats->slots_queued += state == SLOT_QUEUED;
    stats->slots_orphaned += state == SLOT_ORPHAN;
    stats->slots_received += state == SLOT_RECEIVED;
    stats->slots_shared += state == SLOT_SHARED || state == SLOT_RETIRED;
    if (state == SLOT_SHARED && is_on_board(view, slot, word))
        stats->slots_board++;
    else if (state == SLOT_SHARED)
        stats->slots_kept++;
    else if (state == SLOT_RETIRED && shared_is_pinned(view, slot, word))
        stats->slots_pinned++;
    else if (state == SLOT_RETIRED)
        stats->slots_retired++;
}

/* Those that were never used are free. */
static void count_slots(const struct view *view, tr_stats *stats)
{
    uint32_t used = 0;

    for (uint32_t slot = records_from(view, 0); slot < view->geo.slot_count;
         slot = records_from(view, slot + 1)) {
        count_slot(view, slot, stats);
        used++;
    }
    stats->slots_free += view->geo.slot_count - used;
}

static bool is_live(const struct view *view, uint32_t i)
{
    /* E4 acquire: pairs with participant_join(). */
    return PARTICIPANT_STATE(shm_load(&view_participant(view, i)->word, E4_LOOK)) !=
           PARTICIPANT_FREE;
}

int stats_read(const struct view *view, tr_stats *stats)
{
    tr_stats all = {0};
    uint32_t size;
    int result;

    result = result_size_check(stats, sizeof(all), "stats", "stats");
    if (result < 0)
        return result;
    size = stats->struct_size;
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

_Static_assert((int)TR_CHANNEL_QUEUE == CHANNEL_QUEUE &&
                   (int)TR_CHANNEL_BROADCAST == CHANNEL_BROADCAST &&
                   (int)TR_CHANNEL_BOARD == CHANNEL_BOARD,
               "one table");

/* What lies in each channel, by the slots. */
struct tally {
    uint32_t queued, orphans, shared;
};

static void count_by_channel(const struct view *view, struct tally *tally)
{
    for (uint32_t slot = records_from(view, 0); slot < view->geo.slot_count;
         slot = records_from(view, slot + 1)) {
        /* relaxed: a report, not a decision. */
        uint64_t word = shm_get(&view_record(view, slot)->owner);
        uint32_t index = stats_channel_of(view, slot, word);

        if (index >= view->geo.channel_count)
            continue;
        tally[index].queued += SLOT_STATE(word) == SLOT_QUEUED;
        tally[index].orphans += SLOT_STATE(word) == SLOT_ORPHAN;
        tally[index].shared += SLOT_STATE(word) == SLOT_SHARED;
    }
}

/* Keys that have a value, and how often any was changed. */
static void read_board(const struct view *view, uint32_t index, tr_channel_stats *out)
{
    struct board board;

    if (board_view(view, index, &board) < 0)
        return;
    for (uint32_t i = 0; i < board.count; i++) {
        bool there;

        out->sent += board_key_version(&board.keys[i], &there);
        out->depth += there;
    }
}

/* The subscriber that publishers wait for first. */
static void read_broadcast(const struct view *view, uint32_t index, tr_channel_stats *out)
{
    struct broadcast broadcast;
    struct laggard laggard;

    if (broadcast_view(view, index, &broadcast) < 0 ||
        !broadcast_laggard(&broadcast, &laggard))
        return;
    out->behind = laggard.behind;
    out->laggard = laggard.who;
}

static void read_channel(const struct view *view, uint32_t i, const struct tally *tally,
                         tr_channel_stats *out)
{
    struct channel *channel = view_channel(view, i);

    memset(out, 0, sizeof(*out));
    channel_name(view, i, out->name);
    out->kind = CHANNEL_KIND(channel_word(view, i));
    out->capacity = shm_get(&channel->capacity);
    out->sleeping_receivers = shm_get(&channel->items) & WAKE_ASLEEP;
    out->sleeping_senders = shm_get(&channel->room) & WAKE_ASLEEP;
    if (out->kind == CHANNEL_BOARD) {
        read_board(view, i, out);
        return;
    }
    out->sent = shm_get(&channel->tail);
    out->received = shm_get(&channel->head);
    out->orphans = tally->orphans;
    if (out->kind == CHANNEL_QUEUE)
        out->receivers = receivers_count(view, i);
    if (out->kind == CHANNEL_BROADCAST)
        read_broadcast(view, i, out);
    out->depth = out->kind == CHANNEL_QUEUE ? tally->queued + tally->orphans
                                            : tally->shared;
}

int stats_channels(const struct view *view, const struct rows *rows)
{
    struct tally tally[MAX_CHANNELS] = {{0}};
    int result = rows_check(rows, sizeof(tr_channel_stats), "stats");

    if (result < 0)
        return result;
    count_by_channel(view, tally);
    *rows->count = 0;
    for (uint32_t i = 0; i < view->geo.channel_count && !rows_full(rows); i++) {
        tr_channel_stats one;

        if (CHANNEL_STATE(channel_word(view, i)) != CHANNEL_READY)
            continue;
        read_channel(view, i, &tally[i], &one);
        rows_add(rows, &one);
    }
    return 0;
}

/* Also where a loan would wait: it sleeps on the word of its class, or listens to it. */
static tr_class_stats class_of(const struct view *view, uint32_t c, const tr_stats *tally)
{
    return (tr_class_stats){
        .slot_bytes = view->geo.classes[c].slot_bytes,
        .slots = tally->slots,
        .waiting = (shm_get(view_freed(view, c)) & WAKE_FLAGS) != 0,
        .free = tally->slots_free,
        .loaned = tally->slots_loaned,
        .queued = tally->slots_queued,
        .received = tally->slots_received,
        .orphaned = tally->slots_orphaned,
        .kept = tally->slots_kept,
        .board = tally->slots_board,
        .pinned = tally->slots_pinned,
        .retired = tally->slots_retired,
    };
}

int stats_classes(const struct view *view, const struct rows *rows)
{
    tr_stats tally[MAX_CLASSES] = {0};
    int result = rows_check(rows, sizeof(tr_class_stats), "stats");

    if (result < 0)
        return result;
    for (uint32_t slot = records_from(view, 0); slot < view->geo.slot_count;
         slot = records_from(view, slot + 1)) {
        uint32_t c = view_class_of(view, slot);

        count_slot(view, slot, &tally[c]);
        tally[c].slots++;
    }
    *rows->count = 0;
    for (uint32_t c = 0; c < view->geo.class_count && !rows_full(rows); c++) {
        tr_class_stats one;

        tally[c].slots_free += view->geo.classes[c].count - tally[c].slots;
        tally[c].slots = view->geo.classes[c].count;
        one = class_of(view, c, &tally[c]);
        rows_add(rows, &one);
    }
    return 0;
}

void stats_info(const struct view *view, tr_arena_info *info)
{
    const struct control *geo = &view->geo;

    info->flags = geo->flags;
    info->total_bytes = geo->total_bytes;
    info->populate_ns = shm_get(&view_live(view)->populate_ns);
    info->class_count = geo->class_count;
    info->max_participants = geo->participant_count;
    info->max_channels = geo->channel_count;
    info->layout = geo->layout;
    info->nonce = geo->nonce;
    if (view_elastic(view)) {
        struct budget_use use = budget_use(view);

        info->slots_bytes = use.reserved;
        info->warm_bytes = use.warm;
        info->memory_bytes = geo->memory_bytes;
        info->received_bytes = use.received;
    }
    info->copy_routine = shm_get(&view_live(view)->copy_routine);
}

int tr_stats_get(tr_arena *given, tr_stats *stats)
{
    const struct tr_arena *arena = arena_known(given);

    return arena ? stats_read(&arena->view, stats) : handle_fail(given, "stats", "arena");
}

static int list(tr_arena *given, stats_list *read, const struct rows *rows)
{
    const struct tr_arena *handle = arena_known(given);

    return handle ? read(&handle->view, rows) : handle_fail(given, "stats", "arena");
}

int tr_stats_participants(tr_arena *given, tr_participant_stats *out,
                          size_t element_bytes, size_t capacity, size_t *count)
{
    const struct rows rows = {out, element_bytes, capacity, count};

    return list(given, stats_participants, &rows);
}

int tr_stats_channels(tr_arena *given, tr_channel_stats *out, size_t element_bytes,
                      size_t capacity, size_t *count)
{
    const struct rows rows = {out, element_bytes, capacity, count};

    return list(given, stats_channels, &rows);
}

int tr_stats_classes(tr_arena *given, tr_class_stats *out, size_t element_bytes,
                     size_t capacity, size_t *count)
{
    const struct rows rows = {out, element_bytes, capacity, count};

    return list(given, stats_classes, &rows);
}

/* Whether the kernel gives shared memory large pages that nobody asked for. */
static bool has_huge_unasked(void)
{
    FILE *file = fopen("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "re");
    char line[128];
    bool found = false;

    if (!file)
        return false;
    if (fgets(line, sizeof(line), file))
        found = strstr(line, "[always]") || strstr(line, "[within_size]") ||
                strstr(line, "[force]");
    fclose(file);
    return found;
}

/* "ShmemPmdMapped" or "FilePmdMapped" of the mapping at @p base, in KiB. */
static unsigned long huge_kib(FILE *smaps, uintptr_t base)
{
    char line[512];
    unsigned long start, end, kib, found = 0;
    bool here = false;

    while (fgets(line, sizeof(line), smaps)) {
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2) {
            if (here)
                break;
            here = start <= base && base < end;
        } else if (here && (sscanf(line, "ShmemPmdMapped: %lu", &kib) == 1 ||
                            sscanf(line, "FilePmdMapped: %lu", &kib) == 1)) {
            found += kib;
        }
    }
    return found;
}

/* For /proc/self/smaps the kernel walks the pages of all mappings, which takes milliseconds: so
 * it is read only where there can be large pages. */
static uint64_t huge_bytes(const void *base, uint32_t flags)
{
    unsigned long found = 0;
    FILE *smaps;

    if (!(flags & TR_ARENA_HUGE) && !has_huge_unasked())
        return 0;
    smaps = fopen("/proc/self/smaps", "re");
    if (smaps) {
        found = huge_kib(smaps, (uintptr_t)base);
        fclose(smaps);
    }
    return (uint64_t)found * 1024;
}

int stats_info_size(const tr_arena_info *info)
{
    return result_size_check(info, sizeof(*info), "info", "info");
}

int tr_arena_info_get(tr_arena *given, tr_arena_info *info)
{
    tr_arena_info all = {0};
    struct tr_arena *arena;
    int result = arena_open(given, "info", &arena);

    if (result == 0)
        result = stats_info_size(info);
    if (result < 0)
        return result;
    all.struct_size = info->struct_size;
    stats_info(&arena->view, &all);
    all.huge_bytes = huge_bytes(arena->view.base, all.flags);
    all.resident_bytes = arena_resident(arena);
    all.self = arena->self.who;
    all.base = arena->view.base;
    all.fd = arena->view.lock_fd;
    all.closing_is_safe = arena->self.life.kind == LIFE_MAPPED;
    all.huge_error = arena->huge_error ? tr_fail_errno(arena->huge_error, "large pages")
                                       : 0;
    memcpy(info, &all, info->struct_size);
    return 0;
}
