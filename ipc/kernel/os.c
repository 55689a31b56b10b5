/* SPDX-License-Identifier: MIT */
#include "ipc/kernel/os.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ipc/kernel/clock.h"
#include "ipc/kernel/timens.h"
#include "ipc/kernel/uncancel.h"

static int64_t read_clock(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - timens_shift_ns();
}

static int64_t now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t os_lately_ns(void)
{
    return read_clock(CLOCK_MONOTONIC_COARSE);
}

/* As the kernel takes it here: in the clock of our time namespace. */
static struct timespec kernel_time(int64_t shared_ns)
{
    int64_t ns = clock_after(shared_ns, timens_shift_ns());

    ns = ns > 0 ? ns : 0;
    return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

/* FUTEX_WAIT_BITSET takes an absolute time, so that retries cannot stretch it. */
static int futex_wait(const _Atomic uint32_t *word, uint32_t seen, int64_t until_ns)
{
    struct timespec until = kernel_time(until_ns);
    int saved = errno;
    long got = syscall(SYS_futex, word, FUTEX_WAIT_BITSET, seen, &until, NULL,
                       FUTEX_BITSET_MATCH_ANY);
    int result = got == 0 ? 0 : -errno;

    errno = saved;
    return result;
}

/* linux/futex.h of 5.16; our headers may be older. */
#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif
#define SIZE_U32 2

struct waitv_entry {
    uint64_t value, address;
    uint32_t flags, reserved;
};

static int futex_waitv(const struct os_word *words, uint32_t count, int64_t until_ns)
{
    struct timespec until = kernel_time(until_ns);
    struct waitv_entry entries[OS_WORDS];
    int saved = errno;
    long got;

    for (uint32_t i = 0; i < count; i++)
        entries[i] = (struct waitv_entry){
            .value = words[i].seen, .address = (uintptr_t)words[i].at, .flags = SIZE_U32};
    got = syscall(SYS_futex_waitv, entries, count, 0, &until, CLOCK_MONOTONIC);
    got = got < 0 ? -errno : got;
    errno = saved;
    return (int)got;
}

static int futex_wake(_Atomic uint32_t *word, int count)
{
    int saved = errno;
    long got = syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);

    errno = saved;
    return got < 0 ? 0 : (int)got;
}

static uint64_t processors(uint32_t pid)
{
    uint64_t words[128] = {0}, folded = 0;

    if (sched_getaffinity((pid_t)pid, sizeof(words), (cpu_set_t *)(void *)words) < 0)
        return UINT64_MAX;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        folded |= words[i];
    return folded;
}

/* 4th field of /proc/loadavg (proc(5)). */
static unsigned long runnable(void)
{
    char text[128];
    unsigned long count = 0;
    int cancel = uncancel_begin(), fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

    if (fd >= 0)
        close(fd);
    uncancel_end(cancel);
    text[got > 0 ? got : 0] = 0;
    return sscanf(text, "%*s %*s %*s %lu", &count) == 1 ? count : 0;
}

const struct os_calls os_kernel = {
    .now_ns = now_ns,
    .futex_wait = futex_wait,
    .futex_waitv = futex_waitv,
    .futex_wake = futex_wake,
    .processors = processors,
    .runnable = runnable,
};
const struct os_calls *os = &os_kernel;
