/* SPDX-License-Identifier: MIT */
#include "ipc/liveness/lookout.h"

#include "ipc/hooks.h"
#include "ipc/kernel/os.h"
#include "ipc/kernel/uncancel.h"
#include "ipc/liveness/duty.h"
#include "ipc/liveness/participant.h"
#include "ipc/liveness/reap.h"
#include "ipc/liveness/watch.h"

#define MS INT64_C(1000000)

#define WATCH_NS LOOKOUT_FIRST_NS
#define LATE_NS  (40 * MS) /* a process that is later than this will not come */

/* Of a sleep that began lately, and of a long one. */
struct pace {
    int64_t ns, long_ns;
    uint32_t naps; /* slices before they are long */
};
static const struct pace watchers = {WATCH_NS, 100 * MS, 64};
static const struct pace deputies = {60 * MS, 250 * MS, 64};
static const struct pace others = {250 * MS, 2000 * MS, 4};

static int64_t slice_ns(const struct pace *pace, uint32_t naps, int64_t least_ns)
{
    int64_t ns = naps > pace->naps ? pace->long_ns : pace->ns;

    return ns > least_ns ? ns : least_ns;
}

/* The watcher has not come when it said it would. */
static bool neglected(const struct peer *me)
{
    /* relaxed: it only spares work. */
    int64_t due = (int64_t)shm_load(&view_live(me->view)->watch_due_ns,
                                    memory_order_relaxed);
    int64_t late = os->now_ns() - due;

    return late > LATE_NS || late < -others.long_ns;
}

/* Whether the caller is to look: nobody has for @p pace_ns, and no other says it will. */
static bool my_turn(struct peer *me, int64_t pace_ns)
{
    _Atomic uint64_t *watched = &view_live(me->view)->watched_ns;
    /* relaxed: as above. */
    uint64_t last = shm_load(watched, memory_order_relaxed);
    uint64_t now = (uint64_t)os->now_ns();

    return (now < last || now - last >= (uint64_t)pace_ns) &&
           shm_cas(watched, &last, now, memory_order_relaxed); /* relaxed: as above */
}

bool lookout_stands(struct peer *me)
{
    if (participant_stands(me))
        return true;
    if (me->standing)
        /* relaxed: local; nothing is read on the strength of it. */
        atomic_store_explicit(me->standing, PEER_LOST, memory_order_relaxed);
    return false;
}

/* At everybody, and at our own entry. */
static void look(struct peer *me)
{
    struct reap_report report = {0};
    int cancel = uncancel_begin();

    participant_renew(me);
    if (lookout_stands(me))
        (void)reap_all(me, &report);
    uncancel_end(cancel);
}

void lookout_pass(struct peer *me)
{
    if (my_turn(me, WATCH_NS))
        look(me);
}

bool lookout_alarm(struct peer *me)
{
    look(me);
    watch_looked(me);
    return watch_quiet(me);
}

static int64_t watch(struct peer *me, uint32_t naps, int64_t least_ns)
{
    int64_t slice = slice_ns(&watchers, naps, least_ns);

    /* Half of it: the clock of the sleep is not that of the looks. */
    if (my_turn(me, WATCH_NS / 2) && !watch_quiet(me))
        (void)lookout_alarm(me);
    /* relaxed: as above. */
    shm_store(&view_live(me->view)->watch_due_ns, (uint64_t)(os->now_ns() + slice),
              memory_order_relaxed);
    return slice;
}

/* All of them end their slices together: the machine wakes up once. */
static int64_t until_tick(int64_t period_ns)
{
    return period_ns - os->now_ns() % period_ns;
}

static bool watcher_dead(const struct peer *me, struct duties duties)
{
    return duties.watcher <= me->view->geo.participant_count &&
           hooks->dead(me->view, duties.watcher - 1);
}

int64_t lookout_tick(struct peer *me, uint32_t naps, int64_t least_ns)
{
    struct duties duties = duties_seen(me->view);
    enum duty duty = duty_of(duties, me->who);

    if (duty == DUTY_WATCHER)
        return watch(me, naps, least_ns);
    if (duties.watcher == 0 || neglected(me) ||
        (duty == DUTY_DEPUTY && watcher_dead(me, duties))) {
        if (duty_take(me->view, duties, DUTY_WATCHER, me->who))
            return watch(me, 0, least_ns);
    } else if (duty == DUTY_DEPUTY ||
               (duties.deputy == 0 &&
                duty_take(me->view, duties, DUTY_DEPUTY, me->who))) {
        return slice_ns(&deputies, naps, least_ns);
    }
    if (naps <= others.naps)
        lookout_pass(me);
    return until_tick(slice_ns(&others, naps, least_ns));
}

void lookout_leave(struct peer *me)
{
    duty_leave(me->view, me->who);
}
