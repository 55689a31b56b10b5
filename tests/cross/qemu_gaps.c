/* SPDX-License-Identifier: MIT */
/* qemu_gaps.c - what qemu-user answers "done" to and does not do (7.2): advice about memory.
 * Linked into the cross-built tests: wipes on fork by hand, and refuses what is not done. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOST 256

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static struct {
    void *at;
    size_t bytes;
} wiped[MOST];

int munmap(void *at, size_t bytes);
int madvise(void *at, size_t bytes, int advice);

static void wipe(void)
{
    for (int i = 0; i < MOST; i++)
        if (wiped[i].at)
            memset(wiped[i].at, 0, wiped[i].bytes);
}

static void __attribute__((constructor)) watch_forks(void)
{
    pthread_atfork(NULL, NULL, wipe);
}

int madvise(void *at, size_t bytes, int advice)
{
    if (advice == MADV_HUGEPAGE || advice == MADV_COLLAPSE) {
        errno = EINVAL;
        return -1;
    }
    for (int i = 0; advice == MADV_WIPEONFORK && i < MOST; i++)
        if (!wiped[i].at) {
            wiped[i].at = at;
            wiped[i].bytes = bytes;
            return 0;
        }
    return (int)syscall(SYS_madvise, at, bytes, advice);
}

int munmap(void *at, size_t bytes)
{
    for (int i = 0; i < MOST; i++)
        if (wiped[i].at == at)
            wiped[i].at = NULL;
    return (int)syscall(SYS_munmap, at, bytes);
}
