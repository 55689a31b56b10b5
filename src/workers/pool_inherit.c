/* SPDX-License-Identifier: MIT */
/* pool_inherit.c - which of the supervisor's descriptors a worker closes. */
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc/memory/segment.h"
#include "src/workers/pool_internal.h"

void pool_drop_own(tr_pool *pool)
{
    for (uint32_t i = 0; i < POOL_CHILDREN; i++) {
        struct child *child = &pool->child[i];

        /* A number that was lost names another file. */
        if (child->state == CHILD_ALIVE && pool_watched(pool, child))
            close(child->pidfd);
        child->pidfd = -1;
    }
    pool_close_own(pool, true);
}

/* Arenas, those that were made without a name at first among them, FIFOs, and what has no name at
 * all: eventfds, epolls, rings, pidfds. None of these keeps the other end of a connection open. */
static bool is_kept_kind(const char *target)
{
    static const char *const kinds[] = {"anon_inode:", "/memfd:tensoring",
                                        SEGMENT_DIRECTORY "/tensoring",
                                        SEGMENT_DIRECTORY "/#"};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strncmp(target, kinds[i], strlen(kinds[i])) == 0)
            return true;
    return false;
}

static bool is_kept(const tr_pool *pool, int ready, int fd)
{
    char path[32], target[256];
    ssize_t length;

    if (fd <= STDERR_FILENO || fd == ready)
        return true;
    for (uint32_t i = 0; i < pool->options.keep_count; i++)
        if (pool->keep[i] == fd)
            return true;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    length = readlink(path, target, sizeof(target) - 1);
    target[length > 0 ? length : 0] = 0;
    return is_kept_kind(target);
}

bool pool_close_inherited(const tr_pool *pool, int ready)
{
    DIR *folder = opendir("/proc/self/fd");
    struct dirent *entry;

    if (!folder)
        return false;
    while ((entry = readdir(folder))) {
        int fd = atoi(entry->d_name); /* 0 for "." and "..": kept */

        if (fd != dirfd(folder) && !is_kept(pool, ready, fd))
            close(fd);
    }
    closedir(folder);
    return true;
}
