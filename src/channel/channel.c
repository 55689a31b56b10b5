/* SPDX-License-Identifier: MIT */
#include "src/channel/channel.h"

#include <errno.h>
#include <string.h>
#include <tensoring/queue.h>
#include <time.h>

#include "src/base/error.h"
#include "src/base/options.h"
#include "src/base/text_check.h"

#define MAKER_NS INT64_C(1000000000)

int channel_name_check(const char *name)
{
    size_t length = name ? strlen(name) : 0;

    if (!name)
        return null_fail("channel open", "name");
    if (length == 0)
        return tr_fail(TR_EINVAL, "channel open: the name is empty");
    if (length > TR_MAX_CHANNEL_NAME)
        return tr_fail(TR_ENAMETOOLONG,
                       "channel \"%.20s...\": the name has %zu bytes, the "
                       "limit is %d",
                       name, length, TR_MAX_CHANNEL_NAME);
    return text_check("channel open", "the name", name);
}

static int explain_room(const struct view *view, const struct channel_spec *spec)
{
    uint64_t all = view->geo.rings_bytes;
    /* relaxed: a report. */
    uint64_t used = shm_load(&view_live(view)->rings_used, memory_order_relaxed);

    return tr_fail(
        TR_ENOSPC,
        "channel \"%s\" needs %llu of the %llu bytes for rings and tables, %llu "
        "are left; create the arena with a larger ring_bytes",
        spec->name, (unsigned long long)channel_needs(spec), (unsigned long long)all,
        (unsigned long long)(used < all ? all - used : 0));
}

int channel_broken(const char *kind, const char *name)
{
    return tr_fail(TR_ECORRUPT, "%s \"%s\": its entry is corrupted", kind, name);
}

/* What the channel of that name is. */
static const char *kind_name(const struct view *view, uint32_t index)
{
    static const char *const names[] = {
        [CHANNEL_QUEUE] = "queue",
        [CHANNEL_BROADCAST] = "broadcast",
        [CHANNEL_BOARD] = "board",
    };
    uint32_t kind = CHANNEL_KIND(channel_word(view, index));

    return kind > 0 && kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "channel";
}

/* @p index: the channel that has the name, for -EEXIST. */
static int explain_open(struct tr_arena *arena, const char *name, int result,
                        uint32_t index)
{
    switch (result) {
    case -ENOSPC:
        return tr_fail(
            TR_ENOSPC,
            "channel \"%s\": all %u channels are taken; create the arena with a "
            "larger max_channels",
            name, arena->view.geo.channel_count);
    case -EAGAIN:
        return tr_fail(TR_EAGAIN,
                       "channel \"%s\": its maker is alive and not ready "
                       "after 1 s; is it stopped?",
                       name);
    case -EEXIST:
        return tr_fail(TR_EINVAL,
                       "the channel \"%s\" that is there is a %s; choose another name",
                       name, kind_name(&arena->view, index));
    default:
        return channel_broken("channel", name);
    }
}

int channel_open_waiting(struct tr_arena *arena, const struct channel_spec *spec,
                         uint32_t *index)
{
    static const struct timespec pause = {.tv_nsec = 100000};
    int64_t waited = 0;
    int result;

    for (;;) {
        result = channel_open(&arena->self, spec, index);
        if (result != -EAGAIN || waited >= MAKER_NS)
            break;
        /* Rare and short: another process is between two stores. */
        clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
        waited += pause.tv_nsec;
    }
    if (result == -ENOBUFS)
        return explain_room(&arena->view, spec);
    return result < 0 ? explain_open(arena, spec->name, result, *index) : 0;
}
