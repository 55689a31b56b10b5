/* SPDX-License-Identifier: MIT */
#include "ipc/spin.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc/os.h"
#include "ipc/participant.h"

/* What a sleep and a wake-up cost, generously: spinning longer than this for something that
 * does not come is worse than sleeping at once. */
#define MOST_NS     INT64_C(20000)
#define LEAST_NS    INT64_C(2000)
#define LOOKS       8              /* tries between two looks at the clock */
#define JUMP_NS     INT64_C(50000) /* between two looks: somebody else had the processor */
#define MOST_MISSES 10             /* 2^10 waits without a spin, then it is tried again */
#define JUMP_MISSES 3
#define CALM_NS     INT64_C(20000000) /* how long an answer about the machine holds */
#define CROWDED_NS  INT64_C(4000000)

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

/* All of these are local hints; losing one is no harm. */
static uint32_t get32(const _Atomic uint32_t *at)
{
    return atomic_load_explicit(at, memory_order_relaxed); /* relaxed: local */
}

static void put32(_Atomic uint32_t *at, uint32_t value)
{
    atomic_store_explicit(at, value, memory_order_relaxed); /* relaxed: local */
}

/* Processors, folded into 64 bits: bit n stands for n, n + 64, ... */
static uint64_t allowed(void)
{
    uint64_t words[128] = {0}, folded = 0;
    long bytes;
    int saved = errno;

    bytes = sched_getaffinity(0, sizeof(words), (cpu_set_t *)(void *)words);
    for (size_t i = 0; bytes == 0 && i < sizeof(words) / sizeof(words[0]); i++)
        folded |= words[i];
    errno = saved;
    return bytes == 0 ? folded : UINT64_MAX;
}

/* Those that any living participant may use. */
static uint64_t allowed_to_all(const struct peer *me)
{
    uint64_t all = allowed();

    shm_put(&view_participant(me->view, me->who)->cpus, all);
    for (uint32_t i = 0; i < me->view->geo.participant_count; i++) {
        struct participant *entry = view_participant(me->view, i);

        /* E4: as in participant.c; a hint here. */
        if (PARTICIPANT_STATE(shm_load(&entry->word, E4_LOOK)) == PARTICIPANT_LIVE)
            all |= shm_get(&entry->cpus);
    }
    return all;
}

/* Threads that run or want to, on the whole machine: 4th field of /proc/loadavg (proc(5)).
 * 0: not known. */
static unsigned long runnable(void)
{
    char text[128];
    unsigned long count = 0;
    ssize_t got;
    int saved = errno, fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        got = read(fd, text, sizeof(text) - 1);
        close(fd);
        if (got > 0) {
            char *at = text;

            text[got] = 0;
            for (int field = 0; at && field < 3; field++)
                at = strchr(at, ' ') ? strchr(at, ' ') + 1 : NULL;
            count = at ? strtoul(at, NULL, 10) : 0;
        }
    }
    errno = saved;
    return count;
}

static bool crowded(const struct peer *me)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t quota = me->milli_cpus ? me->milli_cpus() : -1;

    return online < 2 || __builtin_popcountll(allowed_to_all(me)) < 2 ||
           (quota >= 0 && quota < 2000) || runnable() > (unsigned long)online;
}

/* The answer of a moment ago, or a new one. */
static bool was_crowded(struct peer *me, int64_t now_ns)
{
    /* relaxed: local; two threads that ask at once both get an answer. */
    int64_t until = atomic_load_explicit(&me->crowd_until, memory_order_relaxed);
    bool answer;

    if (now_ns < until)
        return get32(&me->crowd) != 0;
    answer = crowded(me);
    put32(&me->crowd, answer);
    atomic_store_explicit(&me->crowd_until, now_ns + (answer ? CROWDED_NS : CALM_NS),
                          memory_order_relaxed); /* relaxed: local */
    return answer;
}

int64_t spin_budget(struct peer *me, int64_t now_ns)
{
    /* relaxed: local hint. */
    int64_t usual = (int64_t)atomic_load_explicit(&me->wait_ewma, memory_order_relaxed);
    uint32_t rest = get32(&me->spin_rest);

    if (me->spin_ns >= 0)
        return me->spin_ns;
    if (usual > MOST_NS)
        return 0;
    if (rest > 0) {
        put32(&me->spin_rest, rest - 1);
        return 0;
    }
    if (was_crowded(me, now_ns))
        return 0;
    if (usual == 0)
        return MOST_NS;
    usual *= 3;
    return usual < LEAST_NS ? LEAST_NS : usual < MOST_NS ? usual : MOST_NS;
}

static void missed(struct peer *me, uint32_t weight)
{
    uint32_t misses = get32(&me->spin_misses) + weight;

    misses = misses < MOST_MISSES ? misses : MOST_MISSES;
    put32(&me->spin_misses, misses);
    put32(&me->spin_rest, (UINT32_C(1) << misses) - 1);
}

/* From one look at the clock to the next. The first look of each is a try. */
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

int spin(struct peer *me, wait_try *attempt, wait_idle *idle, void *context,
         int64_t *now_ns, int64_t until_ns)
{
    bool jumped = false;

    do {
        int64_t before = *now_ns;
        int result = spin_once(attempt, idle, context);

        if (result != -EAGAIN) {
            if (!jumped && get32(&me->spin_misses))
                put32(&me->spin_misses, 0);
            return result;
        }
        *now_ns = os->now_ns();
        jumped |= *now_ns - before > JUMP_NS;
    } while (*now_ns < until_ns);
    missed(me, jumped ? JUMP_MISSES : 1);
    return -EAGAIN;
}

void spin_learn(struct peer *me, int64_t took_ns)
{
    /* relaxed: local hint. */
    int64_t usual = (int64_t)atomic_load_explicit(&me->wait_ewma, memory_order_relaxed);

    /* A wait of seconds says no more than one of a millisecond. */
    took_ns = took_ns < 50 * MOST_NS ? took_ns : 50 * MOST_NS;
    usual += (took_ns - usual) / 8;
    atomic_store_explicit(&me->wait_ewma, (uint64_t)usual,
                          memory_order_relaxed); /* relaxed: as above */
}
