/* SPDX-License-Identifier: MIT */
#include "ipc/exchange/elastic.h"

#include <errno.h>

#include "ipc/exchange/budget.h"
#include "ipc/exchange/owned.h"
#include "ipc/exchange/pages.h"
#include "ipc/exchange/reclaim.h"
#include "ipc/exchange/records.h"
#include "ipc/exchange/request.h"
#include "ipc/exchange/shared.h"
#include "ipc/exchange/slot.h"

/* Free what nobody reads any more: messages of broadcasts, values of boards and replies. If there
 * is nothing and @p lossy, a broadcast gives up messages that are not read yet, as far as its
 * policy allows: from the largest class on, so that few are lost. Whether it was any. */
static bool collect(const struct view *view, bool lossy)
{
    bool any = false;

    for (uint32_t c = 0; c < view->geo.class_count; c++)
        any |= reclaim_shared(view, c, false) || request_collect(view, c);
    for (uint32_t c = view->geo.class_count; c > 0 && lossy && !any; c--)
        any = reclaim_shared(view, c - 1, true);
    return any;
}

/* Whether a broadcast could give up a message in a slot of class @p c or a larger one. */
static bool could_drop(const struct view *view, uint32_t c)
{
    for (; c < view->geo.class_count; c++)
        if (reclaim_could_drop(view, c))
            return true;
    return false;
}

bool elastic_has_room(const struct view *view, uint64_t bytes)
{
    struct budget_use use;

    if (view->geo.memory_bytes == 0)
        return true;
    use = budget_use(view);
    return use.reserved - use.warm + bytes <= view->geo.memory_bytes;
}

/* The arena's limit, or the machine's. Of the machine's only what nobody reads is given back: other
 * processes may have all the rest. In a lazy arena a driver may have registered the memory of free
 * slots: there only tr_arena_trim() gives it back. */
static bool is_short(const struct view *view, int result)
{
    return result == -ENOBUFS ||
           (view_elastic(view) && (result == -ENOSPC || result == -ENOMEM));
}

int elastic_reserve(struct self *me, uint32_t slot, uint64_t bytes,
                    struct shortage *shortage)
{
    bool more = true;
    int result;

    ASSERT_HELD(me, view_record(me->view, slot));
    result = pages_reserve(me->view, slot, bytes, shortage);
    while (is_short(me->view, result) && more) {
        (void)reclaim_memory(me);
        result = pages_reserve(me->view, slot, bytes, shortage);
        more = is_short(me->view, result) && collect(me->view, result == -ENOBUFS);
    }
    return result;
}

/* New slots of class @p c. */
static int more_slots(struct elastic_spec *spec, uint32_t c)
{
    int result = records_more(spec->me, c, &spec->shortage);

    return is_short(spec->me->view, result) && reclaim_memory(spec->me)
               ? records_more(spec->me, c, &spec->shortage)
               : result;
}

/* A slot of class @p c that is free, or was never used. -EAGAIN, -errno. */
static int find_in(struct elastic_spec *spec, uint32_t c)
{
    int result = 0;

    while (result == 0 && slot_loan(spec->me, c, &spec->slot) < 0)
        result = more_slots(spec, c);
    return result;
}

/* The smallest class that has a free slot: a larger slot costs nothing more. Then the smallest
 * where a broadcast may give one up. */
static int find(struct elastic_spec *spec)
{
    const struct view *view = spec->me->view;
    int result = -EAGAIN;

    for (uint32_t c = spec->c; c < view->geo.class_count; c++) {
        int found = find_in(spec, c);

        if (found == 0)
            return 0;
        result = found != -EAGAIN ? found : result;
    }
    for (uint32_t c = spec->c; c < view->geo.class_count; c++)
        if (reclaim_shared(view, c, true) && slot_loan(spec->me, c, &spec->slot) == 0)
            return 0;
    return result;
}

int elastic_loan(struct elastic_spec *spec, bool found)
{
    int result = found ? 0 : find(spec);

    if (result < 0)
        return result;
    pages_taken(spec->me->view, spec->slot);
    result = elastic_reserve(spec->me, spec->slot, spec->bytes, &spec->shortage);
    if (result == 0)
        return 0;
    slot_free(spec->me, spec->slot);
    return result == -ENOBUFS ? -EAGAIN : result;
}

/* Whether a slot of class @p c or a larger one is there, or was never used. */
static bool may_find(const struct view *view, uint32_t c)
{
    for (uint32_t i = c; i < view->geo.class_count; i++)
        if (records_used(view, i) < view->geo.classes[i].count || slot_may_loan(view, i))
            return true;
    return could_drop(view, c);
}

bool elastic_may_loan(const struct view *view, uint32_t c, uint64_t bytes)
{
    while (!elastic_has_room(view, pages_for(bytes)))
        if (!collect(view, false))
            return could_drop(view, 0);
    return may_find(view, c);
}

int elastic_attempt(void *context)
{
    struct elastic_spec *spec = context;

    while (!elastic_has_room(spec->me->view, pages_for(spec->bytes)))
        if (!collect(spec->me->view, true))
            return -EAGAIN;
    return elastic_loan(spec, false);
}
