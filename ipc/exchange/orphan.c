/* SPDX-License-Identifier: MIT */
#include "ipc/exchange/orphan.h"

#include "ipc/route_word.h"
#include "ipc/signal/wake.h"
#include "ipc/slot_word.h"

uint32_t orphan_channel(const struct view *view, uint32_t slot, uint64_t word)
{
    struct slot_record *record = view_record(view, slot);

    return SLOT_WHO(word) == SLOT_NOBODY ? LOCATION_CHANNEL(slot_location(record, word))
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
