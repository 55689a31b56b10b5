/* SPDX-License-Identifier: MIT */
#include "ipc/kernel/timens.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/kernel/clock.h"

#define OFFSETS "/proc/self/timens_offsets"

/* local: all threads of a process have the same. */
static _Atomic int64_t shift_ns, boot_shift_ns;

int64_t timens_shift_ns(void)
{
    return atomic_load_explicit(&shift_ns, memory_order_relaxed); /* relaxed: local */
}

int64_t timens_boot_shift_ns(void)
{
    return atomic_load_explicit(&boot_shift_ns,
                                memory_order_relaxed); /* relaxed: local */
}

int64_t timens_here(int64_t shared_ns)
{
    return shared_ns ? clock_after(shared_ns, timens_shift_ns()) : 0;
}

int64_t timens_shared(int64_t here_ns)
{
    return here_ns ? clock_after(here_ns, -timens_shift_ns()) : 0;
}

/* The file speaks of the namespace that children get. After unshare(CLONE_NEWTIME) that is not
 * ours; then the earlier answer still holds. */
static bool ours(void)
{
    struct stat here, children;

    return stat("/proc/self/ns/time", &here) == 0 &&
           stat("/proc/self/ns/time_for_children", &children) == 0 &&
           here.st_ino == children.st_ino;
}

static size_t read_offsets(char *text, size_t room)
{
    int fd = open(OFFSETS, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, room - 1);

    if (fd >= 0)
        close(fd);
    text[got > 0 ? got : 0] = 0;
    return got > 0 ? (size_t)got : 0;
}

/* A line "monotonic  SECONDS  NANOSECONDS". */
static int64_t offset_of(const char *text, const char *clock)
{
    const char *at = strstr(text, clock);
    char *end;
    int64_t seconds;

    if (!at)
        return 0;
    seconds = strtoll(at + strlen(clock), &end, 10);
    return seconds * 1000000000 + strtoll(end, NULL, 10);
}

void timens_settle(void)
{
    char text[256];
    int saved = errno;

    if (ours() && read_offsets(text, sizeof(text)) > 0) {
        atomic_store_explicit(&shift_ns, offset_of(text, "monotonic"),
                              memory_order_relaxed); /* relaxed: local */
        atomic_store_explicit(&boot_shift_ns, offset_of(text, "boottime"),
                              memory_order_relaxed); /* relaxed: local */
    }
    errno = saved;
}
