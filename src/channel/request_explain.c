/* SPDX-License-Identifier: MIT */
#include "src/channel/request_explain.h"

#include "ipc/exchange/receivers.h"
#include "ipc/exchange/records.h"
#include "ipc/exchange/request.h"
#include "src/arena/arena.h"
#include "src/base/error.h"
#include "src/base/whois.h"

#define SHOWN 8 /* participants at most, in one sentence */

static void add_participant(const struct tr_arena *arena, uint32_t who)
{
    tr_fail_more(", participant %u (pid %u, %s)", who,
                 shm_get(&view_participant(&arena->view, who)->pid),
                 whois_state(&arena->view, arena->self.who, who));
}

void request_explain_one(const struct tr_arena *arena, uint32_t slot, uint64_t route)
{
    struct slot_record *record;
    uint64_t word;

    if (slot >= arena->view.geo.slot_count)
        return;
    record = view_record(&arena->view, slot);
    word = shm_get(&record->owner);
    if ((shm_get(&record->reply_to) & ~ROUTE_NO_REDELIVER) != route) {
        tr_fail_more("; a server had it");
    } else if (SLOT_STATE(word) == SLOT_RECEIVED) {
        tr_fail_more("; a server has it");
        add_participant(arena, SLOT_WHO(word) % MAX_PARTICIPANTS);
    } else if (SLOT_STATE(word) == SLOT_ORPHAN) {
        tr_fail_more("; its server died, and no other has received it");
    } else if (SLOT_STATE(word) == SLOT_QUEUED) {
        tr_fail_more("; nobody had received it");
    } else {
        tr_fail_more("; a server had it");
    }
}

/* What is in the queue and of it, by the slots: a request that was taken back leaves its cell
 * behind. */
struct contents {
    uint32_t waiting;
    uint32_t held[MAX_PARTICIPANTS];
};

static void count_contents(const struct view *view, uint32_t channel,
                           struct contents *contents)
{
    for (uint32_t i = records_from(view, 0); i < view->geo.slot_count;
         i = records_from(view, i + 1)) {
        struct slot_record *record = view_record(view, i);
        /* relaxed: a report, not a decision. */
        uint64_t word = shm_get(&record->owner);
        enum slot_state state = SLOT_STATE(word);

        if (LOCATION_CHANNEL(slot_location(record, word)) != channel)
            continue;
        contents->waiting += state == SLOT_QUEUED || state == SLOT_ORPHAN;
        if (state == SLOT_RECEIVED)
            contents->held[SLOT_WHO(word) % MAX_PARTICIPANTS]++;
    }
}

static void explain_service(const struct tr_arena *arena, uint32_t channel,
                            const struct contents *contents)
{
    char name[CHANNEL_NAME];
    uint32_t serve = receivers_count(&arena->view, channel);

    channel_name(&arena->view, channel, name);
    tr_fail_more("; %u wait%s in queue \"%s\"", contents->waiting,
                 contents->waiting == 1 ? "s" : "", name);
    if (serve == 0)
        tr_fail_more(", nobody serves it");
    else
        tr_fail_more(", %u process%s serve%s it", serve, serve == 1 ? "" : "es",
                     serve == 1 ? "s" : "");
    if (shm_get(&view_channel(&arena->view, channel)->closed))
        tr_fail_more(", it is closed");
}

static void explain_hands(const struct tr_arena *arena, uint32_t channel,
                          const struct contents *contents)
{
    const struct view *view = &arena->view;
    uint32_t shown = 0;

    for (uint32_t i = 0; i < view->geo.participant_count && shown < SHOWN; i++)
        if (contents->held[i]) {
            add_participant(arena, i);
            tr_fail_more(" has %u in hand", contents->held[i]);
            shown++;
        }
    if (!shown)
        tr_fail_more(", nobody has any in hand");
    for (uint32_t i = 0; i < view->geo.participant_count && shown < SHOWN; i++)
        if (!contents->held[i] && receivers_has(view, channel, i)) {
            add_participant(arena, i);
            tr_fail_more(" has none");
            shown++;
        }
}

static bool is_queue(const struct view *view, uint32_t channel)
{
    struct ring ring;

    return channel < view->geo.channel_count && channel_ring(view, channel, &ring) == 0;
}

void request_explain_service(const struct tr_arena *arena, uint32_t channel)
{
    struct contents contents = {0};

    if (!is_queue(&arena->view, channel))
        return;
    count_contents(&arena->view, channel, &contents);
    explain_service(arena, channel, &contents);
}

void request_explain_queue(const struct tr_arena *arena, uint32_t channel)
{
    struct contents contents = {0};

    if (!is_queue(&arena->view, channel))
        return;
    count_contents(&arena->view, channel, &contents);
    explain_service(arena, channel, &contents);
    explain_hands(arena, channel, &contents);
}
