/* SPDX-License-Identifier: MIT */
#include "ipc/exchange/receivers.h"

#include "ipc/exchange/channel.h"
#include "ipc/hooks.h"

static _Atomic uint64_t *word_of(const struct view *view, uint32_t channel, uint32_t who)
{
    return &view_channel(view, channel)->extra[QUEUE_RECEIVERS + who / 64];
}

static uint64_t bit_of(uint32_t who)
{
    return UINT64_C(1) << who % 64;
}

void receivers_note(const struct self *me, uint32_t channel)
{
    /* relaxed: a report. */
    shm_or(word_of(me->view, channel, me->who), bit_of(me->who), memory_order_relaxed);
}

void receivers_forget(const struct view *view, uint32_t who)
{
    for (uint32_t i = 0; i < view->geo.channel_count; i++)
        if (CHANNEL_KIND(shm_get(&view_channel(view, i)->word)) == CHANNEL_QUEUE &&
            shm_get(word_of(view, i, who)) & bit_of(who))
            /* relaxed: the next in this entry comes after, by E7. */
            shm_and(word_of(view, i, who), ~bit_of(who), memory_order_relaxed);
}

bool receivers_has(const struct view *view, uint32_t channel, uint32_t who)
{
    /* relaxed: a report. */
    return shm_get(word_of(view, channel, who)) & bit_of(who) &&
           PARTICIPANT_STATE(shm_get(&view_participant(view, who)->word)) ==
               PARTICIPANT_LIVE &&
           !hooks->dead(view, who);
}

uint32_t receivers_count(const struct view *view, uint32_t channel)
{
    uint32_t count = 0;

    for (uint32_t who = 0; who < view->geo.participant_count; who++)
        count += receivers_has(view, channel, who);
    return count;
}
