/* SPDX-License-Identifier: MIT */
#include "ipc/liveness/reap.h"

#include <errno.h>

#include "ipc/event.h"
#include "ipc/exchange/broadcast.h"
#include "ipc/exchange/budget.h"
#include "ipc/exchange/channel.h"
#include "ipc/exchange/orphan.h"
#include "ipc/exchange/receivers.h"
#include "ipc/exchange/records.h"
#include "ipc/exchange/request.h"
#include "ipc/exchange/shared.h"
#include "ipc/exchange/shared_sweep.h"
#include "ipc/hooks.h"
#include "ipc/liveness/device.h"
#include "ipc/liveness/monitor_role.h"
#include "ipc/liveness/participant.h"
#include "ipc/mutant.h"
#include "ipc/signal/notify.h"
#include "ipc/signal/wake.h"

/* The dead one whose sweep this is. */
struct sweep {
    struct self *me;
    uint32_t who;
    uint64_t entry; /* its word, REAPING */
    bool late;      /* it is this process, whose entry others have swept before */
    struct reap_report *report;
    bool asked,
        busy; /* whether a device still writes for it: asked at the first marked slot */
    uint32_t kept; /* slots that wait for that device */
};

/* Words have 12 bits of an incarnation. */
static bool same_in_words(uint64_t entry, uint64_t other)
{
    return ((PARTICIPANT_INC(entry) ^ PARTICIPANT_INC(other)) & 0xfff) == 0;
}

/* Whether the entry is still the one that we sweep. Loaded after a slot word and before its
 * compare-and-swap: a new owner of the entry can't have written that word then. Nor can one whose
 * words are not like ours. */
static bool still(const struct sweep *sweep)
{
    /* E4 acquire, of E7's release: pairs with sweep_entry() of another reaper. */
    uint64_t word = shm_load(&view_participant(sweep->me->view, sweep->who)->word,
                             E4_LOOK);

    if (!sweep->late)
        return word == sweep->entry;
    return PARTICIPANT_STATE(word) != PARTICIPANT_LIVE ||
           !same_in_words(word, sweep->entry);
}

static void counted(const struct sweep *sweep, uint32_t *what, enum counter counter)
{
    ++*what;
    view_count(sweep->me->view, counter, 1);
}

static void free_slot(const struct sweep *sweep, uint32_t slot, uint64_t word)
{
    if (still(sweep) && slot_free_from(sweep->me->view, slot, word))
        counted(sweep, &sweep->report->freed, COUNT_FREED);
}

/* The queue of @p location, if its channel is one. */
static bool queue_of(const struct view *view, uint64_t location, struct ring *ring)
{
    uint32_t index = LOCATION_CHANNEL(location);

    return index < view->geo.channel_count &&
           CHANNEL_STATE(channel_word(view, index)) == CHANNEL_READY &&
           CHANNEL_KIND(channel_word(view, index)) == CHANNEL_QUEUE &&
           channel_ring(view, index, ring) == 0;
}

/* A message that waits for its next receiver in its slot. */
struct waiting {
    const struct ring *ring;
    uint32_t deliveries;
    uint32_t generation; /* says which of its locations counts */
};

/* Let the next receiver find the message in its slot. */
static void orphan(const struct sweep *sweep, uint32_t slot, uint64_t word,
                   const struct waiting *waiting)
{
    struct slot_record *record = view_record(sweep->me->view, slot);
    uint64_t mark = slot_word(SLOT_ORPHAN, SLOT_NOBODY, 0, waiting->deliveries,
                              waiting->generation);

    /* E6 release: pairs with take_orphan(); what the dead one wrote is passed on. */
    if (MUTANT(COUNT_FIRST))
        orphan_announce(sweep->me->view, waiting->ring->channel);
    if (!still(sweep) || !shm_cas(&record->owner, &word, mark, E6_REAP))
        return;
    counted(sweep, &sweep->report->redelivered, COUNT_REDELIVERED);
    if (!MUTANT(COUNT_FIRST))
        orphan_announce(sweep->me->view, waiting->ring->channel);
}

/* What the dead one had received from @p where: @p deliveries times before, and as generation
 * @p generation says now. */
static void sweep_received(const struct sweep *sweep, uint32_t slot, uint64_t word,
                           uint64_t location, uint32_t deliveries, uint32_t generation)
{
    const struct view *view = sweep->me->view;
    struct ring ring;

    if (!queue_of(view, location, &ring)) {
        free_slot(sweep, slot, word);
    } else if (ring.redeliver && deliveries + 1 < ring.max_deliveries &&
               request_is_good(view, slot)) {
        /* For reports. A late reaper may leave an earlier pid here. */
        shm_put(&view_record(view, slot)->last_receiver,
                shm_get(&view_participant(view, sweep->who)->pid));
        orphan(sweep, slot, word, &(struct waiting){&ring, deliveries + 1, generation});
    } else if (still(sweep) && (request_fail_to_requester(view, slot, word) ||
                                slot_free_from(view, slot, word))) {
        counted(sweep, &sweep->report->dropped, COUNT_DROPPED);
    }
}

/* What the dead one was moving, and has not placed, goes back: a loan is freed, a received
 * message is again one that was received. */
static void sweep_back(const struct sweep *sweep, uint32_t slot, uint64_t word,
                       uint64_t location)
{
    struct slot_record *record = view_record(sweep->me->view, slot);

    if (LOCATION_FROM(location) == 0)
        free_slot(sweep, slot, word);
    else
        sweep_received(sweep, slot, word, slot_previous_location(record, word),
                       LOCATION_FROM(location) - 1, SLOT_GENERATION(word) + 1);
}

/* What the dead one was sending. If a cell names it, it is sent. */
static void sweep_queued(const struct sweep *sweep, uint32_t slot, uint64_t word,
                         uint64_t location)
{
    struct ring ring;

    if (!queue_of(sweep->me->view, location, &ring) || ring_writable(&ring) == -ESHUTDOWN)
        sweep_back(sweep, slot, word, location);
    else
        orphan(sweep, slot, word,
               &(struct waiting){&ring, SLOT_DELIVERIES(word), SLOT_GENERATION(word)});
}

/* A slot that a device may still write into stays the dead one's, whether loaned or received. */
static bool keep_for_device(struct sweep *sweep, uint32_t slot, uint64_t word)
{
    if (!device_marked(sweep->me->view, slot, word) || MUTANT(DEVICE_IGNORED))
        return false;
    if (!sweep->asked)
        sweep->busy = hooks->busy(sweep->me->view, sweep->who,
                                  PARTICIPANT_INC(sweep->entry));
    sweep->asked = true;
    sweep->kept += sweep->busy;
    return sweep->busy;
}

static void dead_loaned(struct sweep *sweep, uint32_t slot, uint64_t word)
{
    if (!keep_for_device(sweep, slot, word))
        free_slot(sweep, slot, word);
}

static void dead_received(struct sweep *sweep, uint32_t slot, uint64_t word)
{
    struct slot_record *record = view_record(sweep->me->view, slot);

    if (!keep_for_device(sweep, slot, word))
        sweep_received(sweep, slot, word, slot_location(record, word),
                       SLOT_DELIVERIES(word), SLOT_GENERATION(word));
}

static void dead_queued(struct sweep *sweep, uint32_t slot, uint64_t word)
{
    const struct view *view = sweep->me->view;

    if (request_is_unclaimed(view, slot, word))
        free_slot(sweep, slot, word);
    else if (!slot_is_placed(view, slot, word))
        sweep_queued(sweep, slot, word, slot_location(view_record(view, slot), word));
}

/* Its sender may live, and be between its two steps: a slot in no cell is its own. */
static void other_queued(struct sweep *sweep, uint32_t slot, uint64_t word)
{
    const struct view *view = sweep->me->view;

    if ((MUTANT(SNATCH) || slot_is_placed(view, slot, word)) &&
        request_is_unclaimed(view, slot, word))
        free_slot(sweep, slot, word);
}

static void dead_putting(struct sweep *sweep, uint32_t slot, uint64_t word)
{
    const struct view *view = sweep->me->view;

    if (still(sweep) && !shared_sweep(view, slot, word))
        sweep_back(sweep, slot, word, slot_location(view_record(view, slot), word));
}

/* The participant that put or replaced it may be the dead one. */
static void any_shared(struct sweep *sweep, uint32_t slot, uint64_t word)
{
    (void)shared_sweep(sweep->me->view, slot, word);
}

/* Swept before, by a reaper that died: it may not have been announced. */
static void any_orphan(struct sweep *sweep, uint32_t slot, uint64_t word)
{
    const struct view *view = sweep->me->view;
    uint32_t index = orphan_channel(view, slot, word);

    if (request_is_unclaimed(view, slot, word))
        free_slot(sweep, slot, word);
    else if (index < view->geo.channel_count)
        orphan_announce(view, view_channel(view, index));
}

typedef void sweep_action(struct sweep *sweep, uint32_t slot, uint64_t word);

/* What is done with a slot in each state, as the picture in reap.h says. NULL: it stays. */
static const struct {
    sweep_action *dead;  /* its word names the dead one */
    sweep_action *other; /* its word names another participant, or nobody */
} actions[] = {
    [SLOT_FREE] = {NULL, NULL},
    [SLOT_LOANED] = {dead_loaned, NULL},
    [SLOT_QUEUED] = {dead_queued, other_queued},
    [SLOT_RECEIVED] = {dead_received, NULL},
    [SLOT_ORPHAN] = {any_orphan, any_orphan},
    [SLOT_SHARED] = {any_shared, any_shared},
    [SLOT_RETIRED] = {any_shared, any_shared},
    [SLOT_PUTTING] = {dead_putting, NULL},
};

static void sweep_slots(struct sweep *sweep)
{
    const struct view *view = sweep->me->view;
    uint32_t inc = PARTICIPANT_INC(sweep->entry) & 0xfff;

    for (uint32_t slot = records_from(view, 0); slot < view->geo.slot_count;
         slot = records_from(view, slot + 1)) {
        /* E6 acquire: pairs with the claim of the dead one; its writes are passed on. E16
         * acquire: pairs with shared_done(); a slot that is SHARED has been named. */
        uint64_t word = shm_load(&view_record(view, slot)->owner, E6_LOOK);
        sweep_action *action = SLOT_WHO(word) == sweep->who && SLOT_INC(word) == inc
                                   ? actions[SLOT_STATE(word)].dead
                                   : actions[SLOT_STATE(word)].other;

        if (action)
            action(sweep, slot, word);
    }
}

/* A waker that died between its change and its call owes a wake-up to somebody. */
static void wake_everybody(const struct view *view)
{
    for (uint32_t c = 0; c < view->geo.class_count; c++)
        wake_surely(view, view_freed(view, c));
    for (uint32_t i = 0; i < view->geo.channel_count; i++) {
        struct channel *channel = view_channel(view, i);

        if (CHANNEL_STATE(channel_word(view, i)) != CHANNEL_READY)
            continue;
        wake_surely(view, &channel->items);
        wake_surely(view, &channel->room);
        for (uint32_t g = 0; g < BOARD_GROUPS; g++)
            if (CHANNEL_KIND(channel_word(view, i)) == CHANNEL_BOARD)
                wake_surely(view, &channel->groups[g]);
    }
    if (!MUTANT(REAP_DEAF))
        notify_everybody(view);
}

/* Its places in broadcasts, and the channels that it was making. */
static void sweep_channels(const struct sweep *sweep)
{
    const struct view *view = sweep->me->view;
    uint32_t inc = PARTICIPANT_INC(sweep->entry);

    for (uint32_t i = 0; i < view->geo.channel_count; i++) {
        uint64_t word = channel_word(view, i);

        if (CHANNEL_STATE(word) == CHANNEL_READY &&
            CHANNEL_KIND(word) == CHANNEL_BROADCAST)
            broadcast_forget(view, i, sweep->who, inc);
        else if (CHANNEL_STATE(word) == CHANNEL_MAKING && !MUTANT(MAKER_KEPT))
            channel_abandon(view, i, sweep->who, inc);
    }
}

static void sweep_entry(struct sweep *sweep)
{
    const struct view *view = sweep->me->view;
    struct participant *entry = view_participant(view, sweep->who);
    uint64_t word = sweep->entry;

    if (!MUTANT(TICKETS_KEPT))
        request_end_all(view, sweep->who);
    if (!MUTANT(REAP_FORGETS))
        sweep_slots(sweep);
    if (view_elastic(view))
        budget_recount(view); /* a kill leaves it wrong */
    sweep_channels(sweep);
    notify_forget(view, sweep->who, PARTICIPANT_INC(sweep->entry));
    monitor_role_leave(view, sweep->who);
    receivers_forget(view, sweep->who);
    if (!MUTANT(REAP_SILENT))
        wake_everybody(view);
    /* E7 release: pairs with participant_join(): the sweep comes before the next owner.
     * Its pins are erased by the next holder, and count for nobody while the entry is FREE. */
    shm_cas(&entry->word, &word,
            participant_word(sweep->kept ? PARTICIPANT_DRAINING : PARTICIPANT_FREE,
                             PARTICIPANT_INC(sweep->entry)),
            E7_SWEPT);
}

/* Close the admission of a dead one, or go on where another reaper was interrupted. */
static void reap_one(struct self *me, uint32_t who, uint64_t word,
                     struct reap_report *report)
{
    struct sweep sweep = {.me = me, .who = who, .report = report};

    sweep.entry = participant_word(PARTICIPANT_REAPING, PARTICIPANT_INC(word));
    /* E7, no weaker than E4: from here on the entry is the reapers'. */
    if (PARTICIPANT_STATE(word) != PARTICIPANT_REAPING) {
        bool lives = PARTICIPANT_STATE(word) == PARTICIPANT_LIVE;
        bool unswept = MUTANT(DRAINED_UNSWEPT) && !lives;

        if (unswept)
            sweep.entry = participant_word(PARTICIPANT_FREE, PARTICIPANT_INC(word));
        if (!shm_cas(&view_participant(me->view, who)->word, &word, sweep.entry,
                     E7_SWEPT) ||
            unswept)
            return;
        if (lives)
            counted(&sweep, &report->dead, COUNT_DEATHS);
    }
    sweep_entry(&sweep);
}

/* Whether a claimed entry can be swept. That a device is done is final: the process that could
 * begin anything is dead. */
static bool due(const struct view *view, uint32_t i, uint64_t word)
{
    return PARTICIPANT_STATE(word) == PARTICIPANT_DRAINING
               ? !hooks->busy(view, i, PARTICIPANT_INC(word))
               : hooks->dead(view, i);
}

/* What was done since @p before. */
static void tell(const struct view *view, const struct reap_report *before,
                 const struct reap_report *now)
{
    uint32_t dead = now->dead - before->dead, freed = now->freed - before->freed;
    uint32_t redelivered = now->redelivered - before->redelivered;
    uint32_t dropped = now->dropped - before->dropped;

    if (dead || freed || redelivered || dropped)
        event_tell(
            view, EVENT_REAP, dead,
            "%u participants were found dead: %u slots are free again, %u messages "
            "are delivered again, %u are given up",
            dead, freed, redelivered, dropped);
    if (dropped)
        event_tell(view, EVENT_DROP, dropped,
                   "%u messages are given up: their receivers died", dropped);
}

static int reap_each(struct self *me, struct reap_report *report)
{
    for (uint32_t i = 0; i < me->view->geo.participant_count; i++) {
        /* E4 acquire: pairs with participant_join(). */
        uint64_t word = shm_load(&view_participant(me->view, i)->word, E4_LOOK);

        if (PARTICIPANT_STATE(word) == PARTICIPANT_FREE || i == me->who)
            continue;
        if (word != participant_word(PARTICIPANT_STATE(word), PARTICIPANT_INC(word)))
            return -EBADMSG;
        if (due(me->view, i, word))
            reap_one(me, i, word, report);
    }
    return 0;
}

int reap_all(struct self *me, struct reap_report *report)
{
    const struct reap_report before = *report;
    int result = reap_each(me, report);

    tell(me->view, &before, report);
    if (result < 0)
        event_tell(me->view, EVENT_CORRUPT, 1, "a participant entry is corrupted");
    return result;
}

/* What we took after others had swept our entry, which may be another's by now. */
static void sweep_late(struct sweep *sweep)
{
    sweep->late = true;
    sweep_slots(sweep);
    sweep_channels(sweep);
    shared_unpin_all(sweep->me);
}

void reap_self(struct self *me)
{
    struct reap_report report = {0};
    struct sweep sweep = {.me = me, .who = me->who, .report = &report};
    uint64_t word = participant_word(PARTICIPANT_LIVE, me->inc);

    sweep.entry = participant_word(PARTICIPANT_REAPING, me->inc);
    /* E7: as in reap_one(). */
    if (shm_cas(&view_participant(me->view, me->who)->word, &word, sweep.entry, E7_SWEPT))
        sweep_entry(&sweep);
    else
        sweep_late(&sweep);
}
