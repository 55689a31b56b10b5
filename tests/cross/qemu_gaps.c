/* SPDX-License-Identifier: MIT */
/* qemu_gaps.c - calls for which qemu-user (7.2) reports success without doing them: advice about
 * memory; and what it invents: the start time of this process, which others read as it is. Linked
 * into the cross-built tests. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
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

int open(const char *path, int flags, ...);
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

/* qemu knows its own process's files by their plain names. */
int open(const char *path, int flags, ...)
{
    char other[64];
    int mode, pid, end = 0;
    va_list rest;

    va_start(rest, flags);
    mode = va_arg(rest, int);
    va_end(rest);
    if (sscanf(path, "/proc/%d/stat%n", &pid, &end) == 1 && end && !path[end]) {
        snprintf(other, sizeof(other), "/proc/./%d/stat", pid);
        path = other;
    }
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}
