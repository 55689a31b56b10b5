/* SPDX-License-Identifier: MIT */
#include "ipc/exchange/shared_sweep.h"

#include "ipc/exchange/board.h"
#include "ipc/exchange/broadcast.h"
#include "ipc/exchange/channel.h"
#include "ipc/exchange/shared.h"
#include "ipc/mutant.h"

/* Whether the cell that should name the slot does. */
static bool named(const struct view *view, uint32_t slot, uint64_t owner)
{
    uint64_t at = slot_location(view_record(view, slot), owner), word;
    uint32_t index = LOCATION_CHANNEL(at);

    if (index >= view->geo.channel_count)
        return false;
    word = channel_word(view, index);
    if (CHANNEL_STATE(word) != CHANNEL_READY)
        return false;
    if (CHANNEL_KIND(word) == CHANNEL_BROADCAST)
        return broadcast_names(view, index, LOCATION_POSITION(at), slot);
    return CHANNEL_KIND(word) == CHANNEL_BOARD &&
           board_names(view, index, LOCATION_POSITION(at), slot);
}

bool shared_sweep(const struct view *view, uint32_t slot, uint64_t word)
{
    bool there = SLOT_STATE(word) == SLOT_RETIRED ||
                 (named(view, slot, word) && !MUTANT(NEVER_NAMED));

    if (SLOT_STATE(word) == SLOT_RETIRED)
        shared_free(view, slot, word);
    else if (SLOT_STATE(word) == SLOT_SHARED && !there)
        shared_retire(view, slot, word, true);
    else if (SLOT_STATE(word) == SLOT_PUTTING && there)
        shared_finish(view, slot, word);
    return there;
}
