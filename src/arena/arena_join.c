/* SPDX-License-Identifier: MIT */
#include "src/arena/arena_join.h"

#include <errno.h>
#include <sched.h>
#include <unistd.h>

#include "ipc/kernel/timens.h"
#include "ipc/kernel/uncancel.h"
#include "ipc/liveness/join.h"
#include "ipc/liveness/participant.h"
#include "ipc/liveness/pidfds.h"
#include "ipc/liveness/reap.h"
#include "ipc/memory/segment.h"
#include "ipc/order.h"
#include "ipc/signal/notify.h"
#include "ipc/slot_word.h"
#include "src/arena/arena_explain.h"
#include "src/base/error.h"

#define JOIN_TRIES 100 /* of entries that change hands: a second in all */

/* Take an entry; if all are taken, sweep the dead first. @p patient: wait, for a second at
 * most, for entries that others are leaving or taking. */
static int take_entry(struct tr_arena *arena, bool patient)
{
    struct reap_report report = {0};
    int result = participant_join(&arena->self);

    for (int i = 0; i < JOIN_TRIES && (result == -EUSERS || result == -EBUSY); i++) {
        if (i > 0 && patient)
            arena_pause();
        reap_all(&arena->self, &report);
        result = participant_join(&arena->self);
        if (!patient || result == -EUSERS)
            break;
    }
    return result;
}

/* Entries that wait for what drives a device of a dead process: ipc/liveness/device.h. */
static uint32_t draining(const struct view *view)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < view->geo.participant_count; i++)
        /* E4 acquire: as in participant.c. */
        count += PARTICIPANT_STATE(shm_load(&view_participant(view, i)->word, E4_LOOK)) ==
                 PARTICIPANT_DRAINING;
    return count;
}

static int explain_full(const struct view *view)
{
    uint32_t waiting = draining(view), all = view->geo.participant_count;

    if (waiting)
        return tr_fail(
            TR_EUSERS,
            "of %u participant entries %u are taken by living processes, and %u wait for "
            "devices of dead ones: somebody has a descriptor of theirs "
            "(tr_arena_device_fd()) open",
            all, all - waiting, waiting);
    if (all == MAX_PARTICIPANTS)
        return tr_fail(TR_EUSERS,
                       "all %u participant entries, the most that an arena can have, are "
                       "taken by living processes; close it in those that need it no "
                       "more, or use one arena for each group of processes",
                       all);
    return tr_fail(TR_EUSERS,
                   "all %u participant entries are taken by living processes; create the "
                   "arena with a larger max_participants (twice the workers and some)",
                   all);
}

int arena_explain_join(const struct tr_arena *arena, int result)
{
    if (result == -EUSERS || result == -EBUSY)
        return explain_full(&arena->view);
    if (result == -ESTALE)
        return tr_fail(TR_ENOENT, "the arena was removed: all its participants had "
                                  "died or left; attach again, or create it");
    return tr_fail_errno(result, "take a participant entry");
}

int arena_take_part(struct tr_arena *arena, bool patient)
{
    int result;

    timens_settle();
    result = take_entry(arena, patient);
    if (result < 0)
        return result;
    arena->view.counters = view_participant(&arena->view, arena->self.who)->counters;
    /* relaxed: before `joined`. */
    atomic_store_explicit(&arena->here->holder, holder_of(&arena->self),
                          memory_order_relaxed);
    notify_joined(&arena->self);
    return 0;
}

void arena_leave(struct tr_arena *arena)
{
    reap_self(&arena->self);
    participant_leave(&arena->self);
}

static int join_child(struct tr_arena *arena)
{
    int result;

    arena->self.who = SLOT_NOBODY;
    for (uint32_t c = 0; c < MAX_CLASSES; c++)
        atomic_store_explicit(&arena->self.last_freed[c], 0,
                              memory_order_relaxed); /* local */
    if (segment_recover(&arena->view, arena->name) < 0)
        return tr_fail(
            TR_ENFILE,
            "join in the forked child: the arena's descriptor was closed; keep it "
            "open (tr_arena_info.fd)");
    notify_forked(&arena->view);
    pidfds_forked(&arena->view);
    segment_warm(&arena->view);
    result = arena_take_part(arena, false);
    return result < 0 ? arena_explain_join(arena, result) : 0;
}

/* We are the joiner. */
static int join_first(struct tr_arena *arena)
{
    int cancel = uncancel_begin(), result = 0;

    /* acquire: another thread may have joined just before. */
    if (atomic_load_explicit(&arena->here->joined, memory_order_acquire) == NOT_JOINED) {
        result = join_child(arena);
        if (result == 0)
            atomic_store_explicit(&arena->here->joined, JOINED,
                                  memory_order_release); /* pairs with arena_enter() */
    }
    atomic_store(&arena->here->joiner, 0);
    uncancel_end(cancel);
    return result;
}

/* One word names the joiner: a signal handler that runs before it is written joins itself; one
 * that runs after it sees that it cannot. */
int arena_join(struct tr_arena *arena)
{
    const uint32_t self = (uint32_t)gettid();

    for (;;) {
        uint32_t joiner = 0;
        /* acquire: as in arena_enter(). */
        uint32_t seen = atomic_load_explicit(&arena->here->joined, memory_order_acquire);

        if (seen == JOINED)
            return 0;
        if (seen == JOINED_LOST)
            return tr_fail(
                TR_EABANDONED,
                "others took this process for dead and gave away what it held; "
                "close the arena and attach again");
        if (atomic_compare_exchange_strong(&arena->here->joiner, &joiner, self)) {
            int result = join_first(arena);

            if (result < 0)
                return result;
        } else if (joiner == self) {
            return tr_fail(TR_EAGAIN,
                           "a signal handler has interrupted the joining of the arena");
        } else {
            sched_yield(); /* another thread of this child is joining */
        }
    }
}
