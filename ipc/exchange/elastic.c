/* SPDX-License-Identifier: MIT */
#include "ipc/exchange/elastic.h"

#include <errno.h>

#include "ipc/exchange/budget.h"
#include "ipc/exchange/pages.h"
#include "ipc/exchange/reclaim.h"
#include "ipc/exchange/records.h"
#include "ipc/exchange/request.h"
#include "ipc/exchange/shared.h"
#include "ipc/exchange/slot.h"

/* What nobody reads any more is freed: messages of broadcasts, values of boards and replies. If it
 * is nothing and @p lossy, a broadcast gives up messages that are not read yet, as far as its policy
 * allows: from the largest class on, so that few are lost. Whether it was any. */
static bool collect(const struct view *view, bool lossy)
{
    bool any = false;

    for (uint32_t c = 0; c < view->geo.class_count; c++)
        any |= reclaim_shared(view, c, false) || request_collect(view, c);
    for (uint32_t c = view->geo.class_count; c > 0 && lossy && !any; c--)
        any = reclaim_shared(view, c - 1, true);
    return any;
}

bool elastic_has_room(const struct view *view, uint64_t bytes)
{
    struct budget_use use;

    if (view->geo.memory_bytes == 0)
        return true;
    use = budget_use(view);
    return use.reserved - use.warm + bytes <= view->geo.memory_bytes;
}

/* The arena's limit, or the machine's. Of the machine's only what nobody reads is given back: others
 * than we may have all the rest. In a lazy arena a driver may have registered the memory of free
 * slots: there only tr_arena_trim() gives it back. */
static bool is_short(const struct view *view, int result)
{
    return result == -ENOBUFS ||
           (view_elastic(view) && (result == -ENOSPC || result == -ENOMEM));
}

int elastic_reserve(struct peer *me, uint32_t slot, uint64_t bytes,
                    struct shortage *shortage)
{
    int result = pages_reserve(me->view, slot, bytes, shortage);
    bool more = true;

    while (is_short(me->view, result) && more) {
        (void)reclaim_memory(me);
        result = pages_reserve(me->view, slot, bytes, shortage);
        more = is_short(me->view, result) && collect(me->view, result == -ENOBUFS);
    }
    return result;
}

/* New slots of class @p c. */
static int more_slots(struct elastic_wish *wish, uint32_t c)
{
    int result = records_more(wish->me, c, &wish->shortage);

    return is_short(wish->me->view, result) && reclaim_memory(wish->me)
               ? records_more(wish->me, c, &wish->shortage)
               : result;
}

/* A slot of class @p c that is free, or was never used. -EAGAIN, -errno. */
static int find_in(struct elastic_wish *wish, uint32_t c)
{
    int result = 0;

    while (result == 0 && slot_loan(wish->me, c, &wish->slot) < 0)
        result = more_slots(wish, c);
    return result;
}

/* The smallest class that has a free slot: a larger slot costs nothing more. Then the smallest where
 * a broadcast may give one up. */
static int find(struct elastic_wish *wish)
{
    const struct view *view = wish->me->view;
    int result = -EAGAIN;

    for (uint32_t c = wish->c; c < view->geo.class_count; c++) {
        int found = find_in(wish, c);

        if (found == 0)
            return 0;
        result = found != -EAGAIN ? found : result;
    }
    for (uint32_t c = wish->c; c < view->geo.class_count; c++)
        if (reclaim_shared(view, c, true) && slot_loan(wish->me, c, &wish->slot) == 0)
            return 0;
    return result;
}

int elastic_loan(struct elastic_wish *wish, bool found)
{
    int result = found ? 0 : find(wish);

    if (result < 0)
        return result;
    pages_taken(wish->me->view, wish->slot);
    result = elastic_reserve(wish->me, wish->slot, wish->bytes, &wish->shortage);
    if (result == 0)
        return 0;
    slot_free(wish->me, wish->slot);
    return result == -ENOBUFS ? -EAGAIN : result;
}

int elastic_attempt(void *context)
{
    struct elastic_wish *wish = context;

    while (!elastic_has_room(wish->me->view, pages_for(wish->bytes)))
        if (!collect(wish->me->view, true))
            return -EAGAIN;
    return elastic_loan(wish, false);
}
