/* SPDX-License-Identifier: MIT */
#include "tests/crash/audit.h"

#include <string.h>

#include "ipc/exchange/board.h"
#include "ipc/exchange/broadcast.h"
#include "ipc/exchange/channel.h"
#include "ipc/exchange/orphan.h"
#include "ipc/exchange/records.h"
#include "ipc/exchange/request.h"
#include "ipc/exchange/slot.h"
#include "ipc/liveness/participant.h"

static bool channel_is(const struct view *view, uint32_t index, uint32_t kind)
{
    uint64_t word = index < view->geo.channel_count ? channel_word(view, index) : 0;

    return CHANNEL_STATE(word) == CHANNEL_READY && CHANNEL_KIND(word) == kind;
}

/* The entry that a slot word names is taken, by the incarnation it names. */
static bool holder_lives(const struct view *view, uint64_t word)
{
    uint32_t who = SLOT_WHO(word);
    uint64_t entry;

    if (who >= view->geo.participant_count)
        return false;
    entry = shm_get(&view_participant(view, who)->word);
    return PARTICIPANT_STATE(entry) == PARTICIPANT_LIVE &&
           (PARTICIPANT_INC(entry) & 0xfff) == SLOT_INC(word);
}

static const char *audit_queued(const struct view *view, uint32_t slot, uint64_t location)
{
    struct ring ring;

    if (!channel_is(view, LOCATION_CHANNEL(location), CHANNEL_QUEUE) ||
        channel_ring(view, LOCATION_CHANNEL(location), &ring) < 0)
        return "queued in no queue";
    return ring_names(&ring, LOCATION_POSITION(location), slot)
               ? NULL
               : "queued, and its cell does not name it";
}

static const char *audit_orphan(const struct view *view, uint32_t index)
{
    if (!channel_is(view, index, CHANNEL_QUEUE))
        return "an orphan of no queue";
    return shm_get(&view_channel(view, index)->orphans) & ORPHANS_THERE
               ? NULL
               : "an orphan that its queue does not know of";
}

static const char *audit_shared(const struct view *view, uint32_t slot, uint64_t at)
{
    uint32_t index = LOCATION_CHANNEL(at);

    if (channel_is(view, index, CHANNEL_BROADCAST))
        return broadcast_names(view, index, LOCATION_POSITION(at), slot)
                   ? NULL
                   : "shared, and its broadcast does not name it";
    if (channel_is(view, index, CHANNEL_BOARD))
        return board_names(view, index, LOCATION_POSITION(at), slot)
                   ? NULL
                   : "shared, and its board does not name it";
    return "shared on nothing";
}

static const char *audit_slot(const struct view *view, uint32_t slot, struct audit *audit)
{
    struct slot_record *record = view_record(view, slot);
    uint64_t word = shm_get(&record->owner);

    switch (SLOT_STATE(word)) {
    case SLOT_FREE:
        audit->free++;
        return NULL;
    case SLOT_LOANED:
    case SLOT_RECEIVED:
    case SLOT_PUTTING:
        audit->held++;
        return holder_lives(view, word) ? NULL : "held by nobody alive";
    case SLOT_QUEUED:
        audit->queued++;
        return audit_queued(view, slot, slot_location(record, word));
    case SLOT_ORPHAN:
        audit->orphans++;
        return audit_orphan(view, orphan_channel(view, slot, word));
    case SLOT_SHARED:
        audit->shared++;
        return audit_shared(view, slot, slot_location(record, word));
    case SLOT_RETIRED:
        audit->retired++;
        return NULL;
    }
    return "in no state";
}

static const char *audit_entry(const struct view *view, uint32_t i, struct audit *audit)
{
    uint64_t word = shm_get(&view_participant(view, i)->word);
    const _Atomic uint64_t *pins = view_pins(view, i);

    if (PARTICIPANT_STATE(word) == PARTICIPANT_FREE)
        return NULL;
    if (PARTICIPANT_STATE(word) != PARTICIPANT_LIVE)
        return "an entry that is still being swept";
    audit->living++;
    for (uint32_t p = 0; p < view->geo.pin_count; p++)
        audit->pins += shm_get(&pins[p]) != 0;
    return NULL;
}

void audit_arena(const struct view *view, struct audit *audit)
{
    memset(audit, 0, sizeof(*audit));
    for (uint32_t s = records_from(view, 0); s < view->geo.slot_count && !audit->fault;
         s = records_from(view, s + 1)) {
        audit->slot = s;
        audit->fault = audit_slot(view, s, audit);
    }
    for (uint32_t i = 0; i < view->geo.participant_count && !audit->fault; i++)
        audit->fault = audit_entry(view, i, audit);
}
