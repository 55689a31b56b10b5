/* SPDX-License-Identifier: MIT */
/* access.c - which users have no access, and what is not accepted as an arena. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "tests/e2e/access/checks.h"

#define NOBODY 65534
#define NAME   "access"
#define PATH   "/dev/shm/tensoring." NAME

/* A /dev/shm of our own: names of others stay out of it. */
static void own_shm(void)
{
    if (unshare(CLONE_NEWNS) < 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("own", "/dev/shm", "tmpfs", 0, "size=16m,mode=1777") < 0)
        skip("no tmpfs of our own");
}

static int create_by_name(tr_arena **arena, const char *name, uint32_t mode)
{
    static const tr_slot_class class = {4096, 4};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;

    options.classes = &class;
    options.class_count = 1;
    options.mode = mode;
    options.ring_bytes = 65536;
    return tr_arena_create(name, &options, arena);
}

static int create(tr_arena **arena, uint32_t mode)
{
    return create_by_name(arena, NAME, mode);
}

static void become_nobody(void)
{
    if (geteuid() != 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
        skip("only root can become another");
}

static void attach_refused(void)
{
    tr_arena *arena;

    expect_code("attach", tr_arena_attach(NAME, NULL, &arena), TR_EACCES);
}

static void says(const char *text)
{
    expect(text, strstr(tr_error_detail(), text) != NULL);
}

static void nobody_attaches(void)
{
    become_nobody();
    attach_refused();
}

static void another_user(void)
{
    tr_arena *arena;

    own_shm();
    expect_code("create", create(&arena, 0600), 0);
    if (in_child(nobody_attaches) == SKIPPED)
        skip("only root can become another");
    expect("another user is refused", in_child(nobody_attaches) == 0);
    tr_arena_close(arena);
}

static uint32_t foreign_mode;

static void nobody_creates(void)
{
    tr_arena *arena;

    become_nobody();
    expect_code("create", create(&arena, foreign_mode), 0);
    tr_arena_close(arena);
}

/* A user that takes the name first does not get our data. */
static void made_by_another(void)
{
    static const uint32_t modes[] = {0600, 0660, 0666};

    own_shm();
    for (unsigned i = 0; i < 3; i++) {
        tr_arena *arena;
        int result;

        foreign_mode = modes[i];
        result = in_child(nobody_creates);
        if (result == SKIPPED)
            skip("only root can become another");
        expect("nobody can create", result == 0);
        attach_refused();
        expect_code("create", create(&arena, 0600), TR_EEXIST);
        says("taken by a file of user 65534");
        says("sudo -u '#65534'");
        expect("unlink", unlink(PATH) == 0);
    }
}

/* Two users that share a group, and nothing else. */
enum { MAKER = 64001, TAKER, SHARED };

static void become_in(uid_t user, const gid_t *groups, size_t count)
{
    if (geteuid() != 0 || setgroups(count, groups) < 0 || setgid(NOBODY) < 0 ||
        setuid(user) < 0)
        skip("only root can become another");
}

static void become(uid_t user)
{
    gid_t group = SHARED;

    become_in(user, &group, 1);
}

static void maker_creates(void)
{
    tr_arena *arena;

    become(MAKER);
    expect_code("create", create(&arena, foreign_mode), 0);
    expect("share", chown(PATH, (uid_t)-1, SHARED) == 0);
    tr_arena_close(arena);
}

static int attach_as(uint32_t flags, uint32_t owner)
{
    tr_attach_options options = TR_ATTACH_OPTIONS_INIT;
    tr_arena *arena;
    int code;

    options.flags = flags;
    options.owner = owner;
    code = tr_arena_attach(NAME, &options, &arena);
    if (code == 0)
        tr_arena_close(arena);
    return code;
}

static void taker_meets_0660(void)
{
    become(TAKER);
    attach_refused();
    says("belongs to user 64001 (group 64003, mode 0660), and we are user 64002");
    says("owner = 64001");
    says("TR_ATTACH_GROUP");
    expect_code("the wrong owner", attach_as(0, NOBODY), TR_EACCES);
    expect_code("the owner", attach_as(0, MAKER), 0);
    expect_code("the group", attach_as(TR_ATTACH_GROUP, UINT32_MAX), 0);
    expect_code("no such flag", attach_as(2, UINT32_MAX), TR_EINVAL);
}

static void taker_meets_0666(void)
{
    become(TAKER);
    attach_refused();
    says("owner = 64001");
    expect("the group would not do", !strstr(tr_error_detail(), "TR_ATTACH_GROUP"));
    expect_code("more than the group may write", attach_as(TR_ATTACH_GROUP, UINT32_MAX),
                TR_EACCES);
    expect_code("the owner", attach_as(0, MAKER), 0);
}

static void taker_meets_0600(void)
{
    become(TAKER);
    attach_refused();
    says("Its mode does not permit access");
    expect_code("the owner", attach_as(0, MAKER), TR_EACCES);
}

/* The kernel sorts them: ours comes last. */
static void taker_in_many_groups_meets_0660(void)
{
    gid_t groups[300];

    for (unsigned i = 0; i < 299; i++)
        groups[i] = 50000 + i;
    groups[299] = SHARED;
    become_in(TAKER, groups, 300);
    expect_code("the last of 300 groups", attach_as(TR_ATTACH_GROUP, UINT32_MAX), 0);
}

/* Enter a user namespace whose only user is nobody: users that it does not have look like it. */
static void become_the_unknown(void)
{
    static const char map[] = "65534 64002 1";
    int fd;

    become(TAKER);
    prctl(PR_SET_DUMPABLE, 1);
    if (unshare(CLONE_NEWUSER) < 0)
        skip("no user namespace of our own");
    fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
    expect("map", fd >= 0 && write(fd, map, sizeof(map) - 1) == sizeof(map) - 1);
    close(fd);
}

static void the_unknown_meets_0666(void)
{
    tr_arena *arena, *again;
    uint32_t removed = 1;
    struct stat st;

    become_the_unknown();
    expect("it looks like ours", stat(PATH, &st) == 0 && st.st_uid == geteuid());
    attach_refused();
    expect_code("sweep", tr_arena_sweep(NAME, &removed), 0);
    expect("what is not ours is not swept", removed == 0);
    expect_code("create", create_by_name(&arena, "ours", 0600), 0);
    expect_code("our own", tr_arena_attach("ours", NULL, &again), 0);
    tr_arena_close(again);
    tr_arena_close(arena);
    expect_code("unlink", tr_arena_unlink("ours"), 0);
}

static void attach_by_a_descriptor(void)
{
    int fd = open(PATH, O_RDWR);
    tr_arena *arena;

    expect("open", fd >= 0);
    become(TAKER);
    expect_code("the giver of a descriptor vouches for it",
                tr_arena_attach_fd(fd, &arena), 0);
}

/* A group is not trusted because we are in it. */
static void made_in_our_group(void)
{
    static const struct {
        uint32_t mode;
        void (*meet)(void);
    } cases[] = {
        {0660, taker_meets_0660},       {0660, taker_in_many_groups_meets_0660},
        {0666, taker_meets_0666},       {0600, taker_meets_0600},
        {0600, attach_by_a_descriptor},
    };

    own_shm();
    if (geteuid() != 0)
        skip("only root can become another");
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        foreign_mode = cases[i].mode;
        expect("another user creates", in_child(maker_creates) == 0);
        expect("it is met", in_child(cases[i].meet) == 0);
        expect("unlink", unlink(PATH) == 0);
    }
}

/* A user that our user namespace does not have, and ours, which has no other name in it. */
static void made_by_an_unknown_user(void)
{
    int result;

    own_shm();
    if (geteuid() != 0)
        skip("only root can become another");
    foreign_mode = 0666;
    expect("another user creates", in_child(maker_creates) == 0);
    result = in_child(the_unknown_meets_0666);
    if (result == SKIPPED)
        skip("no user namespace of our own");
    expect("it is met", result == 0);
}

static void a_link(void)
{
    tr_arena *arena;
    struct stat st;

    own_shm();
    expect("symlink", symlink("/dev/shm/target", PATH) == 0);
    expect("a link is not followed", tr_arena_attach(NAME, NULL, &arena) < 0);
    expect_code("create in its place", create(&arena, 0600), TR_EEXIST);
    expect("nothing was made behind it", stat("/dev/shm/target", &st) < 0);
    expect_code("unlink", tr_arena_unlink(NAME), 0);
    expect_code("create", create(&arena, 0600), 0);
    expect("rename", rename(PATH, "/dev/shm/target") == 0);
    expect("symlink", symlink("/dev/shm/target", PATH) == 0);
    expect("a link to an arena is not followed", tr_arena_attach(NAME, NULL, &arena) < 0);
}

static void write_file(const void *bytes, size_t size)
{
    int fd = open(PATH, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    expect("write", fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    close(fd);
}

static void other_things(void)
{
    static uint8_t noise[16384];
    tr_arena *arena;

    own_shm();
    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (uint8_t)(i * 7 + 1);
    expect_code("no such name", tr_arena_attach(NAME, NULL, &arena), TR_ENOENT);
    expect("fifo", mkfifo(PATH, 0600) == 0);
    attach_refused();
    expect("unlink", unlink(PATH) == 0);
    expect("directory", mkdir(PATH, 0700) == 0);
    attach_refused();
    expect("rmdir", rmdir(PATH) == 0);
    write_file(noise, 0);
    expect_code("empty", tr_arena_attach(NAME, NULL, &arena), TR_EAGAIN);
    write_file(noise, 100);
    expect_code("short", tr_arena_attach(NAME, NULL, &arena), TR_ECORRUPT);
    write_file(noise, sizeof(noise));
    expect_code("noise", tr_arena_attach(NAME, NULL, &arena), TR_ECORRUPT);
    memset(noise, 0, sizeof(noise));
    write_file(noise, sizeof(noise));
    expect_code("never made ready", tr_arena_attach(NAME, NULL, &arena), TR_EABANDONED);
}

/* An arena with eight bytes of its control block changed. */
static int attach_changed(off_t at, uint64_t value)
{
    int fd = open(PATH, O_RDWR), code;
    uint64_t old;
    tr_arena *arena;

    expect("open",
           fd >= 0 && pread(fd, &old, 8, at) == 8 && pwrite(fd, &value, 8, at) == 8);
    code = tr_arena_attach(NAME, NULL, &arena);
    expect("restore", pwrite(fd, &old, 8, at) == 8);
    close(fd);
    return code;
}

static void make_and_leave(void)
{
    tr_arena *arena;

    expect_code("create", create(&arena, 0600), 0);
    tr_arena_close(arena);
}

static void changed_arenas(void)
{
    tr_arena *arena;
    struct stat st;

    own_shm();
    expect("make", in_child(make_and_leave) == 0);
    expect_code("another layout", attach_changed(8, 99), TR_ELAYOUT);
    expect_code("an unknown feature", attach_changed(16, UINT64_C(1) << 63), TR_ELAYOUT);
    expect_code("another size", attach_changed(24, 1 << 20), TR_ECORRUPT);
    for (off_t at = 40; at < 128; at += 8)
        expect("an offset or count", attach_changed(at, UINT64_MAX / 2) != TR_EABANDONED);
    expect_code("as it was", tr_arena_attach(NAME, NULL, &arena), 0);
    tr_arena_close(arena);
    expect("stat", stat(PATH, &st) == 0 && truncate(PATH, st.st_size / 2) == 0);
    expect_code("truncated", tr_arena_attach(NAME, NULL, &arena), TR_ECORRUPT);
}

/* Inherited by a worker that then gives up its rights: everything still works. */
static tr_arena *inherited;
static tr_queue *queue;

static void work_as_nobody(void)
{
    tr_message *message;

    become_nobody();
    expect_code("receive", tr_queue_receive(queue, TR_NOWAIT, &message), 0);
    expect_code("send", tr_queue_send(queue, message, TR_NOWAIT), 0);
    expect_code("loan", tr_message_loan_bytes(inherited, 64, TR_NOWAIT, &message), 0);
    expect_code("reap", tr_arena_reap(inherited, NULL), 0);
}

static void worker_without_rights(void)
{
    static const tr_slot_class class = {4096, 4};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_reap_report report = TR_REAP_REPORT_INIT;
    tr_message *message;
    int result;

    options.classes = &class;
    options.class_count = 1;
    expect_code("create", tr_arena_create(NULL, &options, &inherited), 0);
    expect_code("open", tr_queue_open(inherited, "queue", NULL, &queue), 0);
    expect_code("loan", tr_message_loan_bytes(inherited, 64, TR_NOWAIT, &message), 0);
    expect_code("send", tr_queue_send(queue, message, TR_NOWAIT), 0);
    result = in_child(work_as_nobody);
    if (result == SKIPPED)
        skip("only root can become another");
    expect("the worker works", result == 0);
    expect_code("reap", tr_arena_reap(inherited, &report), 0);
    expect("its loan is taken back", report.dead == 1 && report.freed == 1);
}

int main(void)
{
    static const struct check checks[] = {
        {"another user", another_user},
        {"made by another", made_by_another},
        {"made in our group", made_in_our_group},
        {"made by an unknown user", made_by_an_unknown_user},
        {"a symbolic link", a_link},
        {"other things than arenas", other_things},
        {"arenas that were changed", changed_arenas},
        {"a worker that gave up its rights", worker_without_rights},
    };

    return run_checks(checks, sizeof(checks) / sizeof(checks[0]));
}
