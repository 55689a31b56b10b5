/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#include <tensoring/arena.h>
#include <tensoring/enter.h>

#include "doctor.h"

enum { MIB = 1 << 20 };

static void look_at_shm(struct findings *to)
{
    struct statvfs shm;
    struct finding *one;
    uint64_t total, left;

    if (statvfs("/dev/shm", &shm)) {
        one = found(to, "shm", WARN);
        text_of(one, "there is no /dev/shm: only anonymous arenas can be made");
        advise(one, "mount a tmpfs at /dev/shm");
        return;
    }
    total = (uint64_t)shm.f_blocks * shm.f_frsize;
    left = (uint64_t)shm.f_bavail * shm.f_frsize;
    one = found(to, "shm", left < (uint64_t)128 * MIB ? WARN : FINE);
    text_of(one, "/dev/shm has %" PRIu64 " MiB, %" PRIu64 " MiB are free", total / MIB,
            left / MIB);
    if (one->verdict == WARN)
        advise(one,
               "named arenas are limited to it (docker run --shm-size; in Kubernetes an "
               "emptyDir of medium Memory); anonymous arenas are not");
}

static void look_at_arena(struct findings *to)
{
    tr_arena *arena;
    int result = tr_arena_create(NULL, NULL, &arena);
    struct finding *one = found(to, "arena", result ? BAD : FINE);

    if (result) {
        text_of(one, "no arena of default size can be made: %s", tr_error_detail());
        return;
    }
    text_of(one, "an arena of default size can be made");
    tr_arena_close(arena);
}

static void look_for_leftovers(struct findings *to)
{
    DIR *folder = opendir("/dev/shm");
    struct dirent *entry;
    struct finding *one;
    unsigned count = 0;

    while (folder && (entry = readdir(folder)))
        count += !strncmp(entry->d_name, "tensoring.", 10);
    if (folder)
        closedir(folder);
    one = found(to, "named arenas", count ? NOTE : FINE);
    text_of(one, "there are %u", count);
    if (count)
        advise(one, "tensoring ls shows them, tensoring gc removes those of the dead");
}

static void look_at_limits(struct findings *to)
{
    struct rlimit limit;
    struct finding *one;

    if (!getrlimit(RLIMIT_MEMLOCK, &limit)) {
        one = found(to, "locked memory", FINE);
        if (limit.rlim_cur == RLIM_INFINITY)
            text_of(one, "no limit");
        else
            text_of(one,
                    "at most %llu KiB (ulimit -l); arenas are not locked, buffers that "
                    "are registered with io_uring are",
                    (unsigned long long)limit.rlim_cur / 1024);
        if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < (rlim_t)8 * MIB)
            one->verdict = NOTE;
    }
    if (!getrlimit(RLIMIT_NOFILE, &limit)) {
        one = found(to, "descriptors", limit.rlim_cur < 1024 ? WARN : FINE);
        text_of(one, "at most %llu (ulimit -n)", (unsigned long long)limit.rlim_cur);
    }
}

/* "always within_size [never]": the word in brackets. */
static const char *chosen(char *line)
{
    char *start = strchr(line, '['), *end = start ? strchr(start, ']') : NULL;

    if (!end)
        return line;
    *end = 0;
    return start + 1;
}

static void look_at_huge_pages(struct findings *to)
{
    char line[256];
    struct finding *one;

    if (read_file("/sys/kernel/mm/transparent_hugepage/shmem_enabled", line,
                  sizeof(line))) {
        const char *mode = chosen(line);

        one = found(to, "huge pages", FINE);
        text_of(one, "transparent ones for shared memory: %s", mode);
        if (!strcmp(mode, "never") || !strcmp(mode, "deny")) {
            one->verdict = NOTE;
            advise(one,
                   "TR_ARENA_HUGE collapses pages by hand, where the kernel allows it "
                   "(Linux 6.1); advise in shmem_enabled makes it cheaper");
        }
    } else {
        one = found(to, "huge pages", NOTE);
        text_of(one, "this kernel has no transparent ones");
    }
    if (read_file("/proc/sys/vm/nr_hugepages", line, sizeof(line))) {
        one = found(to, "reserved huge pages", FINE);
        text_of(one, "%s; tensoring does not need any", line);
    }
}

static void look_at_nodes(struct findings *to)
{
    tr_plan *plan = malloc(tr_plan_bytes());
    void *memory = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                        0);
    struct finding *one;
    int result;

    result = memory == MAP_FAILED || !plan ? TR_ENOMEM : tr_plan_create(1, NULL, plan);
    if (result) {
        free(plan);
        return;
    }
    result = tr_worker_bind_memory(plan, 0, memory, MIB);
    munmap(memory, MIB);
    free(plan);
    one = found(to, "memory nodes", result ? NOTE : FINE);
    text_of(one,
            result ? "memory cannot be bound to a node: %s"
                   : "memory can be bound to a node",
            tr_strerror(result));
    if (result == TR_EPERM)
        advise(one, "containers forbid mbind(); give them CAP_SYS_NICE. It matters only "
                    "on machines "
                    "with several memory nodes");
}

void examine_memory(struct findings *to)
{
    look_at_shm(to);
    look_at_arena(to);
    look_for_leftovers(to);
    look_at_limits(to);
    look_at_huge_pages(to);
    look_at_nodes(to);
}
