/* SPDX-License-Identifier: MIT */
/* Which limit leaves how much, on systems of the test's own; and a kernel that is interrupted,
 * or runs out, while it reserves. */
#include "own_system.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "ipc/kernel/limits.h"

#define MIB (UINT64_C(1) << 20)

/* What is left of @p bytes after the part that is kept. */
static uint64_t kept_from(uint64_t bytes)
{
    uint64_t kept = bytes / 64;

    return bytes - (kept < 32 * MIB ? kept : 32 * MIB);
}

/* What stays free of a group's limit: many processes may ask at once. */
static uint64_t kept_of(uint64_t limit)
{
    return limit / 32;
}

static void expect_room(enum shortage_limit limit, uint64_t bytes)
{
    struct shortage shortage;

    assert_false(limits_memory(root, UINT64_MAX / 2, &shortage));
    assert_int_equal(shortage.limit, limit);
    assert_int_equal(shortage.available, kept_from(bytes));
    assert_true(limits_memory(root, kept_from(bytes), &shortage));
    assert_false(limits_memory(root, kept_from(bytes) + 1, &shortage));
}

#define MACHINE       "MemTotal: 8388608 kB\nMemFree: 1 kB\nMemAvailable: 4194304 kB\n"
#define MACHINE_BYTES (4096 * MIB)
#define V2            "30 20 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
#define V1            "31 20 0:27 / /mnt/mem rw - cgroup cgroup rw,memory\n"

static void nothing_known_limits_nothing(void **state)
{
    struct shortage shortage;
    (void)state;

    assert_true(limits_memory(root, UINT64_MAX / 2, &shortage));
}

static void the_machine_has_memory_and_swap(void **state)
{
    (void)state;
    put("/proc/meminfo", MACHINE);
    expect_room(SHORTAGE_MACHINE, MACHINE_BYTES);
    put("/proc/meminfo", MACHINE "SwapTotal: 9 kB\nSwapFree: 1048576 kB\n");
    expect_room(SHORTAGE_MACHINE, MACHINE_BYTES + 1024 * MIB);
}

static void v2_counts_cache_and_swap_as_room(void **state)
{
    struct shortage shortage;
    (void)state;

    put("/proc/meminfo", MACHINE "SwapFree: 65536 kB\n");
    put("/proc/self/mountinfo", V2);
    put("/proc/self/cgroup", "0::/pod/box\n");
    put("/sys/fs/cgroup/pod/box/memory.max", "max\n");
    put("/sys/fs/cgroup/pod/box/memory.current", "104857600\n");
    put("/sys/fs/cgroup/pod/memory.max", "209715200\n"); /* 200 MiB */
    put("/sys/fs/cgroup/pod/memory.current", "209715200\n");
    put("/sys/fs/cgroup/pod/memory.swap.max", "0\n");
    put("/sys/fs/cgroup/pod/memory.swap.current", "0\n");
    expect_room(SHORTAGE_CGROUP, 0);
    put("/sys/fs/cgroup/pod/memory.stat",
        "anon 1048576\nfile 109051904\ninactive_file 62914560\nactive_file 10485760\n"
        "slab_reclaimable 1048576\nslab_unreclaimable 4194304\n");
    expect_room(SHORTAGE_CGROUP, 71 * MIB - kept_of(200 * MIB));
    put("/sys/fs/cgroup/pod/memory.swap.max", "10485760\n");
    expect_room(SHORTAGE_CGROUP, 81 * MIB - kept_of(200 * MIB));
    put("/sys/fs/cgroup/pod/memory.swap.max", "max\n");
    expect_room(SHORTAGE_CGROUP,
                (71 + 64) * MIB - kept_of(200 * MIB)); /* what the machine has free */
    assert_false(limits_memory(root, 200 * MIB, &shortage));
    assert_string_equal(shortage.location, "/sys/fs/cgroup/pod/memory.max");
}

static void v1_looks_at_both_limits(void **state)
{
    (void)state;
    put("/proc/meminfo", MACHINE "SwapFree: 65536 kB\n");
    put("/proc/self/mountinfo", V1);
    put("/proc/self/cgroup", "5:memory:/a\n");
    put("/mnt/mem/a/memory.limit_in_bytes", "209715200\n");
    put("/mnt/mem/a/memory.usage_in_bytes", "104857600\n");
    put("/mnt/mem/a/memory.stat", "inactive_file 1\ntotal_inactive_file 1048576\n"
                                  "total_active_file 2097152\n");
    expect_room(SHORTAGE_CGROUP, (100 + 3 + 64) * MIB - kept_of(200 * MIB));
    put("/mnt/mem/a/memory.memsw.limit_in_bytes", "209715200\n");
    put("/mnt/mem/a/memory.memsw.usage_in_bytes", "104857600\n");
    expect_room(SHORTAGE_CGROUP, (100 + 3) * MIB - kept_of(200 * MIB));
    put("/mnt/mem/memory.limit_in_bytes", "20971520\n");
    put("/mnt/mem/memory.usage_in_bytes", "20971520\n");
    expect_room(SHORTAGE_CGROUP, 64 * MIB - kept_of(20 * MIB));
    put("/mnt/mem/memory.limit_in_bytes", "9223372036854771712\n");
    expect_room(SHORTAGE_CGROUP, (100 + 3) * MIB - kept_of(200 * MIB));
}

/* A container's own view: the mount begins at its group. */
static void groups_of_a_container(void **state)
{
    (void)state;
    put("/proc/self/mountinfo",
        "31 20 0:27 /docker/abc /mnt/mem rw - cgroup cgroup rw,memory\n");
    put("/proc/self/cgroup", "5:memory:/docker/abc\n");
    put("/mnt/mem/memory.limit_in_bytes", "20971520\n");
    put("/mnt/mem/memory.usage_in_bytes", "10485760\n");
    expect_room(SHORTAGE_CGROUP, 10 * MIB - kept_of(20 * MIB));
}

/* ---- reservations ---- */

static int calls, interrupt_above, fail_at;
static uint64_t asked[4096], largest;

int __real_fallocate(int fd, int mode, off_t at, off_t bytes);
int __wrap_fallocate(int fd, int mode, off_t at, off_t bytes);

int __wrap_fallocate(int fd, int mode, off_t at, off_t bytes)
{
    if (mode)
        return __real_fallocate(fd, mode, at, bytes);
    asked[calls++ % 4096] = (uint64_t)bytes;
    largest = (uint64_t)bytes > largest ? (uint64_t)bytes : largest;
    if (calls == fail_at) {
        errno = ENOSPC;
        return -1;
    }
    if (interrupt_above && bytes > interrupt_above) {
        errno = EINTR;
        return -1;
    }
    return __real_fallocate(fd, mode, at, bytes);
}

static int quiet(void **state)
{
    (void)state;
    calls = interrupt_above = fail_at = 0;
    largest = 0;
    return 0;
}

static int create(tr_arena **arena, uint32_t flags)
{
    tr_slot_class class = {80 * MIB, 2};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;

    options.classes = &class;
    options.class_count = 1;
    options.flags = flags;
    return tr_arena_create(NULL, &options, arena);
}

/* A timer whose period is shorter than what the kernel needs for a piece. */
static void interrupted_reservations_go_on(void **state)
{
    tr_arena_info info = TR_ARENA_INFO_INIT;
    tr_message *message;
    tr_arena *arena;
    (void)state;

    interrupt_above = 3 << 20;
    assert_ok(create(&arena, 0));
    assert_ok(tr_arena_info_get(arena, &info));
    assert_int_equal(info.resident_bytes, info.total_bytes);
    tr_arena_close(arena);
    assert_ok(create(&arena, TR_ARENA_LAZY));
    assert_ok(tr_message_loan_bytes(arena, 80 * MIB, TR_NOWAIT, &message));
    assert_ok(tr_arena_info_get(arena, &info));
    assert_true(info.resident_bytes >= 80 * MIB);
    tr_arena_close(arena);
}

static void reserves_in_pieces(void **state)
{
    tr_arena *arena;
    (void)state;

    assert_ok(create(&arena, 0));
    assert_true(calls >= 3);
    assert_true(largest <= 64 * MIB);
    tr_arena_close(arena);
}

static void what_was_reserved_is_given_back(void **state)
{
    tr_arena_info info = TR_ARENA_INFO_INIT;
    int before = descriptors();
    tr_message *message;
    uint64_t tables;
    tr_arena *arena;
    (void)state;

    fail_at = 3;
    assert_int_equal(create(&arena, 0), TR_ENOSPC);
    assert_detail("fallocate");
    assert_int_equal(descriptors(), before);
    fail_at = 0;
    assert_ok(create(&arena, TR_ARENA_LAZY));
    assert_ok(tr_arena_info_get(arena, &info));
    tables = info.resident_bytes;
    fail_at = calls + 2; /* the second piece of a slot */
    assert_int_equal(tr_message_loan_bytes(arena, 80 * MIB, TR_NOWAIT, &message),
                     TR_ENOSPC);
    assert_ok(tr_arena_info_get(arena, &info));
    assert_int_equal(info.resident_bytes, tables);
    assert_int_equal(stats_of(arena).slots_free, 2);
    assert_ok(tr_message_loan_bytes(arena, 80 * MIB, TR_NOWAIT, &message));
    tr_arena_close(arena);
}

/* 16 TiB: no machine that runs tests has them. If it is tried anyway, the kernel of
 * this test refuses. */
static void more_than_there_is_is_not_begun(void **state)
{
    tr_slot_class class = {1024 * MIB, 16384};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    int before = descriptors();
    tr_arena *arena;
    (void)state;

    options.classes = &class;
    options.class_count = 1;
    fail_at = 1;
    assert_int_equal(tr_arena_create(NULL, &options, &arena), TR_ENOSPC);
    assert_int_equal(calls, 0);
    assert_detail("TR_ARENA_LAZY"); /* a way out */
    assert_int_equal(descriptors(), before);
    options.flags = TR_ARENA_OVERCOMMIT; /* as you like */
    assert_int_equal(tr_arena_create(NULL, &options, &arena), TR_ENOSPC);
    assert_int_equal(calls, 1);
    assert_detail("fallocate");
}

/* "VmFlags: rd wr sh mr mw me ms dd": dd is, do not dump. */
static int mappings(const char *flag)
{
    FILE *file = fopen("/proc/self/smaps", "re");
    char line[512];
    int count = 0;
    bool ours = false;

    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        if (strchr(line, '-') && strstr(line, "memfd:tensoring"))
            ours = true;
        if (strncmp(line, "VmFlags:", 8) == 0) {
            count += ours && strstr(line, flag);
            ours = false;
        }
    }
    fclose(file);
    return count;
}

/* Whether an advice about dumps can be seen here: an emulator may not pass it on. */
static bool advice_is_seen(void)
{
    int fd = memfd_create("tensoring", MFD_CLOEXEC);
    void *page = MAP_FAILED;
    bool seen = false;

    if (fd >= 0 && ftruncate(fd, 4096) == 0)
        page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    if (page != MAP_FAILED) {
        seen = madvise(page, 4096, MADV_DONTDUMP) == 0 && mappings(" dd") == 1;
        munmap(page, 4096);
    }
    close(fd);
    return seen;
}

static void cores_do_not_hold_the_arena(void **state)
{
    tr_arena *arena;
    (void)state;

    if (!advice_is_seen())
        skip();
    assert_ok(create(&arena, TR_ARENA_LAZY));
    assert_int_equal(mappings(" dd"), 2);
    tr_arena_close(arena);
    assert_ok(create(&arena, TR_ARENA_LAZY | TR_ARENA_DUMP));
    assert_int_equal(mappings(" dd"), 0);
    tr_arena_close(arena);
}

#define IN_ROOT(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)
#define QUIET(test)   cmocka_unit_test_setup(test, quiet)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_ROOT(nothing_known_limits_nothing),
        IN_ROOT(the_machine_has_memory_and_swap),
        IN_ROOT(v2_counts_cache_and_swap_as_room),
        IN_ROOT(v1_looks_at_both_limits),
        IN_ROOT(groups_of_a_container),
        QUIET(interrupted_reservations_go_on),
        QUIET(reserves_in_pieces),
        QUIET(what_was_reserved_is_given_back),
        QUIET(more_than_there_is_is_not_begun),
        QUIET(cores_do_not_hold_the_arena),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
