/* SPDX-License-Identifier: MIT */
/* memory.c - memory, files and limits run out: a clear error, no signal, nothing left. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/e2e/access/checks.h"

#define MIB (UINT64_C(1) << 20)

/* A /dev/shm of our own, that small. */
static void small_shm(const char *size)
{
    if (unshare(CLONE_NEWNS) < 0)
        skip("no mount namespace of our own");
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("small", "/dev/shm", "tmpfs", 0, size) < 0)
        skip("no tmpfs of our own");
}

static unsigned shm_files(void)
{
    DIR *folder = opendir("/dev/shm");
    unsigned count = 0;

    while (folder && readdir(folder))
        count++;
    if (folder)
        closedir(folder);
    return count - 2;
}

static unsigned open_files(void)
{
    DIR *folder = opendir("/proc/self/fd");
    unsigned count = 0;

    while (folder && readdir(folder))
        count++;
    if (folder)
        closedir(folder);
    return count;
}

static int create(tr_arena **arena, const char *name, uint64_t bytes, uint64_t count,
                  uint32_t flags)
{
    tr_slot_class class = {bytes, count};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;

    options.classes = &class;
    options.class_count = 1;
    options.flags = flags;
    options.ring_bytes = 65536;
    return tr_arena_create(name, &options, arena);
}

static void fill_all(tr_arena *arena, uint64_t bytes, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        tr_message *message;

        expect_code("loan", tr_message_loan_bytes(arena, bytes, TR_NOWAIT, &message), 0);
        memset(tr_message_tensor(message, 0)->data, 1, bytes);
    }
}

static void full_tmpfs(void)
{
    tr_arena *arena, *second;

    small_shm("size=4m");
    expect_code("create more than there is", create(&arena, "full", MIB, 8, 0),
                TR_ENOSPC);
    expect("the error says how much", strstr(tr_error_detail(), "MiB") != NULL ||
                                          strpbrk(tr_error_detail(), "0123456789"));
    expect("nothing is left", shm_files() == 0);
    expect_code("create what there is", create(&arena, "full", MIB, 2, 0), 0);
    expect_code("create more than is left", create(&second, "fuller", MIB, 2, 0),
                TR_ENOSPC);
    expect("only the first is there", shm_files() == 1);
    fill_all(arena, MIB, 2);
    tr_arena_close(arena);
    expect_code("unlink", tr_arena_unlink("full"), 0);
    expect("nothing is left in the end", shm_files() == 0);
}

static void full_while_lazy(void)
{
    tr_arena *arena;
    tr_message *messages[16];
    uint64_t bytes = 0;
    unsigned got = 0;
    int code = 0;

    small_shm("size=8m");
    expect_code("create", create(&arena, "lazy", MIB, 16, TR_ARENA_LAZY), 0);
    while (got < 16 &&
           (code = tr_message_loan_bytes(arena, MIB, TR_NOWAIT, &messages[got])) == 0)
        memset(tr_message_tensor(messages[got++], 0)->data, 1, MIB);
    expect_code("loan more than there is", code, TR_ENOSPC);
    expect("the limit is named",
           strstr(tr_error_detail(), "the size of /dev/shm leaves") != NULL);
    expect("most of it was had", got >= 5 && got < 8);
    for (unsigned i = 0; i < got; i++)
        tr_message_release(messages[i]);
    expect_code("trim", tr_arena_trim(arena, &bytes), 0);
    expect("trimmed", bytes >= got * MIB);
    expect_code("loan again", tr_message_loan_bytes(arena, MIB, TR_NOWAIT, &messages[0]),
                0);
    memset(tr_message_tensor(messages[0], 0)->data, 2, MIB);
    tr_arena_close(arena);
    expect_code("unlink", tr_arena_unlink("lazy"), 0);
}

/* What its own free slots keep is room, for slots and for their records. */
static void warm_elastic(void)
{
    tr_message *messages[5];
    tr_arena *arena;

    small_shm("size=8m");
    expect_code("create", create(&arena, "warm", 5 * MIB, 64, TR_ARENA_ELASTIC), 0);
    for (unsigned i = 0; i < 5; i++)
        expect_code("loan", tr_message_loan_bytes(arena, MIB, TR_NOWAIT, &messages[i]),
                    0);
    for (unsigned i = 0; i < 5; i++)
        tr_message_release(messages[i]);
    expect_code("loan what is kept",
                tr_message_loan_bytes(arena, 5 * MIB, TR_NOWAIT, &messages[0]), 0);
    memset(tr_message_tensor(messages[0], 0)->data, 1, 5 * MIB);
    tr_arena_close(arena);
    expect_code("unlink", tr_arena_unlink("warm"), 0);
}

static void limit(int what, rlim_t to)
{
    struct rlimit now;

    expect("getrlimit", getrlimit((__rlimit_resource_t)what, &now) == 0);
    now.rlim_cur = to;
    if (setrlimit((__rlimit_resource_t)what, &now) < 0)
        skip("the limit can't be set");
}

static void file_size_limit(void)
{
    unsigned before = open_files();
    tr_arena *arena;

    limit(RLIMIT_FSIZE, MIB);
    expect("create beyond RLIMIT_FSIZE", create(&arena, NULL, MIB, 8, 0) < 0);
    expect("the limit is named", strstr(tr_error_detail(), "RLIMIT_FSIZE") ||
                                     strstr(tr_error_detail(), "file size"));
    expect("no descriptor is left", open_files() == before);
}

static void descriptor_limit(void)
{
    unsigned before = open_files();
    tr_arena *arena;

    limit(RLIMIT_NOFILE, 3);
    expect_code("create without descriptors", create(&arena, NULL, 4096, 8, 0),
                TR_ENFILE);
    limit(RLIMIT_NOFILE, 64);
    expect_code("create with some", create(&arena, NULL, 4096, 8, 0), 0);
    fill_all(arena, 4096, 8);
    tr_arena_close(arena);
    expect("no descriptor is left", open_files() <= before + 1);
}

static void attach_without_descriptors(void)
{
    tr_arena *arena, *again;
    int code;

    small_shm("size=8m");
    expect_code("create", create(&arena, "few", 4096, 8, 0), 0);
    limit(RLIMIT_NOFILE, 3);
    code = tr_arena_attach("few", NULL, &again);
    expect_code("attach without descriptors", code, TR_ENFILE);
    limit(RLIMIT_NOFILE, 64);
    expect_code("attach", tr_arena_attach("few", NULL, &again), 0);
    tr_arena_close(again);
    tr_arena_close(arena);
}

static void locked_memory_limit(void)
{
    tr_arena *arena;

    limit(RLIMIT_MEMLOCK, 0);
    expect_code("create", create(&arena, NULL, 4096, 64, TR_ARENA_POPULATE), 0);
    fill_all(arena, 4096, 64);
    tr_arena_close(arena);
}

static void address_space_limit(void)
{
    tr_arena *arena;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip("a sanitizer needs the address space");
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    skip("a sanitizer needs the address space");
#endif
#endif
    limit(RLIMIT_AS, 64 * MIB);
    expect_code("create beyond RLIMIT_AS", create(&arena, NULL, MIB, 200, 0), TR_ENOSPC);
    expect("the limit is named", strstr(tr_error_detail(), "RLIMIT_AS") != NULL);
    expect_code("create a small one", create(&arena, NULL, 4096, 8, 0), 0);
    tr_arena_close(arena);
}

static bool write_text(const char *directory, const char *file, const char *text)
{
    char path[512];
    int fd;
    bool done;

    snprintf(path, sizeof(path), "%s/%s", directory, file);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return done;
}

/* A group of our own below @p root, which leaves 32 MiB; we are in it. */
static bool enter_group(const char *root, const char *limit_file, char *group,
                        size_t room)
{
    snprintf(group, room, "%s/tensoring-e2e-%d", root, (int)getpid());
    if (mkdir(group, 0755) < 0)
        return false;
    if (write_text(group, limit_file, "33554432") &&
        write_text(group, "cgroup.procs", "0"))
        return true;
    rmdir(group);
    return false;
}

static const char *root;
static char group[256];

/* Until leave_a_group(); skips where none can be made. */
static void enter_a_group(void)
{
    root = "/sys/fs/cgroup/memory";
    if (enter_group(root, "memory.limit_in_bytes", group, sizeof(group)))
        return;
    root = "/sys/fs/cgroup";
    if (!enter_group(root, "memory.max", group, sizeof(group)))
        skip("no memory cgroup can be made here");
}

/* A group that is left can be removed. */
static void leave_a_group(void)
{
    write_text(root, "cgroup.procs", "0");
    rmdir(group);
}

/* Without the look at the limit the kernel would kill us at the reservation. */
static void memory_cgroup(void)
{
    char detail[512];
    tr_arena *arena = NULL;
    int too_large, small;

    enter_a_group();
    too_large = create(&arena, NULL, MIB, 200, 0);
    snprintf(detail, sizeof(detail), "%s", tr_error_detail());
    small = create(&arena, NULL, 4096, 64, TR_ARENA_POPULATE);
    if (small == 0) {
        fill_all(arena, 4096, 64);
        tr_arena_close(arena);
    }
    leave_a_group();
    expect_code("create beyond the memory cgroup", too_large, TR_ENOSPC);
    expect("the detail names the memory cgroup", strstr(detail, "memory cgroup") != NULL);
    expect("and which", strstr(detail, "tensoring-e2e-") != NULL);
    expect_code("create a small one", small, 0);
}

/* Each loan reserves: it asks, too, and stops before the limit. */
static void lazy_in_a_memory_cgroup(void)
{
    tr_arena *arena = NULL;
    char detail[512];
    tr_message *message;
    unsigned got = 0;
    int created, code = 0;

    enter_a_group();
    created = create(&arena, NULL, MIB, 64, TR_ARENA_LAZY);
    while (created == 0 && got < 64 &&
           (code = tr_message_loan_bytes(arena, MIB, TR_NOWAIT, &message)) == 0) {
        memset(tr_message_tensor(message, 0)->data, 1, MIB);
        got++;
    }
    snprintf(detail, sizeof(detail), "%s", tr_error_detail());
    tr_arena_close(arena);
    leave_a_group();
    expect_code("create", created, 0);
    expect_code("loan more than there is", code, TR_ENOSPC);
    expect("the detail names the memory cgroup", strstr(detail, "memory cgroup") != NULL);
    expect("most of it was had", got >= 16 && got < 32);
}

#define MANY 24

/* One of many that loan at once, until nothing is left. 1: it was refused. */
static int loan_until_refused(tr_arena *arena, int start)
{
    tr_message *message;
    int code;
    char byte;

    (void)!read(start, &byte, 1); /* all begin when the other end is closed */
    while ((code = tr_message_loan_bytes(arena, 65536, TR_NOWAIT, &message)) == 0)
        memset(tr_message_tensor(message, 0)->data, 1, 65536);
    return code == TR_ENOSPC;
}

/* Each sees the same room: together they must not take more than there is. */
static void many_in_a_memory_cgroup(void)
{
    tr_slot_class class = {MIB, 4096};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_arena *arena = NULL;
    int start[2], created, refused = 0, killed = 0;

    enter_a_group();
    write_text(group, "memory.max", "100663296"); /* 96 MiB: each takes some for itself */
    write_text(group, "memory.limit_in_bytes", "100663296");
    options.classes = &class;
    options.class_count = 1;
    options.flags = TR_ARENA_ELASTIC;
    created = tr_arena_create(NULL, &options, &arena);
    if (pipe(start) < 0)
        exit(1);
    for (int i = 0; created == 0 && i < MANY; i++)
        if (fork() == 0) {
            close(start[1]);
            _exit(loan_until_refused(arena, start[0]));
        }
    close(start[1]);
    for (int i = 0; created == 0 && i < MANY; i++) {
        int status;

        (void)wait(&status);
        killed += WIFSIGNALED(status);
        refused += WIFEXITED(status) && WEXITSTATUS(status) == 1;
    }
    close(start[0]);
    tr_arena_close(arena);
    leave_a_group();
    expect_code("create", created, 0);
    expect("none of them is killed", killed == 0);
    expect("all of them are refused in the end", refused == MANY);
}

/* A file whose reading fills the group's memory; the kernel gives that up at once. It stays
 * open, and so in memory, until this process ends. */
static bool fill_the_cache(void)
{
    char path[] = "/var/tmp/tensoring-e2e-XXXXXX", block[65536] = {1};
    int fd = mkstemp(path);
    bool done = fd >= 0;

    unlink(path);
    for (unsigned i = 0; done && i < 48 * MIB / sizeof(block); i++)
        done = write(fd, block, sizeof(block)) == sizeof(block);
    done = done && fsync(fd) == 0 && lseek(fd, 0, SEEK_SET) == 0;
    while (done && read(fd, block, sizeof(block)) > 0)
        continue;
    return done;
}

static void page_cache_is_no_obstacle(void)
{
    tr_arena *arena = NULL;
    bool filled;
    int code;

    enter_a_group();
    filled = fill_the_cache();
    code = create(&arena, NULL, MIB, 12, TR_ARENA_POPULATE);
    tr_arena_close(arena);
    leave_a_group();
    if (!filled)
        skip("no file can be written");
    expect_code("create beside a full page cache", code, 0);
}

/* The kernel would answer ftruncate() with SIGXFSZ. */
static void file_size_limit_of_a_lazy_one(void)
{
    tr_arena *arena;

    limit(RLIMIT_FSIZE, 8 * MIB);
    expect_code("create beyond RLIMIT_FSIZE",
                create(&arena, NULL, MIB, 64, TR_ARENA_LAZY), TR_ENOSPC);
    expect("the limit is named", strstr(tr_error_detail(), "RLIMIT_FSIZE") != NULL);
}

/* A process that may write no file at all can still remove names. */
static void no_file_at_all(void)
{
    tr_arena *arena;
    uint32_t removed = 0;
    tr_plan *plan = malloc(tr_plan_bytes());

    small_shm("size=8m");
    expect_code("create", create(&arena, "one", 4096, 8, 0), 0);
    tr_arena_close(arena);
    expect_code("create", create(&arena, "two", 4096, 8, 0), 0);
    tr_arena_close(arena);
    expect_code("plan", tr_plan_create(1, NULL, plan), 0);
    limit(RLIMIT_FSIZE, 0);
    expect_code("sweep", tr_arena_sweep("one", &removed), 0);
    expect("it is swept", removed == 1);
    expect_code("unlink", tr_arena_unlink("two"), 0);
    expect("a picture is no signal", tr_plan_svg(plan, "/dev/shm/plan.svg") == TR_EIO);
    free(plan);
}

int main(void)
{
    static const struct check checks[] = {
        {"a full /dev/shm", full_tmpfs},
        {"a lazy arena in a full /dev/shm", full_while_lazy},
        {"an elastic arena has what a full /dev/shm lacks", warm_elastic},
        {"RLIMIT_FSIZE", file_size_limit},
        {"RLIMIT_NOFILE", descriptor_limit},
        {"RLIMIT_NOFILE at attach", attach_without_descriptors},
        {"RLIMIT_MEMLOCK", locked_memory_limit},
        {"RLIMIT_AS", address_space_limit},
        {"a lazy arena under RLIMIT_FSIZE", file_size_limit_of_a_lazy_one},
        {"RLIMIT_FSIZE of nothing", no_file_at_all},
        {"a memory cgroup", memory_cgroup},
        {"a lazy arena in a memory cgroup", lazy_in_a_memory_cgroup},
        {"many processes in a memory cgroup", many_in_a_memory_cgroup},
        {"a page cache that fills the memory cgroup", page_cache_is_no_obstacle},
    };

    return run_checks(checks, sizeof(checks) / sizeof(checks[0]));
}
