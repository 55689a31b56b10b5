/* SPDX-License-Identifier: MIT */
#include "own_name.h"
#include "support.h"

#include "ipc/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

static int unlink_name(void **state)
{
    (void)state;
    unlink(PATH);
    return 0;
}

static void creates_and_leaves_nothing(void **state)
{
    int before = descriptors();
    tr_arena *arena;
    (void)state;

    assert_ok(tr_arena_create(NULL, NULL, &arena));
    tr_arena_close(arena);
    tr_arena_close(NULL);
    assert_int_equal(descriptors(), before);
}

static void anonymous_is_sealed(void **state)
{
    tr_arena *arena = make_arena(4, 0);
    tr_arena_info info = TR_ARENA_INFO_INIT;
    (void)state;

    assert_ok(tr_arena_info_get(arena, &info));
    assert_int_equal(ftruncate(info.fd, 0), -1);
    assert_int_equal(fcntl(info.fd, F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW),
                     F_SEAL_SHRINK | F_SEAL_GROW);
    /* Nobody can seal it against writes of those that attach later. */
    assert_int_equal(fcntl(info.fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(info.resident_bytes, info.total_bytes); /* reserved when promised */
    tr_arena_close(arena);
}

static void refuses_bad_arguments(void **state)
{
    tr_slot_class none = {0, 4}, huge = {UINT64_C(1) << 46, TR_MAX_SLOTS},
                  many = {64, (uint64_t)TR_MAX_SLOTS + 1};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    char name[TR_MAX_ARENA_NAME + 2];
    tr_arena *arena;
    (void)state;

    assert_int_equal(tr_arena_create(NULL, NULL, NULL), TR_EINVAL);
    assert_int_equal(tr_arena_create("a/b", NULL, &arena), TR_EINVAL);
    assert_int_equal(tr_arena_create(".hidden", NULL, &arena), TR_EINVAL);
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = 0;
    assert_int_equal(tr_arena_create(name, NULL, &arena), TR_ENAMETOOLONG);
    options.class_count = 1;
    options.classes = &none;
    assert_int_equal(tr_arena_create(NULL, &options, &arena), TR_EINVAL);
    options.classes = &many;
    assert_int_equal(tr_arena_create(NULL, &options, &arena), TR_EINVAL);
    options.classes = &huge;
    assert_int_equal(tr_arena_create(NULL, &options, &arena), TR_EOVERFLOW);
    options = (tr_arena_options)TR_ARENA_OPTIONS_INIT;
    options.max_participants = TR_MAX_PARTICIPANTS + 1;
    assert_int_equal(tr_arena_create(NULL, &options, &arena), TR_EINVAL);
    assert_detail("257");
    options = (tr_arena_options)TR_ARENA_OPTIONS_INIT;
    options.flags = 1u << 31;
    assert_int_equal(tr_arena_create(NULL, &options, &arena), TR_EINVAL);
    assert_int_equal(tr_arena_create("a\x1b[2J", NULL, &arena), TR_EINVAL);
    assert_detail("control character 0x1b");
    assert_int_equal(tr_arena_attach("a\nb", NULL, &arena), TR_EINVAL);
    assert_int_equal(tr_arena_attach(NULL, NULL, &arena), TR_EINVAL);
    assert_int_equal(tr_arena_unlink("a/b"), TR_EINVAL);
    assert_int_equal(tr_arena_sweep(NULL, NULL), TR_EINVAL);
}

struct longer {
    tr_arena_options known;
    uint64_t newer;
};

static void takes_options_of_other_versions(void **state)
{
    struct longer longer = {TR_ARENA_OPTIONS_INIT, 0};
    tr_arena_options shorter = TR_ARENA_OPTIONS_INIT;
    tr_arena_info info = TR_ARENA_INFO_INIT;
    tr_arena *arena;
    (void)state;

    shorter.struct_size = offsetof(tr_arena_options, max_channels);
    shorter.max_channels = 0; /* beyond what the caller knows: the default is taken */
    assert_ok(tr_arena_create(NULL, &shorter, &arena));
    assert_ok(tr_arena_info_get(arena, &info));
    assert_int_equal(info.max_channels, 64);
    tr_arena_close(arena);
    longer.known.struct_size = sizeof(longer);
    assert_ok(tr_arena_create(NULL, &longer.known, &arena));
    tr_arena_close(arena);
    longer.newer = 1;
    assert_int_equal(tr_arena_create(NULL, &longer.known, &arena), TR_EINVAL);
    assert_detail("struct_size");
}

static void shortage_is_an_error_that_says_it(void **state)
{
    tr_slot_class classes[] = {{UINT64_C(1) << 40, 16}};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    int before = descriptors();
    tr_arena *arena;
    (void)state;

    options.classes = classes;
    options.class_count = 1;
    assert_int_equal(tr_arena_create(NAME, &options, &arena), TR_ENOSPC);
    assert_detail("/dev/shm");
    assert_detail("bytes are needed");
    assert_int_equal(access(PATH, F_OK), -1);
    assert_int_equal(descriptors(), before);
}

/* Without the check the kernel would kill us with SIGXFSZ. */
static void file_size_limit_is_an_error(void **state)
{
    pid_t child = fork();
    (void)state;

    if (child == 0) {
        struct rlimit limit = {1 << 20, 1 << 20};
        tr_arena *arena;

        setrlimit(RLIMIT_FSIZE, &limit);
        _exit(tr_arena_create(NULL, NULL, &arena) == TR_ENOSPC &&
                      strstr(tr_error_detail(), "RLIMIT_FSIZE")
                  ? 0
                  : 1);
    }
    assert_int_equal(status_of(child), 0);
}

static void a_mode_is_one_of_those_that_the_header_names(void **state)
{
    static const uint32_t refused[] = {0, 0400, 0640, 0700, 0777, 0600 | S_ISUID};
    (void)state;

    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        tr_arena_options options = TR_ARENA_OPTIONS_INIT;
        tr_arena *arena;

        options.mode = refused[i];
        assert_int_equal(tr_arena_create(NAME, &options, &arena), TR_EINVAL);
        assert_detail("600, 660, 666");
    }
}

static void named_is_private_and_exclusive(void **state)
{
    tr_arena *arena, *again;
    struct stat st;
    (void)state;

    umask(0);
    assert_ok(tr_arena_create(NAME, NULL, &arena));
    assert_int_equal(stat(PATH, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(tr_arena_create(NAME, NULL, &again), TR_EEXIST);
    assert_detail("attach");
    tr_arena_close(arena);
    assert_int_equal(tr_arena_create(NAME, NULL, &again), TR_EEXIST); /* left in order */
    assert_ok(tr_arena_unlink(NAME));
    assert_int_equal(tr_arena_unlink(NAME), TR_ENOENT);
    assert_int_equal(tr_arena_attach(NAME, NULL, &again), TR_ENOENT);
}

static void attaches_by_name_and_descriptor(void **state)
{
    tr_arena *arena, *named, *inherited;
    tr_arena_info info = TR_ARENA_INFO_INIT;
    tr_queue *in, *out;
    tr_message *message;
    (void)state;

    assert_ok(tr_arena_create(NAME, NULL, &arena));
    assert_ok(tr_arena_attach(NAME, NULL, &named));
    assert_ok(tr_arena_info_get(arena, &info));
    assert_int_equal(tr_arena_attach_fd(100000, &inherited), TR_EINVAL);
    assert_detail("descriptor 100000 is not open");
    assert_ok(tr_arena_attach_fd(info.fd, &inherited));
    assert_int_equal(stats_of(arena).participants, 3); /* each handle is one */
    assert_ok(tr_queue_open(named, "q", NULL, &in));
    assert_ok(tr_queue_open(inherited, "q", NULL, &out));
    assert_ok(tr_queue_send(in, loan_i64(named, 1, 3), TR_NOWAIT));
    assert_ok(tr_queue_receive(out, TR_NOWAIT, &message));
    assert_int_equal(first_i64(message), 3);
    tr_message_release(message);
    tr_queue_close(in);
    tr_queue_close(out);
    tr_arena_close(inherited);
    tr_arena_close(named);
    /* Closing the others must not have cost us our lock. */
    assert_ok(tr_arena_reap(arena, NULL));
    assert_int_equal(stats_of(arena).deaths, 0);
    tr_arena_close(arena);
    assert_ok(tr_arena_unlink(NAME));
}

static void write_file(const void *bytes, size_t n, mode_t mode)
{
    int fd = open(PATH, O_CREAT | O_TRUNC | O_WRONLY, mode);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), (ssize_t)n);
    close(fd);
}

static void refuses_what_is_no_arena(void **state)
{
    static uint64_t block[1024];
    tr_arena *arena;
    (void)state;

    write_file("", 0, 0600);
    assert_int_equal(tr_arena_attach(NAME, NULL, &arena), TR_EAGAIN);
    write_file("hello", 5, 0600);
    assert_int_equal(tr_arena_attach(NAME, NULL, &arena), TR_ECORRUPT);
    write_file(block, sizeof(block), 0600);
    assert_int_equal(tr_arena_attach(NAME, NULL, &arena), TR_EABANDONED);
    block[0] = UINT64_C(0x31474e49524f5354);
    block[1] = 77;
    write_file(block, sizeof(block), 0600);
    assert_int_equal(tr_arena_attach(NAME, NULL, &arena), TR_ELAYOUT);
    assert_detail("layout 77");
    block[1] = ARENA_LAYOUT;
    write_file(block, sizeof(block), 0600);
    assert_int_equal(tr_arena_attach(NAME, NULL, &arena), TR_ECORRUPT);
    unlink(PATH);
    assert_int_equal(symlink("/etc/passwd", PATH), 0);
    assert_int_equal(tr_arena_attach(NAME, NULL, &arena), TR_EACCES);
    unlink(PATH);
    assert_int_equal(mkfifo(PATH, 0600), 0);
    assert_int_equal(tr_arena_attach(NAME, NULL, &arena), TR_EACCES);
    unlink(PATH);
}

static void sweeps_only_the_dead(void **state)
{
    tr_arena *arena, *again;
    uint32_t removed;
    pid_t child;
    (void)state;

    child = fork();
    if (child == 0) {
        if (tr_arena_create(NAME, NULL, &arena) == 0)
            raise(SIGKILL);
        _exit(1);
    }
    assert_int_equal(status_of(child), SIGKILL);
    assert_int_equal(access(PATH, F_OK), 0);
    assert_ok(tr_arena_attach(NAME, NULL, &again)); /* we live: it must stay */
    assert_ok(tr_arena_sweep(NAME, &removed));
    assert_int_equal(removed, 0);
    tr_arena_close(again);
    assert_ok(tr_arena_sweep("no_such_prefix", &removed));
    assert_int_equal(removed, 0);
    assert_ok(tr_arena_sweep(NAME, &removed));
    assert_int_equal(removed, 1);
    assert_int_equal(access(PATH, F_OK), -1);
}

static void create_takes_over_a_crashed_name(void **state)
{
    tr_arena *arena;
    pid_t child = fork();
    (void)state;

    if (child == 0) {
        if (tr_arena_create(NAME, NULL, &arena) == 0)
            raise(SIGKILL);
        _exit(1);
    }
    assert_int_equal(status_of(child), SIGKILL);
    assert_ok(tr_arena_create(NAME, NULL, &arena));
    tr_arena_close(arena);
    assert_ok(tr_arena_unlink(NAME));
}

static void lazy_reserves_and_trims(void **state)
{
    tr_slot_class classes[] = {{1 << 20, 8}};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_arena_info info = TR_ARENA_INFO_INIT;
    tr_message *messages[8];
    uint64_t before, bytes;
    tr_arena *arena;
    (void)state;

    options.flags = TR_ARENA_LAZY;
    options.classes = classes;
    options.class_count = 1;
    assert_ok(tr_arena_create(NULL, &options, &arena));
    assert_ok(tr_arena_info_get(arena, &info));
    before = info.resident_bytes;
    assert_true(before < info.total_bytes);
    for (int i = 0; i < 8; i++) {
        assert_ok(tr_message_loan_bytes(arena, 1 << 20, TR_NOWAIT, &messages[i]));
        memset(tr_message_tensor(messages[i], 0)->data, i, 1 << 20);
    }
    assert_ok(tr_arena_info_get(arena, &info));
    assert_true(info.resident_bytes >= before + (8 << 20));
    for (int i = 0; i < 7; i++)
        tr_message_release(messages[i]);
    assert_ok(tr_arena_trim(arena, &bytes));
    assert_true(bytes >= 7 << 20);
    assert_int_equal(((uint8_t *)tr_message_tensor(messages[7], 0)->data)[99], 7);
    tr_message_release(messages[7]);
    assert_int_equal(stats_of(arena).slots_free, 8);
    tr_arena_close(arena);
    arena = make_arena(4, 0);
    assert_int_equal(tr_arena_trim(arena, NULL), TR_ENOTSUP);
    tr_arena_close(arena);
}

/* Frees what comes, says so each time, and stays until it is told to end: a checker that looks
 * at all memory when a process ends would touch every slot. */
static _Noreturn void free_all(tr_queue *queue, int count, int told)
{
    tr_message *message;
    char byte = 0;

    for (int i = 0; i < count; i++) {
        if (tr_queue_receive(queue, TR_FOREVER, &message) != 0)
            _exit(1);
        tr_message_release(message);
        if (write(told, &byte, 1) != 1)
            _exit(2);
    }
    _exit(read(told, &byte, 1) != 0);
}

static void lazy_takes_what_others_freed(void **state)
{
    enum { SLOTS = 64 };
    tr_slot_class classes[] = {{4096, SLOTS}};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_arena_info info = TR_ARENA_INFO_INIT;
    tr_message *message;
    uint64_t before;
    int ends[2];
    char byte;
    tr_queue *queue;
    tr_arena *arena;
    pid_t child;
    (void)state;

    options.flags = TR_ARENA_LAZY;
    options.classes = classes;
    options.class_count = 1;
    assert_ok(tr_arena_create(NULL, &options, &arena));
    assert_ok(tr_queue_open(arena, "q", NULL, &queue));
    assert_ok(tr_arena_info_get(arena, &info));
    before = info.resident_bytes;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    child = fork();
    if (child == 0) {
        close(ends[0]);
        free_all(queue, SLOTS, ends[1]);
    }
    close(ends[1]);
    for (int i = 0; i < SLOTS; i++) {
        assert_ok(tr_message_loan_bytes(arena, 4096, TR_NOWAIT, &message));
        assert_ok(tr_queue_send(queue, message, TR_NOWAIT));
        assert_int_equal(read(ends[0], &byte, 1), 1);
    }
    assert_ok(tr_arena_info_get(arena, &info));
    assert_in_range(info.resident_bytes - before, 4096, 4 * 4096);
    close(ends[0]);
    assert_int_equal(status_of(child), 0);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

static void populates_and_reports_large_pages(void **state)
{
    tr_slot_class classes[] = {{4 << 20, 2}};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_arena_info info = TR_ARENA_INFO_INIT;
    struct rusage before, after;
    tr_message *message;
    tr_arena *arena;
    (void)state;

    options.flags = TR_ARENA_POPULATE | TR_ARENA_HUGE;
    options.classes = classes;
    options.class_count = 1;
    assert_ok(tr_arena_create(NULL, &options, &arena));
    assert_ok(tr_arena_info_get(arena, &info));
    assert_true(info.huge_bytes > 0 || info.huge_error < 0);
    assert_true(info.populate_ns > 0);
    assert_ok(tr_message_loan_bytes(arena, 4 << 20, TR_NOWAIT, &message));
    getrusage(RUSAGE_SELF, &before);
    memset(tr_message_tensor(message, 0)->data, 1, 4 << 20);
    getrusage(RUSAGE_SELF, &after);
#ifndef TR_INSTRUMENTED
    assert_true(after.ru_minflt - before.ru_minflt < 8); /* not 1024 */
#endif
    tr_message_release(message);
    tr_arena_close(arena);
}

static void is_full_when_all_entries_are_taken(void **state)
{
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_arena *arena, *second, *third;
    (void)state;

    options.max_participants = 2;
    assert_ok(tr_arena_create(NAME, &options, &arena));
    assert_ok(tr_arena_attach(NAME, NULL, &second));
    assert_int_equal(tr_arena_attach(NAME, NULL, &third), TR_EUSERS);
    assert_detail("max_participants");
    tr_arena_close(second);
    assert_ok(tr_arena_attach(NAME, NULL, &third));
    tr_arena_close(third);
    tr_arena_close(arena);
    assert_ok(tr_arena_unlink(NAME));
}

/* No larger max_participants is the way out. */
static void says_that_no_arena_has_more_entries(void **state)
{
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_arena *arenas[TR_MAX_PARTICIPANTS], *one_more;
    tr_arena_info info = TR_ARENA_INFO_INIT;
    (void)state;

    options.max_participants = TR_MAX_PARTICIPANTS;
    assert_ok(tr_arena_create(NULL, &options, &arenas[0]));
    assert_ok(tr_arena_info_get(arenas[0], &info));
    assert_true(info.closing_is_safe);
    for (uint32_t i = 1; i < TR_MAX_PARTICIPANTS; i++)
        assert_ok(tr_arena_attach_fd(info.fd, &arenas[i]));
    assert_int_equal(tr_arena_attach_fd(info.fd, &one_more), TR_EUSERS);
    assert_detail("the most that an arena can have");
    for (uint32_t i = TR_MAX_PARTICIPANTS; i-- > 0;)
        tr_arena_close(arenas[i]);
}

static void closing_gives_everything_back(void **state)
{
    tr_arena *arena, *second;
    (void)state;

    assert_ok(tr_arena_create(NAME, NULL, &arena));
    assert_ok(tr_arena_attach(NAME, NULL, &second));
    (void)loan_i64(second, 4, 1);
    (void)loan_i64(second, 4, 2);
    assert_int_equal(stats_of(arena).slots_loaned, 2);
    tr_arena_close(second);
    assert_int_equal(stats_of(arena).slots_loaned, 0);
    assert_int_equal(stats_of(arena).participants, 1);
    tr_arena_close(arena);
    assert_ok(tr_arena_unlink(NAME));
}

/* What daemonizing code does; the second witness keeps us alive. */
static void outlives_the_loss_of_its_lock(void **state)
{
    tr_arena *arena;
    tr_message *mine;
    pid_t child;
    (void)state;

    assert_ok(tr_arena_create(NAME, NULL, &arena));
    mine = loan_i64(arena, 1, 5);
    close(open(PATH, O_RDWR)); /* drops every record lock of this process */
    child = fork();
    if (child == 0) {
        tr_reap_report report = TR_REAP_REPORT_INIT;

        _exit(tr_arena_reap(arena, &report) == 0 && report.dead == 0 ? 0 : 1);
    }
    assert_int_equal(status_of(child), 0);
    assert_int_equal(first_i64(mine), 5);
    assert_int_equal(stats_of(arena).slots_loaned, 1);
    tr_message_release(mine);
    tr_arena_close(arena);
    assert_ok(tr_arena_unlink(NAME));
}

/* The dead one's grandchild lives on with every descriptor open. */
static void sees_death_past_a_grandchild(void **state)
{
    tr_arena *arena = make_arena(4, 0);
    tr_reap_report report = TR_REAP_REPORT_INIT;
    int hold[2], ready[2];
    char byte;
    pid_t child;
    (void)state;

    assert_int_equal(pipe(hold) | pipe(ready), 0);
    child = fork();
    if (child == 0) {
        close(hold[1]);
        (void)loan_i64(arena, 1, 5);
        if (fork() == 0) {
            while (write(ready[1], "x", 1) != 1)
                ;
            (void)!read(hold[0], &byte, 1); /* until the test closes its end */
            _exit(0);
        }
        raise(SIGKILL);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(status_of(child), SIGKILL);
    assert_ok(tr_arena_reap(arena, &report));
    assert_int_equal(report.dead, 1);
    assert_int_equal(report.freed, 1);
    assert_int_equal(stats_of(arena).slots_free, 4);
    close(hold[0]);
    close(hold[1]);
    close(ready[0]);
    close(ready[1]);
    tr_arena_close(arena);
}

#define named_test(name) cmocka_unit_test_setup_teardown(name, unlink_name, unlink_name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(creates_and_leaves_nothing),
        cmocka_unit_test(anonymous_is_sealed),
        named_test(a_mode_is_one_of_those_that_the_header_names),
        cmocka_unit_test(refuses_bad_arguments),
        cmocka_unit_test(takes_options_of_other_versions),
        named_test(shortage_is_an_error_that_says_it),
        cmocka_unit_test(file_size_limit_is_an_error),
        named_test(named_is_private_and_exclusive),
        named_test(attaches_by_name_and_descriptor),
        named_test(refuses_what_is_no_arena),
        named_test(sweeps_only_the_dead),
        named_test(create_takes_over_a_crashed_name),
        cmocka_unit_test(lazy_reserves_and_trims),
        cmocka_unit_test(lazy_takes_what_others_freed),
        cmocka_unit_test(populates_and_reports_large_pages),
        named_test(is_full_when_all_entries_are_taken),
        named_test(says_that_no_arena_has_more_entries),
        named_test(closing_gives_everything_back),
        named_test(outlives_the_loss_of_its_lock),
        cmocka_unit_test(sees_death_past_a_grandchild),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
