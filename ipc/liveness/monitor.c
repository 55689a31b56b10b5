/* SPDX-License-Identifier: MIT */
#include "ipc/liveness/monitor.h"

#include "ipc/hooks.h"
#include "ipc/kernel/os.h"
#include "ipc/kernel/uncancel.h"
#include "ipc/liveness/monitor_role.h"
#include "ipc/liveness/participant.h"
#include "ipc/liveness/pidfds.h"
#include "ipc/liveness/reap.h"

#define MS INT64_C(1000000)

#define WATCH_NS MONITOR_FIRST_NS
#define LATE_NS  (40 * MS) /* a monitor later than this is presumed stopped */

/* Slices of a sleep that began lately, and of a long one. */
struct pace {
    int64_t ns, long_ns;
    uint32_t idle_slices; /* slices before they are long */
};
static const struct pace primaries = {WATCH_NS, 100 * MS, 64};
static const struct pace backups = {60 * MS, 250 * MS, 64};
static const struct pace others = {250 * MS, 2000 * MS, 4};

static int64_t slice_ns(const struct pace *pace, uint32_t idle_slices, int64_t least_ns)
{
    int64_t ns = idle_slices > pace->idle_slices ? pace->long_ns : pace->ns;

    return ns > least_ns ? ns : least_ns;
}

int64_t monitor_first_ns(uint32_t idle_slices)
{
    return slice_ns(&primaries, idle_slices, 0);
}

/* The primary has not come when it said it would. */
static bool neglected(const struct self *me)
{
    /* relaxed: it only spares work. */
    int64_t due = (int64_t)shm_load(&view_live(me->view)->check_due_ns,
                                    memory_order_relaxed);
    int64_t late = os->now_ns() - due;

    return late > LATE_NS || late < -others.long_ns;
}

/* Whether the caller must check: nobody has for @p pace_ns, and no other says it will. */
static bool my_turn(struct self *me, int64_t pace_ns)
{
    _Atomic uint64_t *watched = &view_live(me->view)->checked_ns;
    /* relaxed: it only spares work. */
    uint64_t last = shm_load(watched, memory_order_relaxed);
    uint64_t now = (uint64_t)os->now_ns();

    return (now < last || now - last >= (uint64_t)pace_ns) &&
           shm_cas(watched, &last, now,
                   memory_order_relaxed); /* relaxed: one of us checks */
}

bool monitor_stands(struct self *me)
{
    if (participant_stands(me))
        return true;
    if (me->standing)
        /* relaxed: local; nothing else is read because of it. */
        atomic_store_explicit(me->standing, SELF_LOST, memory_order_relaxed);
    return false;
}

/* Check all participants, and our own entry. */
static void look(struct self *me)
{
    struct reap_report report = {0};
    int cancel = uncancel_begin();

    participant_renew(me);
    if (monitor_stands(me))
        (void)reap_all(me, &report);
    uncancel_end(cancel);
}

void monitor_pass(struct self *me)
{
    if (my_turn(me, WATCH_NS))
        look(me);
}

bool monitor_alarm(struct self *me)
{
    look(me);
    pidfds_checked(me);
    return pidfds_quiet(me);
}

static int64_t watch(struct self *me, uint32_t idle_slices, int64_t least_ns)
{
    int64_t slice = slice_ns(&primaries, idle_slices, least_ns);

    /* Half of it: sleep and checks have different clocks. */
    if (my_turn(me, WATCH_NS / 2) && !pidfds_quiet(me))
        (void)monitor_alarm(me);
    /* relaxed: it only spares the others work. */
    shm_store(&view_live(me->view)->check_due_ns, (uint64_t)(os->now_ns() + slice),
              memory_order_relaxed);
    return slice;
}

/* All of them end their slices together: the machine wakes up once. */
static int64_t until_tick(int64_t period_ns)
{
    return period_ns - os->now_ns() % period_ns;
}

static bool primary_dead(const struct self *me, struct monitor_roles monitor_roles)
{
    return monitor_roles.primary <= me->view->geo.participant_count &&
           hooks->dead(me->view, monitor_roles.primary - 1);
}

int64_t monitor_tick(struct self *me, uint32_t idle_slices, int64_t least_ns)
{
    struct monitor_roles monitor_roles = roles_seen(me->view);
    enum monitor_role role = monitor_role_of(monitor_roles, me->who);

    if (role == MONITOR_PRIMARY)
        return watch(me, idle_slices, least_ns);
    if (monitor_roles.primary == 0 || neglected(me) ||
        (role == MONITOR_BACKUP && primary_dead(me, monitor_roles))) {
        if (monitor_role_take(me->view, monitor_roles, MONITOR_PRIMARY, me->who))
            return watch(me, 0, least_ns);
    } else if (role == MONITOR_BACKUP ||
               (monitor_roles.backup == 0 &&
                monitor_role_take(me->view, monitor_roles, MONITOR_BACKUP, me->who))) {
        return slice_ns(&backups, idle_slices, least_ns);
    }
    if (idle_slices <= others.idle_slices)
        monitor_pass(me);
    return until_tick(slice_ns(&others, idle_slices, least_ns));
}

void monitor_leave(struct self *me)
{
    monitor_role_leave(me->view, me->who);
}
