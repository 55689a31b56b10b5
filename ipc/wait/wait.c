/* SPDX-License-Identifier: MIT */
#include "ipc/wait/wait.h"

#include <errno.h>

#include "ipc/kernel/clock.h"
#include "ipc/kernel/os.h"
#include "ipc/kernel/uncancel.h"
#include "ipc/liveness/monitor.h"
#include "ipc/mutant.h"
#include "ipc/signal/wake.h"
#include "ipc/wait/listen.h"
#include "ipc/wait/spin.h"

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Waits that follow one another, and get nothing, have the pace of one long wait: Python cuts
 * its own into pieces. Hints of one process; another thread's may be lost. */
static uint32_t idle_slices(const struct self *me)
{
    return atomic_load_explicit(&me->idle_slices,
                                memory_order_relaxed); /* relaxed: local */
}

static uint32_t set_idle_slices(struct self *me, uint32_t count)
{
    if (count != idle_slices(me))
        atomic_store_explicit(&me->idle_slices, count,
                              memory_order_relaxed); /* relaxed: local */
    return count;
}

/* A slice is over. The look for the dead may take a while, in which a signal may come. */
static int end_slice(struct self *me, int64_t *slice)
{
    uint32_t idle = set_idle_slices(me, idle_slices(me) + 1);
    struct listening listening = {0};
    int result;

    listen_begin(me, &listening);
    *slice = monitor_tick(me, idle, 0);
    result = listen_look(&listening);
    listen_end(&listening);
    return result;
}

static int sleep_until(struct self *me, struct sleeper *sleeper, wait_try *attempt,
                       void *context, int64_t deadline_ns)
{
    int64_t slice = monitor_first_ns(idle_slices(me));

    for (;;) {
        int64_t now;
        int result;

        sleeper->announce(sleeper);
        /* E3: the look after the announcement. */
        result = MUTANT(NO_SECOND_LOOK) ? -EAGAIN : attempt(context);
        if (result != -EAGAIN)
            return result;
        now = os->now_ns();
        if (now >= deadline_ns)
            return -ETIMEDOUT;
        view_count(me->view, COUNT_WAITS, 1);
        result = sleeper->sleep(sleeper, earlier(deadline_ns, clock_after(now, slice)));
        if (result == -ETIMEDOUT)
            result = end_slice(me, &slice);
        else
            monitor_pass(me); /* one that is often woken must look, too */
        /* relaxed: set by the handle's owner before it waits. */
        if (result == -EINTR &&
            atomic_load_explicit(&me->interrupt, memory_order_relaxed))
            return -EINTR;
        if (!monitor_stands(me))
            return -EOWNERDEAD;
    }
}

static int spin_watching(struct self *me, struct sleeper *sleeper, wait_try *attempt,
                         void *context, int64_t now_ns, int64_t until_ns)
{
    int result;

    if (sleeper->watch)
        sleeper->watch(sleeper);
    result = spin(me, attempt, sleeper->idle, context, &now_ns, until_ns);
    if (sleeper->watched)
        sleeper->watched(sleeper, context);
    return result;
}

int wait_with(struct self *me, struct sleeper *sleeper, wait_try *attempt, void *context,
              int64_t timeout_ns)
{
    int64_t start, deadline, budget;
    int result = attempt(context);

    if (result == 0)
        set_idle_slices(me, 0);
    if (result != -EAGAIN || timeout_ns == 0)
        return result;
    start = os->now_ns();
    deadline = clock_deadline(start, timeout_ns);
    budget = spin_budget(me, start);
    if (budget > 0)
        result = spin_watching(me, sleeper, attempt, context, start,
                               earlier(deadline, clock_after(start, budget)));
    if (result == -EAGAIN) {
        int cancel = uncancel_begin();

        result = sleep_until(me, sleeper, attempt, context, deadline);
        monitor_leave(me);
        uncancel_end(cancel);
        if (result == 0 && me->spin_ns < 0)
            spin_slept(me, os->now_ns() - start);
    }
    if (result == 0)
        set_idle_slices(me, 0);
    if (result == -ETIMEDOUT)
        view_count(me->view, COUNT_TIMEOUTS, 1);
    return result;
}

/* One word. */
struct one {
    struct sleeper base;
    _Atomic uint32_t *word;
    uint32_t seen;
};

static void announce_one(struct sleeper *self)
{
    struct one *one = (struct one *)self;

    one->seen = wake_announce(one->word);
}

static int sleep_one(struct sleeper *self, int64_t until_ns)
{
    struct one *one = (struct one *)self;

    STEP(one->word, SHM_SYSTEM);
    return os->futex_wait(one->word, one->seen, until_ns);
}

int wait_for(struct self *me, _Atomic uint32_t *word, wait_try *attempt, void *context,
             int64_t timeout_ns)
{
    struct one one = {.base = {.announce = announce_one, .sleep = sleep_one},
                      .word = word};

    return wait_with(me, &one.base, attempt, context, timeout_ns);
}

/* One of several that sleep on one word. */
struct taker {
    struct one one;
    struct self *me;
    wait_try *more;
    bool watches;
};

static void watch(struct sleeper *self)
{
    struct taker *taker = (struct taker *)self;

    taker->watches = wake_watch(taker->one.word);
}

/* A taker that goes on to sleep looks in any case. */
static void watched(struct sleeper *self, void *context)
{
    struct taker *taker = (struct taker *)self;

    if (!taker->watches)
        return;
    wake_watched(taker->one.word);
    if (!MUTANT(WATCH_BLIND) && taker->more(context) == 0)
        wake_one(taker->me->view, taker->one.word);
}

int wait_to_take(struct self *me, _Atomic uint32_t *word,
                 const struct wait_taking *taking, void *context, int64_t timeout_ns)
{
    struct taker taker = {
        .one = {.base = {announce_one, sleep_one, taking->idle, watch, watched},
                .word = word},
        .me = me,
        .more = taking->more,
    };

    return wait_with(me, &taker.one.base, taking->take, context, timeout_ns);
}
