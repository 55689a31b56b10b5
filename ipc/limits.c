/* SPDX-License-Identifier: MIT */
#include "ipc/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#define CGROUP_ROOT "/sys/fs/cgroup"
#define PATH        1024

/* A number in a file; UINT64_MAX if there is none, or "max". */
static uint64_t read_number(const char *directory, const char *name)
{
    char path[PATH], text[64];
    uint64_t number = UINT64_MAX;
    FILE *file;

    if (snprintf(path, sizeof(path), "%s/%s", directory, name) >= (int)sizeof(path))
        return UINT64_MAX;
    file = fopen(path, "re");
    if (!file)
        return UINT64_MAX;
    if (fgets(text, sizeof(text), file) && strncmp(text, "max", 3) != 0)
        number = strtoull(text, NULL, 10);
    fclose(file);
    return number;
}

static uint64_t room_here(const char *directory, const char *limit, const char *used)
{
    uint64_t most = read_number(directory, limit), now = read_number(directory, used);

    if (most == UINT64_MAX || now == UINT64_MAX)
        return UINT64_MAX;
    return now < most ? most - now : 0;
}

/* The least of a group and all above it. */
static uint64_t room_along(const char *root, const char *group, const char *limit,
                           const char *used)
{
    uint64_t least = UINT64_MAX;
    char path[PATH];
    size_t root_length = strlen(root);

    if (snprintf(path, sizeof(path), "%s%s", root, group) >= (int)sizeof(path))
        return least;
    for (;;) {
        uint64_t here = room_here(path, limit, used);
        char *slash = strrchr(path, '/');

        least = here < least ? here : least;
        if (!slash || (size_t)(slash - path) < root_length)
            return least;
        *slash = 0;
    }
}

/* /proc/self/cgroup has lines "ID:CONTROLLERS:PATH" (cgroups(7)). */
uint64_t limits_cgroup_room(const char *root)
{
    uint64_t least = UINT64_MAX;
    char line[PATH], below[PATH];
    FILE *file = fopen("/proc/self/cgroup", "re");

    if (!file)
        return least;
    while (fgets(line, sizeof(line), file)) {
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        uint64_t here;

        if (!group)
            continue;
        *group++ = 0;
        group[strcspn(group, "\n")] = 0;
        if (controllers[1] == 0) {
            here = room_along(root, group, "memory.max", "memory.current");
        } else if (strstr(controllers + 1, "memory")) {
            snprintf(below, sizeof(below), "%s/memory", root);
            here = room_along(below, group, "memory.limit_in_bytes",
                              "memory.usage_in_bytes");
        } else {
            continue;
        }
        least = here < least ? here : least;
    }
    fclose(file);
    return least;
}

bool limits_allow(int fd, bool named, uint64_t bytes, struct shortage *shortage)
{
    struct rlimit fsize;
    struct statvfs fs;
    uint64_t room;

    *shortage = (struct shortage){.asked = bytes};
    /* Beyond this limit the kernel would send SIGXFSZ. */
    if (getrlimit(RLIMIT_FSIZE, &fsize) == 0 && fsize.rlim_cur < bytes) {
        shortage->limit = SHORTAGE_FSIZE;
        shortage->available = fsize.rlim_cur;
        return false;
    }
    if (named && fstatvfs(fd, &fs) == 0 && fs.f_blocks) {
        room = (uint64_t)fs.f_bavail * fs.f_frsize;
        if (room < bytes) {
            shortage->limit = SHORTAGE_FILESYSTEM;
            shortage->available = room;
            return false;
        }
    }
    room = limits_cgroup_room(CGROUP_ROOT);
    if (room < bytes) {
        shortage->limit = SHORTAGE_CGROUP;
        shortage->available = room;
        return false;
    }
    return true;
}
