/* SPDX-License-Identifier: MIT */
#include "src/arena/histogram.h"

#include <string.h>

#include "ipc/exchange/histogram.h"
#include "src/arena/arena.h"
#include "src/base/error.h"
#include "src/base/options.h"

_Static_assert((int)TR_HISTOGRAM_WAIT == HISTOGRAM_WAIT &&
                   (int)TR_HISTOGRAM_SERVICE == HISTOGRAM_SERVICE &&
                   (int)TR_HISTOGRAM_BATCH == HISTOGRAM_BATCH &&
                   TR_HISTOGRAM_BUCKETS == HISTOGRAM_BUCKETS,
               "one table");

/* The queue of that name; channel_count: there is none. */
static uint32_t find_queue(const struct view *view, const char *name)
{
    char found[CHANNEL_NAME];
    uint32_t i;

    for (i = 0; i < view->geo.channel_count; i++) {
        uint64_t word = channel_word(view, i);

        if (CHANNEL_STATE(word) != CHANNEL_READY || CHANNEL_KIND(word) != CHANNEL_QUEUE)
            continue;
        channel_name(view, i, found);
        if (strcmp(found, name) == 0)
            break;
    }
    return i;
}

static void copy_out(const struct histogram *from, uint32_t kind, tr_histogram *to)
{
    to->kind = kind;
    to->sum = shm_get(&from->sum);
    shm_copy_out(to->buckets, from->buckets, HISTOGRAM_BUCKETS);
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        to->count += to->buckets[i];
}

static int check(const char *channel, uint32_t kind, const tr_histogram *histogram)
{
    if (!channel)
        return null_fail("histogram", "channel");
    if (kind >= HISTOGRAM_KINDS)
        return tr_fail(TR_EINVAL, "histogram: kind %u, there are 0 to %d", kind,
                       HISTOGRAM_KINDS - 1);
    return result_size_check(histogram, sizeof(*histogram), "histogram", "histogram");
}

int histogram_read(const struct view *view, const char *channel, uint32_t kind,
                   tr_histogram *histogram)
{
    int result = check(channel, kind, histogram);
    struct histogram *all;
    tr_histogram found = {0};
    uint32_t index;

    if (result < 0)
        return result;
    index = find_queue(view, channel);
    if (index == view->geo.channel_count)
        return tr_fail(TR_ENOENT, "histogram: there is no queue \"%.*s\"",
                       TR_MAX_CHANNEL_NAME, channel);
    all = histogram_all(view, index);
    if (!all)
        return tr_fail(
            TR_ENOENT,
            "histogram: queue \"%s\" counts nothing; the process that makes it "
            "sets options.histograms",
            channel);
    found.struct_size = histogram->struct_size;
    copy_out(&all[kind], kind, &found);
    memcpy(histogram, &found, histogram->struct_size);
    return 0;
}

int tr_stats_histogram(tr_arena *given, const char *channel, uint32_t kind,
                       tr_histogram *histogram)
{
    const struct tr_arena *arena = arena_known(given);

    return arena ? histogram_read(&arena->view, channel, kind, histogram)
                 : handle_fail(given, "histogram", "arena");
}

static bool is_filled(const tr_histogram *histogram)
{
    return histogram && histogram->struct_size == sizeof(*histogram);
}

uint64_t tr_histogram_bound(const tr_histogram *histogram, uint32_t bucket)
{
    return is_filled(histogram) ? histogram_bound(bucket) : 0;
}

/* How many values are enough: at least one. */
static uint64_t enough_of(uint64_t count, double part)
{
    double wanted = part > 0 ? part * (double)count : 0;
    uint64_t whole = wanted < (double)count ? (uint64_t)wanted : count;

    whole += (double)whole < wanted && whole < count;
    return whole ? whole : 1;
}

uint64_t tr_histogram_quantile(const tr_histogram *histogram, double part)
{
    uint64_t enough, seen = 0;

    if (!is_filled(histogram) || histogram->count == 0)
        return 0;
    enough = enough_of(histogram->count, part);
    for (uint32_t i = 0; i < TR_HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= enough)
            return histogram_bound(i);
    }
    return UINT64_MAX;
}
