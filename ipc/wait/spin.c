/* SPDX-License-Identifier: MIT */
#include "ipc/wait/spin.h"

#include <errno.h>

#include "ipc/kernel/clock.h"
#include "ipc/kernel/os.h"
#include "ipc/kernel/uncancel.h"
#include "ipc/liveness/monitor.h"
#include "ipc/wait/contention.h"
#include "ipc/wait/listen.h"

/* Twice what a sleep and a wake-up take. Longer, and a spin in vain costs too much beside what
 * it could have saved. Shorter, and two that answer each other never learn to stay awake: each
 * would count the other's wake-up as response time. */
#define MOST_NS INT64_C(100000)
#ifdef TR_STEPS
#define LOOKS 1
#else
#define LOOKS 8 /* tries between two looks at the clock */
#endif
#define JUMP_NS      INT64_C(50000) /* between two looks: somebody else had the processor */
#define MOST_MISSES  8              /* 2^8 waits without a spin, then it is tried again */
#define JUMP_MISSES  3
#define SHORT_SLEEPS 4u /* end the rest; twice as many after each retry in vain */
#define MOST_RETRIES 6
#define IDLE_SLICES  4 /* nothing has come for longer than that: it is far away */
#define CALM_NS      INT64_C(20000000) /* how long an answer about the machine holds */
#define CONTENDED_NS INT64_C(4000000)
#define SIGNALS_NS   INT64_C(1000000) /* of a long spin: between two looks for signals */

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

/* All of these are local hints; a lost one is harmless. */
static uint32_t get32(const _Atomic uint32_t *at)
{
    return atomic_load_explicit(at, memory_order_relaxed); /* relaxed: local */
}

static void put32(_Atomic uint32_t *at, uint32_t value)
{
    atomic_store_explicit(at, value, memory_order_relaxed); /* relaxed: local */
}

/* The answer of a moment ago, or a new one. */
static bool was_contended(struct self *me, int64_t now_ns)
{
    /* relaxed: local; two threads that ask at once both get an answer. */
    int64_t until = atomic_load_explicit(&me->contended_until, memory_order_relaxed);
    bool answer;

    if (now_ns < until)
        return get32(&me->contended) != 0;
    answer = cpu_contended(me);
    put32(&me->contended, answer);
    atomic_store_explicit(&me->contended_until,
                          now_ns + (answer ? CONTENDED_NS : CALM_NS),
                          memory_order_relaxed); /* relaxed: local */
    return answer;
}

int64_t spin_budget(struct self *me, int64_t now_ns)
{
    uint32_t rest = get32(&me->spin_rest);

    if (me->spin_ns >= 0)
        return me->spin_ns;
    if (get32(&me->idle_slices) > IDLE_SLICES)
        return 0;
    if (rest > 0) {
        put32(&me->spin_rest, rest - 1);
        return 0;
    }
    return was_contended(me, now_ns) ? 0 : MOST_NS;
}

static void missed(struct self *me, uint32_t weight)
{
    uint32_t misses = get32(&me->spin_misses) + weight;

    misses = misses < MOST_MISSES ? misses : MOST_MISSES;
    put32(&me->spin_misses, misses);
    put32(&me->spin_rest, (UINT32_C(1) << misses) - 1);
}

void spin_slept(struct self *me, int64_t slept_ns)
{
    uint32_t retries = get32(&me->spin_retries), count = get32(&me->short_sleeps) + 1;

    if (slept_ns >= MOST_NS || get32(&me->idle_slices) > 0 || get32(&me->spin_rest) == 0)
        count = 0;
    if (count >= SHORT_SLEEPS << retries) {
        count = 0;
        put32(&me->spin_rest, 0);
        put32(&me->spin_retries, retries < MOST_RETRIES ? retries + 1 : retries);
    }
    put32(&me->short_sleeps, count);
}

static void paid(struct self *me)
{
    if (get32(&me->spin_misses)) {
        put32(&me->spin_misses, 0);
        put32(&me->spin_retries, 0);
    }
}

/* Spin from one look at the clock to the next. The first look of each is a try. */
static int spin_once(wait_try *attempt, wait_idle *idle, void *context)
{
    for (int i = 0; i < LOOKS; i++) {
        if (i == 0 || !idle || !idle(context)) {
            int result = attempt(context);

            if (result != -EAGAIN)
                return result;
        }
        relax();
    }
    return -EAGAIN;
}

/* A spin that is longer than the adaptive ones does what a sleep would: it looks for the dead,
 * and sees signals. */
struct vigil {
    int64_t due_ns, dead_ns;
    struct listening listening;
};

/* Three words: the mask is not touched before there is one. */
static void begin_vigil(struct vigil *vigil, int64_t now_ns)
{
    vigil->due_ns = clock_after(now_ns, MOST_NS);
    vigil->dead_ns = clock_after(now_ns, MONITOR_FIRST_NS);
    vigil->listening.on = false;
}

/* -EAGAIN: spin on. -EINTR. */
static int keep_vigil(struct self *me, struct vigil *vigil, int64_t now_ns)
{
    int cancel = uncancel_begin(), result;

    vigil->due_ns = now_ns + SIGNALS_NS;
    if (now_ns >= vigil->dead_ns) {
        monitor_pass(me);
        vigil->dead_ns = now_ns + MONITOR_FIRST_NS;
    }
    listen_begin(me, &vigil->listening);
    result = listen_look(&vigil->listening) < 0 ? -EINTR : -EAGAIN;
    uncancel_end(cancel);
    return result;
}

int spin(struct self *me, wait_try *attempt, wait_idle *idle, void *context,
         int64_t *now_ns, int64_t until_ns)
{
    struct vigil vigil;
    bool jumped = false;
    int result;

    begin_vigil(&vigil, *now_ns);
    do {
        int64_t before = *now_ns;

        result = spin_once(attempt, idle, context);
        if (result != -EAGAIN) {
            if (!jumped)
                paid(me);
            break;
        }
        *now_ns = os->now_ns();
        jumped |= *now_ns - before > JUMP_NS;
        if (__builtin_expect(*now_ns >= vigil.due_ns, 0) && *now_ns < until_ns)
            result = keep_vigil(me, &vigil, *now_ns);
    } while (result == -EAGAIN && *now_ns < until_ns);
    listen_end(&vigil.listening);
    if (result == -EAGAIN)
        missed(me, jumped ? JUMP_MISSES : 1);
    return result;
}
