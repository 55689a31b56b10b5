/* SPDX-License-Identifier: MIT */
#include "ipc/os.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ipc/participant.h"
#include "ipc/shm.h"

#ifdef TR_STEPS
void (*shm_step_hook)(const char *site, const void *at, enum shm_kind kind);
#endif

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* FUTEX_WAIT_BITSET takes an absolute time, so that retries cannot stretch it. */
static int futex_wait(const _Atomic uint32_t *word, uint32_t seen, int64_t until_ns)
{
    struct timespec until = {.tv_sec = until_ns / 1000000000,
                             .tv_nsec = until_ns % 1000000000};
    int saved = errno;
    long got = syscall(SYS_futex, word, FUTEX_WAIT_BITSET, seen, &until, NULL,
                       FUTEX_BITSET_MATCH_ANY);
    int result = got == 0 ? 0 : -errno;

    errno = saved;
    return result;
}

static int futex_wake(_Atomic uint32_t *word, int count)
{
    int saved = errno;
    long got = syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);

    errno = saved;
    return got < 0 ? 0 : (int)got;
}

const struct os_calls os_kernel = {
    .now_ns = now_ns,
    .futex_wait = futex_wait,
    .futex_wake = futex_wake,
    .dead = participant_dead,
};
const struct os_calls *os = &os_kernel;
