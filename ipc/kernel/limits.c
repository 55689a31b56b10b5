/* SPDX-License-Identifier: MIT */
#include "ipc/kernel/limits.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "ipc/kernel/cgroup.h"
#include "ipc/kernel/clock.h"
#include "ipc/kernel/os.h"

#define MIB       (UINT64_C(1) << 20)
#define KEPT_MOST (32 * MIB)
/* This part of what there is stays free: page tables and whatever else a reservation takes. */
#define KEPT_PART 64
/* And this part of a group's limit: many processes may ask at once, and each sees the same room,
 * while their page tables and their own memory grow. */
#define KEPT_OF_LIMIT 32
#define CREDIT_PART   64 /* of what is left may be spent without asking again */
#define CREDIT_NS     INT64_C(50000000) /* for so long */
/* Each process has such a credit: where little is left, they are small. */
#define PLENTY             (UINT64_C(1) << 30)
#define CREDIT_PART_SCARCE 1024

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t sum_of(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static bool refuse(struct shortage *shortage, enum shortage_limit limit,
                   uint64_t available)
{
    shortage->limit = limit;
    shortage->available = available;
    return false;
}

/* What this process has mapped; 0: not known. */
static uint64_t mapped_now(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    uint64_t pages = 0;

    if (file && fscanf(file, "%" SCNu64, &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool limit_of(__rlimit_resource_t what, uint64_t *limit)
{
    struct rlimit now;

    if (getrlimit(what, &now) < 0 || now.rlim_cur == RLIM_INFINITY)
        return false;
    *limit = now.rlim_cur;
    return true;
}

bool limits_may_write(uint64_t end)
{
    uint64_t limit;

    return !limit_of(RLIMIT_FSIZE, &limit) || end <= limit;
}

/* An anonymous file has no such limit: f_blocks is 0. */
bool limits_full(int fd, uint64_t bytes, struct shortage *shortage)
{
    struct statvfs fs;

    if (fstatvfs(fd, &fs) < 0 || !fs.f_blocks ||
        (uint64_t)fs.f_bavail * fs.f_frsize >= bytes)
        return false;
    shortage->asked = bytes;
    refuse(shortage, SHORTAGE_FILESYSTEM, (uint64_t)fs.f_bavail * fs.f_frsize);
    return true;
}

bool limits_file(int fd, bool named, uint64_t bytes, uint64_t file_bytes,
                 uint64_t mapped_bytes, struct shortage *shortage)
{
    uint64_t limit, used;

    *shortage = (struct shortage){.asked = file_bytes};
    /* Beyond this limit the kernel would send SIGXFSZ. */
    if (limit_of(RLIMIT_FSIZE, &limit) && limit < file_bytes)
        return refuse(shortage, SHORTAGE_FSIZE, limit);
    shortage->asked = mapped_bytes;
    if (limit_of(RLIMIT_AS, &limit)) {
        used = mapped_now();
        limit = used < limit ? limit - used : 0;
        if (limit < mapped_bytes)
            return refuse(shortage, SHORTAGE_AS, limit);
    }
    shortage->asked = bytes;
    return !named || !limits_full(fd, bytes, shortage);
}

/* The rest of a limit. */
static uint64_t rest(uint64_t most, uint64_t used)
{
    if (most == UINT64_MAX || used == UINT64_MAX)
        return UINT64_MAX;
    return used < most ? most - used : 0;
}

/* Shared memory can be swapped out: a limit on memory alone leaves what goes to swap. */
static uint64_t room_v2(const struct cgroup *group, uint64_t swap_free)
{
    static const char *const cache[] = {"inactive_file", "active_file",
                                        "slab_reclaimable"};
    uint64_t room = rest(cgroup_number(group, "memory.max"),
                         cgroup_number(group, "memory.current"));
    uint64_t swap = rest(cgroup_number(group, "memory.swap.max"),
                         cgroup_number(group, "memory.swap.current"));

    if (room == UINT64_MAX)
        return room;
    room = sum_of(room, cgroup_sum(group, "memory.stat", cache, 3));
    return sum_of(room, least(swap, swap_free));
}

static uint64_t room_v1(const struct cgroup *group, uint64_t swap_free)
{
    static const char *const cache[] = {"total_inactive_file", "total_active_file"};
    uint64_t file = cgroup_sum(group, "memory.stat", cache, 2);
    uint64_t room = rest(cgroup_number(group, "memory.limit_in_bytes"),
                         cgroup_number(group, "memory.usage_in_bytes"));
    uint64_t both = rest(cgroup_number(group, "memory.memsw.limit_in_bytes"),
                         cgroup_number(group, "memory.memsw.usage_in_bytes"));

    if (room != UINT64_MAX)
        room = sum_of(sum_of(room, file), swap_free);
    return both == UINT64_MAX ? room : least(room, sum_of(both, file));
}

/* The least of a group and all above it. */
static void look_at_groups(const char *root, bool v2, uint64_t swap_free,
                           struct shortage *tightest)
{
    const char *file = v2 ? "memory.max" : "memory.limit_in_bytes";
    struct cgroup group;

    if (!cgroup_find(root, "memory", v2, &group))
        return;
    do {
        uint64_t room = v2 ? room_v2(&group, swap_free) : room_v1(&group, swap_free);

        if (room != UINT64_MAX)
            room -= least(room,
                          least(cgroup_number(&group, file) / KEPT_OF_LIMIT, KEPT_MOST));
        if (room >= tightest->available)
            continue;
        tightest->limit = SHORTAGE_CGROUP;
        tightest->available = room;
        if (!cgroup_file(&group, file, tightest->location, sizeof(tightest->location)))
            tightest->location[0] = 0;
    } while (cgroup_up(&group));
}

/* What the machine has; UINT64_MAX: not known. */
static uint64_t look_at_machine(const char *root, uint64_t *swap_free)
{
    char path[CGROUP_PATH], line[256];
    uint64_t available = UINT64_MAX, kib;
    FILE *file;

    *swap_free = 0;
    snprintf(path, sizeof(path), "%s/proc/meminfo", root);
    file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, "MemAvailable: %" SCNu64, &kib) == 1)
            available = kib * 1024;
        else if (sscanf(line, "SwapFree: %" SCNu64, &kib) == 1)
            *swap_free = kib * 1024;
    if (file)
        fclose(file);
    return available == UINT64_MAX ? available : sum_of(available, *swap_free);
}

bool limits_memory(const char *root, uint64_t bytes, struct shortage *shortage)
{
    uint64_t swap_free;

    *shortage = (struct shortage){.asked = bytes, .limit = SHORTAGE_MACHINE};
    shortage->available = look_at_machine(root, &swap_free);
    look_at_groups(root, true, swap_free, shortage);
    look_at_groups(root, false, swap_free, shortage);
    if (shortage->available == UINT64_MAX)
        return true;
    shortage->available -= least(shortage->available / KEPT_PART, KEPT_MOST);
    return bytes <= shortage->available;
}

bool limits_spend(uint64_t bytes, struct shortage *shortage)
{
    static _Atomic uint64_t credit; /* local: */
    static _Atomic int64_t until;   /* local: */
    int64_t now = os->now_ns();
    /* relaxed: local: a thread that spends what another one does errs by that much. */
    uint64_t left = atomic_load_explicit(&credit, memory_order_relaxed);

    /* relaxed: local: an old time is a credit that ends too early. */
    if (now < atomic_load_explicit(&until, memory_order_relaxed) && bytes <= left) {
        atomic_store_explicit(&credit, left - bytes, memory_order_relaxed);
        return true;
    }
    if (!limits_memory("", bytes, shortage))
        return false;
    left = shortage->available - bytes;
    left /= left < PLENTY ? CREDIT_PART_SCARCE : CREDIT_PART;
    atomic_store_explicit(&credit, left, memory_order_relaxed); /* relaxed: local: */
    atomic_store_explicit(&until, clock_after(now, CREDIT_NS), memory_order_relaxed);
    return true;
}
