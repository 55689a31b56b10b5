/* SPDX-License-Identifier: MIT */
/* limits.h - how much memory there is to reserve, and which limit says so. */
#ifndef TR_IPC_LIMITS_H
#define TR_IPC_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

enum shortage_limit {
    SHORTAGE_NONE,
    SHORTAGE_FILESYSTEM, /* the size of /dev/shm */
    SHORTAGE_CGROUP,     /* the memory cgroup */
    SHORTAGE_FSIZE,      /* RLIMIT_FSIZE */
    SHORTAGE_KERNEL      /* fallocate said so */
};

struct shortage {
    enum shortage_limit limit;
    uint64_t asked, available;
};

/* Whether @p bytes can be reserved in the file @p fd; @p named: it lies in /dev/shm. */
bool limits_allow(int fd, bool named, uint64_t bytes, struct shortage *shortage);

/* What the memory cgroup (v2 and v1) and its ancestors leave, UINT64_MAX: no limit. The
 * mount point of the cgroups is @p root. */
uint64_t limits_cgroup_room(const char *root);

#endif
