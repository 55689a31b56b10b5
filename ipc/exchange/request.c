/* SPDX-License-Identifier: MIT */
#include "ipc/exchange/request.h"

#include "ipc/exchange/orphan.h"
#include "ipc/exchange/owned.h"
#include "ipc/exchange/records.h"
#include "ipc/exchange/slot.h"
#include "ipc/mutant.h"
#include "ipc/order.h"
#include "ipc/signal/wake.h"

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

/* The words of an inbox's tickets, behind its cells. NULL: they are corrupted. */
static _Atomic uint64_t *tickets_of(const struct ring *inbox, uint64_t *count)
{
    *count = shm_get(&inbox->channel->extra[INBOX_TICKETS]);
    if (*count == 0 || *count & (*count - 1) || *count > inbox->words - inbox->capacity)
        return NULL;
    return inbox->cells + inbox->capacity;
}

bool route_read(const struct view *view, uint64_t word, struct route *route)
{
    uint64_t owner = owner_of(view, ROUTE_CHANNEL(word)), count;

    if (!route_is_request(word) || owner == 0 || owner > view->geo.participant_count ||
        channel_ring(view, ROUTE_CHANNEL(word), &route->inbox) < 0)
        return false;
    route->ticket = tickets_of(&route->inbox, &count);
    if (!route->ticket)
        return false;
    route->who = (uint32_t)owner - 1;
    route->ticket += ROUTE_TICKET(word) & (count - 1);
    route->waits = TICKET_WAITS(ROUTE_TICKET(word));
    return true;
}

_Atomic uint64_t *inbox_own(struct self *me, uint32_t channel, uint32_t tickets)
{
    _Atomic uint64_t *words;
    struct ring ring;
    uint64_t count;

    if (channel_ring(me->view, channel, &ring) < 0)
        return NULL;
    shm_put(&ring.channel->extra[INBOX_TICKETS], tickets);
    words = tickets_of(&ring, &count);
    if (!words)
        return NULL;
    shm_put(&ring.channel->extra[INBOX_OWNER], me->who + 1);
    shm_put(&view_participant(me->view, me->who)->inbox, channel + 1);
    return words;
}

static uint64_t ended(uint64_t word)
{
    return word ? word | TICKET_ENDED : 0;
}

void ticket_give_up(_Atomic uint64_t *ticket, void (*drain)(void *context), void *context)
{
    if (MUTANT(DRAIN_FIRST))
        drain(context);
    /* E17: before the look into the inbox. */
    shm_store(ticket, ended(shm_get(ticket)), E17);
    if (!MUTANT(DRAIN_FIRST))
        drain(context);
}

static bool waits(const struct route *route)
{
    /* E17: after the put. */
    return shm_load(route->ticket, E17) == route->waits;
}

/* No room in the ring: the slot itself waits in the inbox, as a message of a dead receiver does. */
static uint64_t put_beside(struct self *me, struct route *route, uint32_t slot,
                           uint64_t mine)
{
    struct slot_record *record = view_record(me->view, slot);
    uint32_t generation = SLOT_GENERATION(mine) + 1;
    uint64_t mark = slot_word(SLOT_ORPHAN, SLOT_NOBODY, 0, 0, generation);

    ASSERT_HELD(me, record);
    /* relaxed: before the word that says that it counts. */
    shm_store(slot_location_word(record, generation),
              LOCATION(route->inbox.index, LOCATION_NOWHERE), memory_order_relaxed);
    /* E6 release: pairs with take_orphan(). */
    (void)shm_exchange(&record->owner, mark, E6_REAP);
    orphan_announce(me->view, route->inbox.channel);
    return mark;
}

/* Put the reply into the inbox. What the slot's word is by that. */
static uint64_t put(struct self *me, struct route *route, uint32_t slot)
{
    _Atomic uint64_t *owner = &view_record(me->view, slot)->owner;
    /* relaxed: the slot is ours, here and below. */
    uint64_t mine = shm_load(owner, memory_order_relaxed);

    if (ring_put(&route->inbox, me, slot) == 0)
        return slot_queued(mine, me);
    return put_beside(me, route, slot, shm_load(owner, memory_order_relaxed));
}

bool request_answer(struct self *me, struct route *route, uint32_t slot)
{
    uint64_t word = put(me, route, slot);

    if (MUTANT(ANSWER_BLIND) || waits(route))
        return true;
    if (MUTANT(FREE_ANY)) {
        /* E6 acquire: it may no longer be ours. */
        word = shm_load(&view_record(me->view, slot)->owner, E6_LOOK);
        if (!slot_is(word, SLOT_QUEUED, me))
            return false;
    }
    /* The very word that we put: the slot may have gone on, and be another thread's. Then the
     * requester has the reply, or has dropped it itself. */
    return !slot_free_from(me->view, slot, word);
}

bool slot_is_placed(const struct view *view, uint32_t slot, uint64_t word)
{
    uint64_t location = slot_location(view_record(view, slot), word);
    struct ring ring;

    return is_queue(view, LOCATION_CHANNEL(location)) &&
           channel_ring(view, LOCATION_CHANNEL(location), &ring) == 0 &&
           ring_names(&ring, LOCATION_POSITION(location), slot);
}

bool request_retract(const struct view *view, uint32_t slot, uint64_t route)
{
    struct slot_record *record = view_record(view, slot);
    /* E6 acquire: the location and the route are of this use. */
    uint64_t word = shm_load(&record->owner, E6_LOOK);
    uint32_t channel = LOCATION_CHANNEL(slot_location(record, word));
    bool there = SLOT_STATE(word) == SLOT_QUEUED
                     ? slot_is_placed(view, slot, word)
                     : SLOT_STATE(word) == SLOT_ORPHAN && SLOT_WHO(word) == SLOT_NOBODY;

    if (!there || shm_get(&record->reply_to) != route ||
        channel == ROUTE_CHANNEL(route) || !slot_free_from(view, slot, word))
        return false;
    if (channel < view->geo.channel_count)
        wake_one(view, &view_channel(view, channel)->room);
    return true;
}

static bool lives(const struct view *view, uint32_t who)
{
    /* E4 acquire: as in reap.c. */
    return PARTICIPANT_STATE(shm_load(&view_participant(view, who)->word, E4_LOOK)) ==
           PARTICIPANT_LIVE;
}

bool request_is_good(const struct view *view, uint32_t slot)
{
    uint64_t word = shm_get(&view_record(view, slot)->reply_to);
    struct route route;

    if (word & ROUTE_NO_REDELIVER)
        return false;
    return !route_is_request(word) || !route_read(view, word, &route) ||
           !lives(view, route.who) || waits(&route);
}

bool request_fail_to_requester(const struct view *view, uint32_t slot, uint64_t word)
{
    struct slot_record *record = view_record(view, slot);
    struct route route;
    uint64_t mark;

    if (!route_read(view, shm_get(&record->reply_to), &route) || !waits(&route))
        return false;
    mark = slot_word(SLOT_ORPHAN, route.who, 0, SLOT_DELIVERIES(word),
                     SLOT_GENERATION(word));
    /* E6 release: pairs with take_orphan(). */
    if (!shm_cas(&record->owner, &word, mark, E6_REAP))
        return false;
    orphan_announce(view, route.inbox.channel);
    if (!waits(&route)) /* as a server does */
        slot_free_from(view, slot, mark);
    return true;
}

void request_end_all(const struct view *view, uint32_t who)
{
    uint64_t inbox = shm_get(&view_participant(view, who)->inbox), count = 0;
    _Atomic uint64_t *tickets;
    struct ring ring;

    if (inbox == 0 || inbox > view->geo.channel_count ||
        owner_of(view, (uint32_t)inbox - 1) != who + 1 ||
        channel_ring(view, (uint32_t)inbox - 1, &ring) < 0)
        return;
    tickets = tickets_of(&ring, &count);
    for (uint64_t i = 0; tickets && i < count; i++)
        /* E17: before the looks below. */
        shm_store(&tickets[i], ended(shm_get(&tickets[i])), E17);
    ring_watch(&ring);
}

/* Whose inbox the slot lies in, which is QUEUED or ORPHAN. */
static uint32_t channel_of(const struct view *view, uint32_t slot, uint64_t word)
{
    return SLOT_STATE(word) == SLOT_ORPHAN
               ? orphan_channel(view, slot, word)
               : LOCATION_CHANNEL(slot_location(view_record(view, slot), word));
}

bool request_is_unclaimed(const struct view *view, uint32_t slot, uint64_t word)
{
    uint64_t owner = owner_of(view, channel_of(view, slot, word));

    return owner > 0 && owner <= view->geo.participant_count &&
           !lives(view, (uint32_t)owner - 1);
}

/* Whether a slot, which had @p word, is a reply that nobody waits for. */
static bool is_stale(const struct view *view, uint32_t slot, uint64_t word)
{
    uint64_t reply_to = shm_get(&view_record(view, slot)->reply_to);
    struct route route;

    if (!route_is_request(reply_to) ||
        channel_of(view, slot, word) != ROUTE_CHANNEL(reply_to) ||
        (SLOT_STATE(word) == SLOT_QUEUED && !slot_is_placed(view, slot, word)) ||
        !route_read(view, reply_to, &route))
        return false;
    return !waits(&route);
}

bool request_collect(const struct view *view, uint32_t c)
{
    uint32_t first = view->geo.classes[c].first_slot, end = first + records_used(view, c);
    bool any = false;

    for (uint32_t slot = first; slot < end && !MUTANT(STALE_KEPT); slot++) {
        /* E6 acquire: the location and the route are of this use. */
        uint64_t word = shm_load(&view_record(view, slot)->owner, E6_LOOK);

        if ((SLOT_STATE(word) != SLOT_QUEUED && SLOT_STATE(word) != SLOT_ORPHAN) ||
            !is_stale(view, slot, word) || !slot_free_from(view, slot, word))
            continue;
        view_count(view, COUNT_STALE_REPLIES, 1);
        any = true;
    }
    return any;
}
