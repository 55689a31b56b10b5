/* SPDX-License-Identifier: MIT */
/* broadcast_places.c - the table of subscribers, for reports and for the reaper. */
#include "ipc/exchange/broadcast.h"
#include "ipc/exchange/place_word.h"

uint32_t broadcast_subscribers(const struct broadcast *b)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < b->place_count; i++) {
        /* relaxed: a report. */
        uint64_t word = shm_load(&b->places[i].word, memory_order_relaxed);

        count += PLACE_STATE(word) == PLACE_ACTIVE && place_alive(b->view, word);
    }
    return count;
}

void broadcast_forget(const struct view *view, uint32_t index, uint32_t who, uint32_t inc)
{
    struct broadcast b;

    if (broadcast_view(view, index, &b) < 0)
        return;
    for (uint32_t i = 0; i < b.place_count; i++) {
        /* relaxed: the compare-and-swap decides. */
        uint64_t word = shm_load(&b.places[i].word, memory_order_relaxed);

        if (PLACE_STATE(word) != PLACE_FREE && PLACE_WHO(word) == who &&
            PLACE_INC(word) == inc)
            shm_cas(&b.places[i].word, &word, PLACE_FREE,
                    E13); /* E13: as unsubscribing */
    }
}
