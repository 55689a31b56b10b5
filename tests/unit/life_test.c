/* SPDX-License-Identifier: MIT */
/* Which processes live, and how that is known, after changes of descriptors, threads and
 * programs. */
#include "no_proc.h"
#include "own_name.h"
#include "support.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "ipc/kernel/eventfds.h"
#include "src/arena/arena.h"

static int unlink_name(void **state)
{
    (void)state;
    unlink(PATH);
    return 0;
}

#define named_test(name) cmocka_unit_test_setup_teardown(name, unlink_name, unlink_name)

static enum life_state life_of_mine(const tr_arena *arena)
{
    return life_of(arena_known(arena)->view.lock_fd, arena_known(arena)->self.who);
}

static void no_closing_ends_a_life(void **state)
{
    tr_arena *arena;
    (void)state;

    assert_ok(tr_arena_create(NAME, NULL, &arena));
    close(open(PATH, O_RDWR));
    close(dup(arena_known(arena)->view.lock_fd));
    assert_int_equal(life_of_mine(arena), LIFE_HELD);
    tr_arena_close(arena);
}

static void leaving_ends_it(void **state)
{
    tr_arena *arena = make_arena(4, 0), *second;
    uint32_t who;
    (void)state;

    assert_ok(tr_arena_attach_fd(arena_known(arena)->view.lock_fd, &second));
    who = arena_known(second)->self.who;
    tr_arena_close(second);
    assert_int_equal(life_of(arena_known(arena)->view.lock_fd, who), LIFE_FREE);
    assert_int_equal(life_of_mine(arena), LIFE_HELD);
    tr_arena_close(arena);
}

/* A child that holds a message, does as it is told, and says so by a byte. */
struct child {
    tr_arena *arena;
    pid_t pid;
    int told[2], hold[2];
};

static struct child start(void (*body)(struct child *))
{
    struct child child = {.arena = make_arena(4, 0)};

    assert_int_equal(pipe2(child.told, O_CLOEXEC) | pipe(child.hold), 0);
    child.pid = fork();
    if (child.pid == 0) {
        close(child.hold[1]);
        loan_i64(child.arena, 1, 5);
        body(&child);
        _exit(1);
    }
    close(child.told[1]);
    close(child.hold[0]);
    return child;
}

static char heard(const struct child *child)
{
    char byte = 0;

    return read(child->told[0], &byte, 1) == 1 ? byte : 0;
}

static uint32_t dead_now(const struct child *child)
{
    tr_reap_report report = TR_REAP_REPORT_INIT;

    assert_ok(tr_arena_reap(child->arena, &report));
    return report.dead;
}

static void finish(struct child *child)
{
    close(child->told[0]);
    tr_arena_close(child->arena);
}

static void stay(const struct child *child)
{
    char byte;

    (void)!read(child->hold[0], &byte, 1);
}

static void *live_on(void *context)
{
    struct child *child = context;
    char text[512] = "", *at;
    int fd = open("/proc/self/stat", O_RDONLY);

    do { /* until the main thread is a zombie */
        ssize_t got = pread(fd, text, sizeof(text) - 1, 0);

        text[got > 0 ? got : 0] = 0;
        at = strrchr(text, ')');
    } while (!at || at[2] != 'Z');
    (void)!write(child->told[1], "z", 1);
    stay(child);
    raise(SIGKILL); /* a checker would miss what the main thread's stack had */
    return NULL;
}

static void end_the_main_thread(struct child *child)
{
    static struct child kept; /* the stack goes with its thread */
    pthread_t thread;

    kept = *child;
    if (pthread_create(&thread, NULL, live_on, &kept) == 0)
        pthread_exit(NULL);
}

/* valgrind ends a process that calls clone() itself, and has no pidfds. */
static bool knows_the_kernel(void)
{
    int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

    close(fd);
    return fd >= 0;
}

#ifdef TR_EMULATED
#define EMULATED true /* qemu does not let a main thread end before the others */
#else
#define EMULATED false
#endif

static void lives_while_a_thread_does(void **state)
{
    struct child child;
    (void)state;

    if (EMULATED)
        skip();
    child = start(end_the_main_thread);
    assert_int_equal(heard(&child), 'z');
    assert_int_equal(dead_now(&child), 0);
    close(child.hold[1]);
    assert_int_equal(status_of(child.pid), SIGKILL);
    assert_int_equal(dead_now(&child), 1);
    finish(&child);
}

/* The descriptor of the arena is passed on to the new program. */
static void become_another_program(struct child *child)
{
    fcntl(arena_known(child->arena)->view.lock_fd, F_SETFD, 0);
    dup2(child->hold[0], 0);
    execl("/bin/cat", "cat", (char *)NULL);
}

static void ends_when_another_program_is_executed(void **state)
{
    struct child child = start(become_another_program);
    (void)state;

    assert_int_equal(heard(&child), 0); /* its end was closed on exec */
    while (dead_now(&child) == 0)       /* as its memory is then, or in a moment */
        sched_yield();
    close(child.hold[1]);
    assert_int_equal(status_of(child.pid), 0);
    finish(&child);
}

/* A helper that shares all descriptors lives on. */
static void share_descriptors_and_die(struct child *child)
{
    if (syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0) == 0) {
        stay(child);
        _exit(0);
    }
    raise(SIGKILL);
}

static void ends_whoever_shares_its_descriptors(void **state)
{
    struct child child;
    (void)state;

    if (!knows_the_kernel())
        skip();
    child = start(share_descriptors_and_die);
    assert_int_equal(status_of(child.pid), SIGKILL);
    assert_int_equal(dead_now(&child), 1);
    close(child.hold[1]);
    finish(&child);
}

/* The lock is held by a description that somebody else has: the pid says it. */
static void a_leaked_lock_keeps_nobody_alive(void **state)
{
    tr_arena *arena = make_arena(4, 0);
    tr_reap_report report = TR_REAP_REPORT_INIT;
    int fd = life_open(arena_known(arena)->view.lock_fd);
    pid_t child = fork();
    (void)state;

    if (child == 0) {
        loan_i64(arena, 1, 5);
        raise(SIGKILL);
    }
    assert_int_equal(status_of(child), SIGKILL);
    assert_int_equal(life_lock(fd, 1), 0);
    assert_ok(tr_arena_reap(arena, &report));
    assert_int_equal(report.dead, 1);
    close(fd);
    tr_arena_close(arena);
}

/* Run @p body in a child: whether it is content. */
static int in_child(tr_arena *arena, int (*body)(tr_arena *))
{
    pid_t child = fork();

    if (child == 0)
        _exit(body(arena));
    return status_of(child);
}

static int attach_then_use_the_inherited(tr_arena *arena)
{
    tr_message *message;
    tr_arena *own;

    if (tr_arena_attach(NAME, NULL, &own))
        return 1;
    if (tr_message_loan_bytes(arena, 8, TR_NOWAIT, &message) ||
        tr_message_loan_bytes(own, 8, TR_NOWAIT, &message))
        return 2;
    tr_arena_close(own);
    return 0;
}

static void a_child_may_attach_first(void **state)
{
    tr_arena *arena;
    (void)state;

    assert_ok(tr_arena_create(NAME, NULL, &arena));
    assert_int_equal(in_child(arena, attach_then_use_the_inherited), 0);
    tr_arena_close(arena);
}

static tr_arena *second_handle;

static int close_the_unused(tr_arena *arena)
{
    tr_message *message;
    int file, result;

    if (tr_message_loan_bytes(arena, 8, TR_NOWAIT, &message))
        return 1;
    tr_arena_close(second_handle);
    if (life_of_mine(arena) != LIFE_HELD)
        return 2;
    file = open("/dev/null", O_WRONLY);
    tr_arena_close(arena);
    result = write(file, "data", 4) == 4 ? 0 : 3;
    close(file);
    return result;
}

static void a_child_may_close_what_it_never_used(void **state)
{
    tr_arena *arena = make_arena(4, 0);
    (void)state;

    assert_ok(tr_arena_attach_fd(arena_known(arena)->view.lock_fd, &second_handle));
    assert_int_equal(in_child(arena, close_the_unused), 0);
    tr_arena_close(second_handle);
    tr_arena_close(arena);
}

static int join_in_vain_then_close(tr_arena *arena)
{
    int before = descriptors();
    tr_message *message;

    for (int i = 0; i < 3; i++)
        if (tr_message_loan_bytes(arena, 8, TR_NOWAIT, &message) != TR_EUSERS)
            return 1;
    tr_arena_close(arena);
    return descriptors() == before - 1 ? 0 : 2;
}

static void joining_in_vain_costs_nothing(void **state)
{
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_arena *arena;
    (void)state;

    options.max_participants = 1;
    assert_ok(tr_arena_create(NULL, &options, &arena));
    assert_int_equal(in_child(arena, join_in_vain_then_close), 0);
    tr_arena_close(arena);
}

static void attaching_and_closing_leaves_no_descriptor(void **state)
{
    tr_arena *arena = make_arena(4, 0), *again;
    int before = descriptors();
    (void)state;

    for (int i = 0; i < 10; i++) {
        assert_ok(tr_arena_attach_fd(arena_known(arena)->view.lock_fd, &again));
        tr_arena_close(again);
    }
    assert_int_equal(descriptors(), before);
    tr_arena_close(arena);
}

static void a_process_may_have_many_arenas(void **state)
{
    enum { MANY = 100 };
    tr_arena *arenas[MANY];
    (void)state;

    for (int i = 0; i < MANY; i++)
        arenas[i] = make_arena(1, 0);
    for (int i = 0; i < MANY; i++)
        tr_arena_close(arenas[i]);
}

/* Somebody has closed all descriptors, and opened a file: that is not the arena's. */
static void closes_nothing_of_others(void **state)
{
    tr_arena *arena = make_arena(4, 0);
    int number = arena_known(arena)->view.lock_fd, file;
    (void)state;

    close(number);
    file = open("/dev/null", O_WRONLY);
    assert_int_equal(file, number);
    assert_ok(tr_arena_reap(arena, NULL));
    tr_arena_close(arena);
    assert_int_equal(write(file, "data", 4), 4);
    close(file);
}

static void writes_nothing_to_others(void **state)
{
    int fd = eventfds_open(), pipes[2];
    char byte;
    (void)state;

    assert_int_equal(pipe2(pipes, O_NONBLOCK), 0);
    assert_true(eventfds_ring(fd));
    assert_int_equal(dup2(pipes[1], fd), fd);
    assert_false(eventfds_ring(fd));
    assert_int_equal(read(pipes[0], &byte, 1), -1);
    eventfds_close(fd);
    assert_int_equal(write(fd, "x", 1), 1);
    assert_int_equal(dup2(pipes[0], fd), fd);
    eventfds_clear(fd);
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    close(fd);
    close(pipes[0]);
    close(pipes[1]);
}

/* A process that may not open the file again: a lesser lock, and two proofs. */
static int join_without_rights(tr_arena *arena)
{
    tr_message *message;
    tr_reap_report report = TR_REAP_REPORT_INIT;

    if (setresuid(65534, 65534, 65534) < 0)
        return 0;
    if (tr_message_loan_bytes(arena, 8, TR_NOWAIT, &message))
        return 1;
    return tr_arena_reap(arena, &report) || report.dead != 0 ? 2 : 0;
}

static void joins_after_giving_up_its_rights(void **state)
{
    tr_arena *arena;
    tr_reap_report report = TR_REAP_REPORT_INIT;
    (void)state;

    assert_ok(tr_arena_create(NAME, NULL, &arena));
    assert_int_equal(in_child(arena, join_without_rights), 0);
    assert_ok(tr_arena_reap(arena, &report));
    assert_int_equal(report.freed, geteuid() == 0 ? 1 : report.freed);
    assert_int_equal(stats_of(arena).slots_loaned, 0);
    tr_arena_close(arena);
}

static int attach_and_die(tr_arena *arena)
{
    tr_arena *second;
    tr_message *message;
    (void)arena;

    return tr_arena_attach(NAME, NULL, &second) ||
           tr_message_loan_bytes(second, 8, TR_NOWAIT, &message);
}

/* The creator looks at its own name, which drops its lock, and is not dead for that. */
static int attach_and_reap(tr_arena *arena)
{
    tr_arena *second;
    tr_reap_report report = TR_REAP_REPORT_INIT;
    (void)arena;

    return tr_arena_attach(NAME, NULL, &second) || tr_arena_reap(second, &report) ||
           report.dead;
}

static void live_without_proc(void)
{
    tr_arena *arena;
    tr_reap_report report = TR_REAP_REPORT_INIT;
    tr_arena_info info = TR_ARENA_INFO_INIT;
    uint32_t removed;

    assert_ok(tr_arena_create(NAME, NULL, &arena));
    assert_ok(tr_arena_info_get(arena, &info));
    assert_false(info.closing_is_safe);
    assert_int_equal(in_child(arena, attach_and_die), 0);
    assert_ok(tr_arena_reap(arena, &report));
    assert_int_equal(report.freed, 1);
    assert_ok(tr_arena_sweep(NAME, &removed));
    assert_int_equal(removed, 0);
    assert_int_equal(in_child(arena, attach_and_reap), 0);
    tr_arena_close(arena);
    assert_ok(tr_arena_sweep(NAME, &removed));
    assert_int_equal(removed, 1);
    assert_ok(tr_arena_create(NAME, NULL, &arena));
    assert_ok(tr_arena_unlink(NAME));
    assert_int_equal(access(PATH, F_OK), -1);
    tr_arena_close(arena);
}

static void needs_no_proc(void **state)
{
    pid_t child = fork();
    int status;
    (void)state;

    if (child == 0) {
        if (!lose_proc())
            _exit(77);
        live_without_proc();
        _exit(0);
    }
    status = status_of(child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(status, 0);
}

static int create_without_descriptors(tr_arena *arena)
{
    int next = dup(0);
    const struct rlimit none = {(rlim_t)next, (rlim_t)next};

    close(next);
    return setrlimit(RLIMIT_NOFILE, &none) ||
           tr_arena_create(NAME, NULL, &arena) != TR_ENFILE;
}

/* Our process lacks something: the name is not reported as taken. */
static void says_that_descriptors_are_lacking(void **state)
{
    (void)state;
    if (!knows_the_kernel())
        skip(); /* valgrind has limits of its own */
    assert_int_equal(in_child(NULL, create_without_descriptors), 0);
}

pid_t __real_gettid(void);
pid_t __wrap_gettid(void);
int __real_madvise(void *memory, size_t bytes, int advice);
int __wrap_madvise(void *memory, size_t bytes, int advice);

enum stage { NEVER, BEFORE, AMID };
static enum stage stage; /* of the joining, at which a signal comes */
static tr_arena *interrupted;
static int reaped, reaps;

static void reap_in_handler(int signal)
{
    (void)signal;
    reaps++;
    reaped = tr_arena_reap(interrupted, NULL);
}

static void interrupt_at(enum stage here)
{
    bool now = stage == here;

    if (now)
        stage = NEVER;
    if (now)
        raise(SIGUSR1);
}

/* Joining asks for its thread's number, and then asks for a page. */
pid_t __wrap_gettid(void)
{
    interrupt_at(BEFORE);
    return __real_gettid();
}

int __wrap_madvise(void *memory, size_t bytes, int advice)
{
    interrupt_at(AMID);
    return __real_madvise(memory, bytes, advice);
}

/* The first use in a child is interrupted by a handler that reaps: before the joining has begun,
 * which the handler then does, or inside it, where it must not wait. */
static int join_interrupted(tr_arena *arena, enum stage at, int expected)
{
    tr_message *message;

    alarm(20);
    signal(SIGUSR1, reap_in_handler);
    interrupted = arena;
    stage = at;
    if (tr_message_loan_bytes(arena, 8, TR_NOWAIT, &message) ||
        tr_message_release(message))
        return 1;
    return reaps == 1 && reaped == expected ? 0 : 2;
}

static int join_interrupted_before(tr_arena *arena)
{
    return join_interrupted(arena, BEFORE, 0);
}

static int join_interrupted_amid(tr_arena *arena)
{
    return join_interrupted(arena, AMID, TR_EAGAIN);
}

static void a_handler_may_interrupt_the_joining(void **state)
{
    tr_arena *arena = make_arena(4, 0);
    (void)state;

    assert_int_equal(in_child(arena, join_interrupted_before), 0);
    assert_int_equal(in_child(arena, join_interrupted_amid), 0);
    tr_arena_close(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        named_test(no_closing_ends_a_life),
        cmocka_unit_test(leaving_ends_it),
        cmocka_unit_test(lives_while_a_thread_does),
        cmocka_unit_test(ends_when_another_program_is_executed),
        cmocka_unit_test(ends_whoever_shares_its_descriptors),
        cmocka_unit_test(a_leaked_lock_keeps_nobody_alive),
        named_test(a_child_may_attach_first),
        cmocka_unit_test(a_child_may_close_what_it_never_used),
        cmocka_unit_test(joining_in_vain_costs_nothing),
        cmocka_unit_test(attaching_and_closing_leaves_no_descriptor),
        cmocka_unit_test(a_process_may_have_many_arenas),
        cmocka_unit_test(closes_nothing_of_others),
        cmocka_unit_test(writes_nothing_to_others),
        named_test(joins_after_giving_up_its_rights),
        named_test(needs_no_proc),
        cmocka_unit_test(a_handler_may_interrupt_the_joining),
        named_test(says_that_descriptors_are_lacking),
    };

    alarm(120);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
