/* SPDX-License-Identifier: MIT */
#include "src/workers/enter_bind.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Static_assert(sizeof(tr_cpuset) == sizeof(cpu_set_t), "a tr_cpuset is a cpu_set_t");

int bind_get(tr_cpuset *out)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set))
        return -errno;
    memcpy(out, &set, sizeof(*out));
    return 0;
}

/* True if the mask was another one. */
static bool move(pid_t task, const cpu_set_t *to, int *result)
{
    cpu_set_t now;

    if (!sched_getaffinity(task, sizeof(now), &now) && CPU_EQUAL(&now, to))
        return false;
    if (!sched_setaffinity(task, sizeof(*to), to))
        return true;
    if (errno != ESRCH) /* ESRCH: the thread has ended meanwhile */
        *result = -errno;
    return false;
}

/* One look at all threads. True if any had another mask. */
static bool pass(DIR *tasks, const cpu_set_t *to, uint32_t *count, int *result)
{
    bool changed = false;
    struct dirent *entry;

    *count = 0;
    rewinddir(tasks);
    while ((entry = readdir(tasks))) {
        char *end;
        long id = strtol(entry->d_name, &end, 10);

        if (*end || id <= 0)
            continue;
        ++*count;
        changed |= move((pid_t)id, to, result);
    }
    return changed;
}

int bind_process(pid_t pid, const tr_cpuset *set, uint32_t *tasks)
{
    enum { PASSES = 10 };
    char path[64];
    cpu_set_t to;
    uint32_t count = 1;
    int result = 0;
    DIR *folder;

    memcpy(&to, set, sizeof(to));
    if (pid)
        snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    else
        snprintf(path, sizeof(path), "/proc/self/task");
    folder = opendir(path);
    if (folder) {
        /* A thread started during a pass may have the old mask: look until none has. */
        for (int i = 0; i < PASSES && pass(folder, &to, &count, &result) && !result; i++)
            ;
        closedir(folder);
    } else {
        (void)move(pid, &to, &result); /* no /proc: the first thread at least */
    }
    if (tasks)
        *tasks = count;
    return result;
}
