/* SPDX-License-Identifier: MIT */
/* What a wait set knows of its descriptors: the watch of the dead, and a child's own. */
#include "queue_scene.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "ipc/hooks.h"
#include "ipc/kernel/os.h"
#include "ipc/liveness/pidfds.h"
#include "src/waitset/waitset.h"

static struct os_calls patient;

static int be_patient(void **state)
{
    (void)state;
    patient = os_kernel;
    os = &patient;
    waitset_slice_ns = INT64_C(3600) * 1000000000;
    unsetenv("TENSORING_NOTIFY");
    return 0;
}

/* The child that has the message, until it is killed or the test ends: a test that is skipped
 * leaves it. */
static _Noreturn void hold(tr_queue *queue, int told)
{
    tr_message *message;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (tr_queue_receive(queue, TR_FOREVER, &message) == 0)
        (void)!write(told, "", 1);
    for (;;)
        pause();
}

/* The child of which a watch is told. */
static pid_t fork_to_hold(tr_arena *arena, tr_queue *queue)
{
    int pipes[2];
    char byte;
    pid_t child;

    assert_int_equal(pipe(pipes), 0);
    give(arena, queue, 7);
    child = fork();
    if (child == 0)
        hold(queue, pipes[1]);
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    close(pipes[0]), close(pipes[1]);
    return child;
}

/* The watch is given up, and begins again: its new instance has the number of the old one. */
static void watch_anew(const tr_arena *arena)
{
    const struct self *me = &arena_known(arena)->self;
    uint32_t serial, later;
    int fd = pidfds_fd(me, &serial);

    pidfds_end(me->view->pidfds);
    pidfds_checked(me);
    assert_true(pidfds_quiet(me));
    assert_int_equal(pidfds_fd(me, &later), fd);
    assert_int_not_equal(later, serial);
}

/* A process that watches in an event loop is told by pidfds: no tick needed. */
static void expect_a_death_to_ring(bool again)
{
    tr_arena *arena;
    tr_queue *queue;
    tr_waitset *set;
    tr_event event;
    size_t count;
    struct pollfd poller = {.events = POLLIN};
    int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    pid_t child;

    if (fd < 0)
        skip(); /* valgrind 3.19, qemu */
    close(fd);
    arena = make_arena(8, 0);
    queue = open_queue(arena, "q", 8);
    child = fork_to_hold(arena, queue);
    waitset_slice_ns = 1000000;
    assert_ok(tr_waitset_open(arena, &set));
    assert_ok(tr_waitset_add_queue(set, queue, TR_WAIT_READABLE, 1));
    assert_ok(tr_waitset_fd(set, &poller.fd));
    while (waitset_known(set)->pidfds < 0) { /* the first tick */
        assert_int_equal(tr_waitset_wait(set, &event, 1, TR_NOWAIT, &count), TR_EAGAIN);
        assert_int_equal(poll(&poller, 1, -1), 1);
    }
    if (again)
        watch_anew(arena);
    waitset_slice_ns = INT64_C(3600) * 1000000000;
    do
        assert_int_equal(tr_waitset_wait(set, &event, 1, TR_NOWAIT, &count), TR_EAGAIN);
    while (poll(&poller, 1, 50) >
           0); /* until the next one has set the timer to an hour */
    kill(child, SIGKILL);
    while (tr_waitset_wait(set, &event, 1, TR_NOWAIT, &count) == TR_EAGAIN)
        assert_int_equal(poll(&poller, 1, 60000), 1);
    assert_int_equal(take(queue), 7);
    assert_true(WIFSIGNALED(status_of(child)));
    tr_waitset_close(set);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

static void a_death_rings(void **state)
{
    (void)state;
    expect_a_death_to_ring(false);
}

static void a_death_rings_by_a_watch_made_anew(void **state)
{
    (void)state;
    expect_a_death_to_ring(true);
}

/* A child that never calls the library has copies of the pidfds: what they say of a process that
 * was swept long ago is not new. */
static void a_watch_is_quiet_whatever_children_inherit(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    const struct self *me = &arena_known(arena)->self;
    tr_queue *queue = open_queue(arena, "q", 8);
    pid_t child = fork_to_hold(arena, queue), idle;
    (void)state;

    pidfds_checked(me);
    if (!pidfds_quiet(me))
        skip(); /* valgrind and qemu have no pidfds */
    idle = fork();
    if (idle == 0)
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (idle == 0)
        pause();
    kill(child, SIGKILL);
    assert_true(WIFSIGNALED(status_of(child)));
    assert_false(pidfds_quiet(me));
    assert_ok(tr_arena_reap(arena, NULL));
    pidfds_checked(me);
    (void)pidfds_quiet(me); /* forgets the dead one */
    assert_true(pidfds_quiet(me));
    kill(idle, SIGKILL);
    assert_true(WIFSIGNALED(status_of(idle)));
    assert_int_equal(take(queue), 7);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

/* A child gives back its copies, and leaves alone what its parent waits for by them. */
static void a_child_leaves_the_watch_of_its_parent(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    const struct self *me = &arena_known(arena)->self;
    tr_queue *queue = open_queue(arena, "q", 8);
    pid_t child = fork_to_hold(arena, queue), closing;
    (void)state;

    pidfds_checked(me);
    if (!pidfds_quiet(me))
        skip(); /* as above */
    closing = fork();
    if (closing == 0) {
        tr_arena_close(arena);
        _exit(0);
    }
    assert_int_equal(status_of(closing), 0);
    kill(child, SIGKILL);
    assert_true(WIFSIGNALED(status_of(child)));
    assert_false(pidfds_quiet(me));
    assert_ok(tr_arena_reap(arena, NULL));
    assert_int_equal(take(queue), 7);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

/* Not by the kernel's word, so that no watch is quiet. */
static bool all_live(const struct view *view, uint32_t i)
{
    (void)view, (void)i;
    return false;
}

/* What comes between a look and the arming of a set. */
static void expect_to_stay(tr_waitset *set, int fd)
{
    const uint64_t one = 1;
    tr_event event;
    size_t count;

    assert_ok(tr_waitset_add_fd(set, fd, TR_WAIT_READABLE, 2));
    assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
    waitset_fd_arm(waitset_known(set));
    assert_ok(tr_waitset_wait(set, &event, 1, TR_NOWAIT, &count));
    assert_int_equal(event.token, 2);
}

/* The watch was given up, and a file of the program has its number. */
static void a_file_is_not_taken_for_the_watch(void **state)
{
    struct hooks fake = hooks_real;
    tr_arena *arena = make_arena(4, 0);
    const struct self *me = &arena_known(arena)->self;
    tr_arena *other;
    tr_waitset *set;
    uint32_t serial;
    int fd, watch;
    (void)state;

    assert_ok(tr_arena_attach_fd(me->view->lock_fd, &other));
    assert_ok(tr_waitset_open(arena, &set));
    assert_ok(tr_waitset_fd(set, &fd));
    pidfds_checked(me);
    (void)pidfds_quiet(me);
    watch = pidfds_fd(me, &serial);
    if (watch < 0)
        skip(); /* valgrind and qemu have no pidfds */
    waitset_known(set)->pidfds = watch;
    waitset_known(set)->pidfds_serial = serial;
    pidfds_end(me->view->pidfds);
    fd = eventfd(0, EFD_CLOEXEC);
    assert_int_equal(fd, watch);
    fake.dead = all_live;
    hooks = &fake;
    expect_to_stay(set, fd);
    hooks = &hooks_real;
    tr_waitset_close(set);
    close(fd);
    tr_arena_close(other);
    tr_arena_close(arena);
}

static int wait_in_child(tr_waitset *set)
{
    tr_event event;
    size_t count;

    if (tr_waitset_wait(set, &event, 1, TR_NOWAIT, &count) || event.token != 2)
        return 1;
    return tr_waitset_remove(set, 2) || waitset_known(set)->descriptors != 0;
}

/* Another thread is adding or removing one when the process forks: its count is a step behind. */
static void a_child_counts_descriptors_itself(void **state)
{
    tr_arena *arena = make_arena(4, 0);
    tr_waitset *set;
    int fd = eventfd(1, EFD_CLOEXEC);
    (void)state;

    assert_ok(tr_waitset_open(arena, &set));
    assert_ok(tr_waitset_add_fd(set, fd, TR_WAIT_READABLE, 2));
    for (uint32_t behind = 0; behind < 3; behind++) {
        pid_t child;

        waitset_known(set)->descriptors = behind;
        child = fork();
        if (child == 0)
            _exit(wait_in_child(set));
        assert_int_equal(status_of(child), 0);
    }
    tr_waitset_close(set);
    close(fd);
    tr_arena_close(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_death_rings),
        cmocka_unit_test(a_death_rings_by_a_watch_made_anew),
        cmocka_unit_test(a_watch_is_quiet_whatever_children_inherit),
        cmocka_unit_test(a_child_leaves_the_watch_of_its_parent),
        cmocka_unit_test(a_file_is_not_taken_for_the_watch),
        cmocka_unit_test(a_child_counts_descriptors_itself),
    };

    return cmocka_run_group_tests(tests, be_patient, NULL);
}
