/* SPDX-License-Identifier: MIT */
#include "ipc/request.h"

#include <errno.h>

#include "ipc/mutant.h"
#include "ipc/participant.h"
#include "ipc/wake.h"

static bool is_queue(const struct view *view, uint32_t index)
{
    uint64_t word;

    if (index >= view->geo.channel_count)
        return false;
    word = channel_word(view, index);
    return CHANNEL_STATE(word) == CHANNEL_READY && CHANNEL_KIND(word) == CHANNEL_QUEUE;
}

/* Index of the owner, + 1; 0 if it is no inbox. */
static uint64_t owner_of(const struct view *view, uint32_t channel)
{
    return is_queue(view, channel)
               ? shm_get(&view_channel(view, channel)->extra[INBOX_OWNER])
               : 0;
}

bool route_read(const struct view *view, uint64_t word, struct route *route)
{
    uint64_t owner = owner_of(view, ROUTE_CHANNEL(word));

    if (!route_is_request(word) || owner == 0 || owner > view->geo.participant_count ||
        channel_ring(view, ROUTE_CHANNEL(word), &route->inbox) < 0)
        return false;
    route->who = (uint32_t)owner - 1;
    return true;
}

void inbox_own(struct peer *me, uint32_t channel)
{
    shm_put(&view_channel(me->view, channel)->extra[INBOX_OWNER], me->who + 1);
    shm_put(&view_participant(me->view, me->who)->inbox, channel + 1);
}

/* After the requester was sent something: whether a sweep of it will find that. A new one in
 * the same entry finds it, too, and knows no such ticket. */
static bool still_there(const struct view *view, uint32_t who)
{
    _Atomic uint64_t *entry = &view_participant(view, who)->word;
    /* E4 acquire: as in reap.c. */
    uint64_t word = shm_load(entry, E4_LOOK);

    /* E7: a change that changes nothing. A reaper that closes the entry later reads it, and
     * so sees what we put before. */
    return MUTANT(ANSWER_BLIND) || (PARTICIPANT_STATE(word) == PARTICIPANT_LIVE &&
                                    shm_cas(entry, &word, word, E7_SWEPT));
}

int request_answer(struct peer *me, struct route *route, uint32_t slot)
{
    const struct view *view = me->view;
    uint64_t word;
    int result = ring_put(&route->inbox, me, slot);

    if (result < 0 || still_there(view, route->who))
        return result;
    /* E6 acquire: it may be ours no more. */
    word = shm_load(&view_record(view, slot)->owner, E6_LOOK);
    if (slot_is(word, SLOT_QUEUED, me) && request_unwanted(view, slot, word))
        slot_free_from(view, slot, word);
    return -EPIPE;
}

bool request_retract(struct peer *me, uint32_t slot, uint32_t channel, uint64_t route)
{
    struct slot_record *record = view_record(me->view, slot);
    /* E6 acquire: the place and the route are of this life. */
    uint64_t word = shm_load(&record->owner, E6_LOOK);

    if (!slot_is(word, SLOT_QUEUED, me) ||
        WHERE_CHANNEL(slot_where(record, word)) != channel ||
        shm_get(&record->reply_to) != route || !slot_free_from(me->view, slot, word))
        return false;
    wake_one(me->view, &view_channel(me->view, channel)->room);
    return true;
}

bool request_is_spoilt(const struct view *view, uint32_t slot)
{
    return shm_get(&view_record(view, slot)->reply_to) & ROUTE_SPOILT;
}

static bool lives(const struct view *view, uint32_t who)
{
    /* E4 acquire: as in reap.c. */
    return PARTICIPANT_STATE(shm_load(&view_participant(view, who)->word, E4_LOOK)) ==
           PARTICIPANT_LIVE;
}

bool request_bounce(const struct view *view, uint32_t slot, uint64_t word)
{
    struct slot_record *record = view_record(view, slot);
    struct route route;
    uint64_t mark;

    if (!route_read(view, shm_get(&record->reply_to), &route) || !lives(view, route.who))
        return false;
    mark = slot_word(SLOT_ORPHAN, route.who, 0, SLOT_DELIVERIES(word),
                     SLOT_GENERATION(word));
    /* E6 release: pairs with take_orphan(). */
    if (!shm_cas(&record->owner, &word, mark, E6_REAP))
        return false;
    orphan_announce(view, route.inbox.channel);
    if (!still_there(view, route.who))
        slot_free_from(view, slot, mark);
    return true;
}

bool request_unwanted(const struct view *view, uint32_t slot, uint64_t word)
{
    uint64_t where = slot_where(view_record(view, slot), word);
    uint64_t owner = owner_of(view, SLOT_STATE(word) == SLOT_ORPHAN
                                        ? orphan_channel(view, slot, word)
                                        : WHERE_CHANNEL(where));

    return owner > 0 && owner <= view->geo.participant_count &&
           !lives(view, (uint32_t)owner - 1);
}

uint32_t orphan_channel(const struct view *view, uint32_t slot, uint64_t word)
{
    struct slot_record *record = view_record(view, slot);

    return SLOT_WHO(word) == SLOT_NOBODY ? WHERE_CHANNEL(slot_where(record, word))
                                         : ROUTE_CHANNEL(shm_get(&record->reply_to));
}

void orphan_announce(const struct view *view, struct channel *channel)
{
    /* relaxed: the compare-and-swap decides. */
    uint32_t seen = shm_load(&channel->orphans, memory_order_relaxed);

    /* E3: after the slot's mark, before the look for sleepers. */
    while (!shm_cas(&channel->orphans, &seen, (seen + ORPHANS_MARK) | ORPHANS_THERE, E3))
        ;
    wake_one(view, &channel->items);
}
