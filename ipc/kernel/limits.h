/* SPDX-License-Identifier: MIT */
/* limits.h - how much memory there is to reserve, and which limit says so. Where memory runs
 * out, the kernel's answer to a reservation is its OOM killer: so it is asked before. */
#ifndef TR_IPC_LIMITS_H
#define TR_IPC_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

enum shortage_limit {
    SHORTAGE_NONE,
    SHORTAGE_FILESYSTEM, /* the size of /dev/shm */
    SHORTAGE_MACHINE,    /* MemAvailable and SwapFree of /proc/meminfo */
    SHORTAGE_CGROUP,     /* a memory cgroup */
    SHORTAGE_FSIZE,      /* RLIMIT_FSIZE */
    SHORTAGE_AS,         /* RLIMIT_AS */
    SHORTAGE_KERNEL      /* fallocate said so */
};

struct shortage {
    enum shortage_limit limit;
    uint64_t asked, available;
    char location[256]; /* of a memory cgroup: the file that sets the limit */
};

/* Whether a file may have @p file_bytes, be mapped with @p mapped_bytes, and lie in /dev/shm
 * (@p named) with @p bytes: limits that are not of memory. */
bool limits_file(int fd, bool named, uint64_t bytes, uint64_t file_bytes,
                 uint64_t mapped_bytes, struct shortage *shortage);

/* The kernel had no room (ENOSPC) for @p bytes of a file: whether its file system says so. */
bool limits_full(int fd, uint64_t bytes, struct shortage *shortage);

/* Whether a file may be written up to @p end. Beyond the limit that is a signal, also where the
 * file is long enough. */
bool limits_may_write(uint64_t end);

/* Whether the machine and the memory cgroups have @p bytes. What they would give up at once
 * (page cache) counts as free. @p root is put before every path, "" for the real system. */
bool limits_memory(const char *root, uint64_t bytes, struct shortage *shortage);

/* The same for many small reservations: asks the system now and then, and spends a small part
 * of what it said meanwhile. */
bool limits_spend(uint64_t bytes, struct shortage *shortage);

#endif
