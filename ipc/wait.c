/* SPDX-License-Identifier: MIT */
#include "ipc/wait.h"

#include <errno.h>

#include "ipc/os.h"
#include "ipc/reap.h"
#include "ipc/wake.h"

/* What a sleep and a wake-up cost: spinning longer than this for something that does not
 * come is worse than sleeping at once (the ski-rental argument). */
#define SPIN_MOST_NS INT64_C(20000)
#define SPIN_LOOKS   64 /* tries between two looks at the clock */

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

/* How long to spin this time: twice what waits took of late, if that is short; not at all
 * where spinning only takes the core from whom we wait for. */
static int64_t spin_budget(struct peer *me)
{
    /* relaxed: local hint. */
    uint64_t usual = atomic_load_explicit(&me->wait_ewma, memory_order_relaxed);

    if (me->spin_ns >= 0)
        return me->spin_ns;
    return usual <= SPIN_MOST_NS ? SPIN_MOST_NS : 0;
}

static void learn(struct peer *me, int64_t took_ns)
{
    /* relaxed: local hint; losing one sample is no harm. */
    int64_t usual = (int64_t)atomic_load_explicit(&me->wait_ewma, memory_order_relaxed);

    usual += (took_ns - usual) / 8;
    atomic_store_explicit(&me->wait_ewma, (uint64_t)usual, memory_order_relaxed);
}

static int spin(wait_try *attempt, void *context, int64_t until_ns)
{
    int result;

    do {
        for (int i = 0; i < SPIN_LOOKS; i++) {
            result = attempt(context);
            if (result != -EAGAIN)
                return result;
            relax();
        }
    } while (os->now_ns() < until_ns);
    return -EAGAIN;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int sleep_until(struct peer *me, _Atomic uint32_t *word, wait_try *attempt,
                       void *context, int64_t deadline_ns)
{
    for (;;) {
        uint32_t seen = wake_announce(word);
        int result = attempt(context); /* E3: the look after the announcement */
        int64_t now;

        if (result != -EAGAIN)
            return result;
        now = os->now_ns();
        if (now >= deadline_ns)
            return -ETIMEDOUT;
        view_count(me->view, COUNT_WAITS, 1);
        STEP(word, SHM_SYSTEM);
        result = os->futex_wait(word, seen,
                                earlier(deadline_ns, now + reap_slice_ns(me)));
        /* relaxed: set by the handle's owner before it waits. */
        if (result == -EINTR &&
            atomic_load_explicit(&me->interrupt, memory_order_relaxed))
            return -EINTR;
        if (result == -ETIMEDOUT)
            reap_watch(me);
    }
}

int wait_for(struct peer *me, _Atomic uint32_t *word, wait_try *attempt, void *context,
             int64_t timeout_ns)
{
    int64_t start, deadline, budget;
    int result = attempt(context);

    if (result != -EAGAIN || timeout_ns == 0)
        return result;
    start = os->now_ns();
    deadline = timeout_ns < 0 || timeout_ns > INT64_MAX - start ? INT64_MAX
                                                                : start + timeout_ns;
    budget = spin_budget(me);
    if (budget > 0)
        result = spin(attempt, context,
                      budget > INT64_MAX - start ? deadline
                                                 : earlier(deadline, start + budget));
    if (result == -EAGAIN) {
        result = sleep_until(me, word, attempt, context, deadline);
        reap_unwatch(me);
    }
    learn(me, os->now_ns() - start);
    if (result == -ETIMEDOUT)
        view_count(me->view, COUNT_TIMEOUTS, 1);
    return result;
}
