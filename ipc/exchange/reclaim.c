/* SPDX-License-Identifier: MIT */
#include "ipc/exchange/reclaim.h"

#include <errno.h>

#include "ipc/exchange/broadcast.h"
#include "ipc/exchange/budget.h"
#include "ipc/exchange/channel.h"
#include "ipc/exchange/pages.h"
#include "ipc/exchange/records.h"
#include "ipc/exchange/request.h"
#include "ipc/exchange/shared.h"
#include "ipc/exchange/slot.h"
#include "ipc/path.h"

/* The first broadcast from channel *@p i on; *@p i is moved behind it. False: there is none. */
static bool next_broadcast(const struct view *view, uint32_t *i, struct broadcast *out)
{
    for (uint32_t at = *i; at < view->geo.channel_count; at++) {
        uint64_t word = channel_word(view, at);

        if (CHANNEL_STATE(word) == CHANNEL_READY &&
            CHANNEL_KIND(word) == CHANNEL_BROADCAST &&
            broadcast_view(view, at, out) == 0) {
            *i = at + 1;
            return true;
        }
    }
    return false;
}

static bool relieve(const struct view *view, uint32_t c, bool drop)
{
    struct broadcast broadcast;
    uint32_t i = 0;

    while (next_broadcast(view, &i, &broadcast))
        if (broadcast_give_up(&broadcast, c, drop))
            return true;
    return false;
}

bool reclaim_could_drop(const struct view *view, uint32_t c)
{
    struct broadcast broadcast;
    uint32_t i = 0;

    while (next_broadcast(view, &i, &broadcast))
        if (broadcast_could_give_up(&broadcast, c))
            return true;
    return false;
}

bool reclaim_shared(const struct view *view, uint32_t c, bool lossy)
{
    bool shared = false;

    if (shared_free_retired(view, c, &shared))
        return true;
    return shared && (relieve(view, c, false) || (lossy && relieve(view, c, true)));
}

static ASIDE int loan_reclaimed(struct self *me, uint32_t c, uint32_t *slot)
{
    /* An elastic arena takes a larger slot before it loses a message. */
    return reclaim_shared(me->view, c, !view_elastic(me->view)) ||
                   request_collect(me->view, c)
               ? slot_loan_free(me, c, slot)
               : -EAGAIN;
}

PATH_ACROSS int slot_loan(struct self *me, uint32_t c, uint32_t *slot)
{
    int result = slot_loan_free(me, c, slot);

    return LIKELY(result == 0) ? 0 : loan_reclaimed(me, c, slot);
}

static bool has_free(const struct view *view, uint32_t c)
{
    uint32_t first = view->geo.classes[c].first_slot, count = records_used(view, c);

    for (uint32_t i = 0; i < count; i++)
        /* E3: the look after a loaner's announcement. */
        if (SLOT_STATE(shm_load(&view_record(view, first + i)->owner, E3)) == SLOT_FREE)
            return true;
    return false;
}

bool slot_may_loan(const struct view *view, uint32_t c)
{
    return has_free(view, c) || reclaim_shared(view, c, false) ||
           request_collect(view, c);
}

uint64_t reclaim_memory(struct self *me)
{
    const struct view *view = me->view;
    uint64_t given = 0;

    for (uint32_t slot = records_from(view, 0); slot < view->geo.slot_count;
         slot = records_from(view, slot + 1)) {
        if (!(shm_get(&view_record(view, slot)->memory) & MEMORY_THERE) ||
            !slot_loan_this(me, slot))
            continue;
        if (view_elastic(view))
            pages_taken(view, slot);
        (void)pages_trim(view, slot, &given);
        slot_free(me, slot);
    }
    if (view_elastic(view))
        budget_recount(view);
    return given;
}
