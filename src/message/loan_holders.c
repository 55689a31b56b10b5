/* SPDX-License-Identifier: MIT */
/* loan_holders.c - which processes have the slots, or memory, that a loan waited for without
 * success. */
#include "ipc/exchange/pages.h"
#include "ipc/exchange/records.h"
#include "ipc/exchange/shared.h"
#include "ipc/exchange/slot.h"
#include "src/arena/arena.h"
#include "src/base/error.h"
#include "src/base/whois.h"

/* The state costs some system calls: only for a loan that waited. */
static void add_holder(const struct tr_arena *arena, uint32_t who, bool state)
{
    tr_fail_more(", participant %u (pid %u%s%s)", who,
                 shm_get(&view_participant(&arena->view, who)->pid), state ? ", " : "",
                 state ? whois_state(&arena->view, arena->self.who, who) : "");
}

void arena_explain_holders(struct tr_arena *arena, uint32_t c, bool states)
{
    const struct view *view = &arena->view;
    const struct slot_class *class = &view->geo.classes[c];
    uint32_t held[MAX_PARTICIPANTS] = {0}, queued = 0, shared = 0, shown = 0;
    uint32_t used = records_used(view, c);

    for (uint32_t i = 0; i < used; i++) {
        /* relaxed: a report, not a decision. */
        uint64_t word = shm_get(&view_record(view, class->first_slot + i)->owner);

        if (SLOT_STATE(word) == SLOT_LOANED || SLOT_STATE(word) == SLOT_RECEIVED)
            held[SLOT_WHO(word) % MAX_PARTICIPANTS]++;
        else if (SLOT_STATE(word) == SLOT_QUEUED || SLOT_STATE(word) == SLOT_ORPHAN)
            queued++;
        else if (SLOT_STATE(word) != SLOT_FREE)
            shared++;
    }
    tr_fail_more("; %u queued, %u shared", queued, shared);
    for (uint32_t i = 0; i < view->geo.participant_count && shown < 8; i++) {
        uint32_t reads = shared_pinned(view, i, c);

        if (!held[i] && !reads)
            continue;
        add_holder(arena, i, states);
        tr_fail_more(" holds %u", held[i]);
        if (reads)
            tr_fail_more(" and reads %u", reads);
        shown++;
    }
}

static bool is_held(uint64_t word)
{
    return SLOT_STATE(word) == SLOT_LOANED || SLOT_STATE(word) == SLOT_RECEIVED;
}

void arena_explain_memory(struct tr_arena *arena, bool states)
{
    const struct view *view = &arena->view;
    uint64_t held[MAX_PARTICIPANTS] = {0}, others = 0;
    uint32_t shown = 0;

    for (uint32_t slot = records_from(view, 0); slot < view->geo.slot_count;
         slot = records_from(view, slot + 1)) {
        /* relaxed: a report, not a decision. */
        uint64_t word = shm_get(&view_record(view, slot)->owner);

        if (is_held(word))
            held[SLOT_WHO(word) % MAX_PARTICIPANTS] += view_memory(view, slot);
        else if (SLOT_STATE(word) != SLOT_FREE)
            others += view_memory(view, slot);
    }
    tr_fail_more("; %lu bytes are queued or shared", (unsigned long)others);
    for (uint32_t i = 0; i < view->geo.participant_count && shown < 8; i++) {
        if (!held[i])
            continue;
        add_holder(arena, i, states);
        tr_fail_more(" holds %lu bytes", (unsigned long)held[i]);
        shown++;
    }
}
