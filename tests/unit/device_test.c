/* SPDX-License-Identifier: MIT */
/* What a device may still write into when its process is dead stays nobody's. The device is a
 * copy of its descriptor, which outlives the process. */
#include "no_proc.h"
#include "support.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "ipc/kernel/os.h"
#include "ipc/liveness/device.h"
#include "ipc/liveness/participant.h"
#include "ipc/liveness/pidfds.h"
#include "src/arena/arena.h"
#include "src/base/whois.h"

static tr_arena *arena;
static tr_queue *queue;
static int told[2]; /* the child says that it is ready */

static int set_up(void **state)
{
    (void)state;
    arena = make_arena(4, 0);
    assert_ok(tr_queue_open(arena, "q", NULL, &queue));
    assert_int_equal(pipe(told), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tr_queue_close(queue);
    tr_arena_close(arena);
    close(told[0]);
    close(told[1]);
    return 0;
}

static void ready_and_wait(void)
{
    if (write(told[1], "r", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

/* Holds four messages: one loan and one received message are marked. Its device lives on in
 * a process that it has forked. */
static _Noreturn void hold(int device[2])
{
    tr_message *messages[4];
    int fd;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (tr_queue_receive(queue, TR_NOWAIT, &messages[0]) ||
        tr_queue_receive(queue, TR_NOWAIT, &messages[1]) ||
        tr_message_loan_bytes(arena, 8, TR_NOWAIT, &messages[2]) ||
        tr_message_loan_bytes(arena, 8, TR_NOWAIT, &messages[3]) ||
        tr_arena_device_fd(arena, &fd) || tr_message_device_begin(messages[0]) ||
        tr_message_device_begin(messages[2]))
        _exit(1);
    if (fork() == 0) {
        char byte;

        close(device[1]);
        _exit(
            (int)read(device[0], &byte, 1)); /* the device stops with its master's test */
    }
    ready_and_wait();
    _exit(0);
}

static enum participant_state state_of(uint32_t who)
{
    return PARTICIPANT_STATE(
        shm_get(&view_participant(&arena_known(arena)->view, who)->word));
}

static uint32_t inc_of(uint32_t who)
{
    return PARTICIPANT_INC(
        shm_get(&view_participant(&arena_known(arena)->view, who)->word));
}

static tr_reap_report reap(void)
{
    tr_reap_report report = TR_REAP_REPORT_INIT;

    assert_ok(tr_arena_reap(arena, &report));
    return report;
}

/* The device's last reference goes asynchronously with the process that has it. */
static void wait_for_device(uint32_t who)
{
    while (device_busy(&arena_known(arena)->view, who, inc_of(who)))
        continue;
}

/* A process that cannot join is told how many entries wait for devices. */
static void says_who_keeps_the_entries(void)
{
    const struct view *view = &arena_known(arena)->view;
    tr_arena *others[MAX_PARTICIPANTS], *one_more;
    uint32_t count = 0;

    while (count + 2 < view->geo.participant_count)
        assert_ok(tr_arena_attach_fd(view->lock_fd, &others[count++]));
    assert_int_equal(tr_arena_attach_fd(view->lock_fd, &one_more), TR_EUSERS);
    assert_detail("1 wait for devices of dead ones");
    while (count > 0)
        tr_arena_close(others[--count]);
}

static void marked_slots_wait_for_their_device(void **state)
{
    int device[2];
    tr_message *message;
    tr_reap_report report = TR_REAP_REPORT_INIT;
    char byte;
    pid_t child;
    (void)state;

    for (int i = 0; i < 2; i++)
        assert_ok(tr_queue_send(queue, loan_i64(arena, 1, 10 + i), TR_NOWAIT));
    assert_int_equal(pipe(device), 0);
    child = fork();
    if (child == 0)
        hold(device);
    assert_int_equal(read(told[0], &byte, 1), 1);
    pidfds_checked(&arena_known(arena)->self);
    (void)pidfds_quiet(&arena_known(arena)->self); /* pidfds, where there are any */
    kill(child, SIGKILL);
    status_of(child);
    report = reap();
    assert_int_equal(report.dead, 1);
    assert_int_equal(report.freed, 1);
    assert_int_equal(report.redelivered, 1);
    pidfds_checked(&arena_known(arena)->self);
    /* Nobody has to be looked at while the device goes on. */
    assert_true(pidfds_quiet(&arena_known(arena)->self));
    assert_int_equal(state_of(1), PARTICIPANT_DRAINING);
    says_who_keeps_the_entries();
    assert_string_equal(whois_state(&arena_known(arena)->view, 0, 1),
                        "dead, but its device has not stopped");
    assert_int_equal(stats_of(arena).slots_free, 1);
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
    assert_int_equal(first_i64(message), 11);
    assert_int_equal(tr_queue_receive(queue, TR_NOWAIT, &message), TR_EAGAIN);
    report = reap();
    assert_int_equal(report.dead + report.freed + report.redelivered, 0);
    close(device[0]);
    close(device[1]);
    wait_for_device(1);
    assert_false(pidfds_quiet(&arena_known(arena)->self));
    report = reap();
    assert_int_equal(report.dead, 0);
    assert_int_equal(report.freed, 1);
    assert_int_equal(report.redelivered, 1);
    assert_int_equal(state_of(1), PARTICIPANT_FREE);
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
    assert_int_equal(first_i64(message), 10);
}

/* A waiting loan gets the slot when the device is done, without a reap by hand. */
static void a_waiter_is_served_then(void **state)
{
    tr_message *messages[5];
    int fd[2];
    char byte;
    pid_t child;
    (void)state;

    child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (int i = 0; i < 4; i++)
            if (tr_message_loan_bytes(arena, 8, TR_NOWAIT, &messages[i]) ||
                tr_message_device_begin(messages[i]))
                _exit(1);
        ready_and_wait();
    }
    assert_int_equal(read(told[0], &byte, 1), 1);
    fd[0] = device_lock(&arena_known(arena)->view, 1, inc_of(1));
    assert_true(fd[0] >= 0);
    kill(child, SIGKILL);
    status_of(child);
    assert_int_equal(tr_message_loan_bytes(arena, 8, 200000000, &messages[4]),
                     TR_ETIMEDOUT);
    close(fd[0]);
    assert_ok(tr_message_loan_bytes(arena, 8, TR_FOREVER, &messages[4]));
    tr_message_release(messages[4]);
}

/* A child with entry 1 marks a loan and is killed. The reaper frees the slot and the entry. */
static void a_marker_dies_for_good(void)
{
    pid_t child = fork();
    char byte;

    if (child == 0) {
        tr_message *message;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (tr_message_loan_bytes(arena, 8, TR_NOWAIT, &message) ||
            tr_message_device_begin(message) || arena_known(arena)->self.who != 1)
            _exit(1);
        ready_and_wait();
    }
    assert_int_equal(read(told[0], &byte, 1), 1);
    kill(child, SIGKILL);
    status_of(child);
    assert_int_equal(reap().freed, 1);
    assert_int_equal(state_of(1), PARTICIPANT_FREE);
}

/* Without a device's descriptor a mark says nothing. */
static void marks_alone_hold_nothing_up(void **state)
{
    (void)state;

    a_marker_dies_for_good();
}

static void marks_are_of_one_holding(void **state)
{
    tr_message *message = loan_i64(arena, 1, 1);
    (void)state;

    assert_int_equal(tr_message_device_end(message), TR_EINVAL);
    assert_ok(tr_message_device_begin(message));
    assert_int_equal(tr_message_device_begin(message), TR_EINVAL);
    assert_ok(tr_message_device_end(message));
    assert_ok(tr_message_device_begin(message));
    assert_ok(tr_queue_send(queue, message, TR_NOWAIT));
    assert_int_equal(tr_message_device_begin(message), TR_EINVAL); /* it was sent */
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
    assert_int_equal(tr_message_device_end(message), TR_EINVAL); /* not marked any more */
    assert_ok(tr_message_device_begin(message));
    tr_message_release(message);
    assert_int_equal(tr_message_device_begin(NULL), TR_EINVAL);
    assert_int_equal(tr_arena_device_fd(arena, NULL), TR_EINVAL);
}

/* An earlier owner of the entry left it open. */
static void a_device_descriptor_is_of_one_owner(void **state)
{
    tr_arena *other;
    int fd;
    (void)state;

    assert_ok(tr_arena_attach_fd(arena_known(arena)->view.lock_fd, &other));
    assert_int_equal(arena_known(other)->self.who, 1);
    assert_ok(tr_arena_device_fd(other, &fd));
    tr_arena_close(other);
    a_marker_dies_for_good();
    close(fd);
}

/* ---- another thread forks while the descriptor is made ---- */

static sem_t half_made;
static _Atomic pid_t forker; /* the thread; 0: none forks */
static _Atomic bool forked;
static int before; /* descriptors of the arena's file */

static int count_of_the_file(void)
{
    struct stat arenas, st;
    int count = 0;

    if (fstat(arena_known(arena)->view.lock_fd, &arenas) < 0)
        return -1;
    for (int fd = 0; fd < 1024; fd++)
        count += fstat(fd, &st) == 0 && st.st_dev == arenas.st_dev &&
                 st.st_ino == arenas.st_ino;
    return count;
}

static void *fork_meanwhile(void *status)
{
    pid_t child;

    atomic_store(&forker, gettid());
    sem_wait(&half_made);
    child = fork();
    if (child == 0)
        _exit(count_of_the_file() - before);
    atomic_store(&forked, true);
    *(int *)status = status_of(child);
    return NULL;
}

/* It waits for us to be done. */
static bool forker_sleeps(void)
{
    char path[64], text[256] = "";
    int fd;

    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)forker);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (read(fd, text, sizeof(text) - 1) <= 0)
        text[0] = 0;
    close(fd);
    return strstr(text, ") S ") != NULL;
}

int __real_socketpair(int domain, int type, int protocol, int ends[2]);
int __wrap_socketpair(int domain, int type, int protocol, int ends[2]);

int __wrap_socketpair(int domain, int type, int protocol, int ends[2])
{
    int value;

    if (forker) {
        sem_post(&half_made);
        do
            sem_getvalue(&half_made, &value);
        while (value > 0);
        while (!atomic_load(&forked) && !forker_sleeps())
            continue;
    }
    return __real_socketpair(domain, type, protocol, ends);
}

static void a_fork_meets_no_half_made_descriptor(void **state)
{
    pthread_t thread;
    int status = -1, fd;
    (void)state;

    before = count_of_the_file();
    assert_int_equal(sem_init(&half_made, 0, 0), 0);
    assert_int_equal(pthread_create(&thread, NULL, fork_meanwhile, &status), 0);
    while (!atomic_load(&forker))
        continue;
    assert_ok(tr_arena_device_fd(arena, &fd));
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(status, 0);
    forker = 0;
    sem_destroy(&half_made);
    close(fd);
}

/* The descriptor goes after all others of its process, whatever their numbers. */
static void it_goes_last(void **state)
{
    enum { OTHERS = 200, ROUNDS = 20 };
    (void)state;

    for (int round = 0; round < ROUNDS; round++) {
        char byte;
        pid_t child = fork();

        if (child == 0) {
            int fd;

            prctl(PR_SET_PDEATHSIG, SIGKILL);
            for (int i = 0; i < OTHERS; i++)
                if (i == OTHERS / 2 ? tr_arena_device_fd(arena, &fd)
                                    : device_lock(&arena_known(arena)->view,
                                                  2 + (uint32_t)i % 4, 0) < 0)
                    _exit(1);
            ready_and_wait();
        }
        assert_int_equal(read(told[0], &byte, 1), 1);
        kill(child, SIGKILL);
        wait_for_device(1);
        for (uint32_t who = 2; who < 6; who++)
            assert_false(device_busy(&arena_known(arena)->view, who, 0));
        status_of(child);
        (void)reap();
    }
}

/* Without /proc the arena's file has no second description. */
static void says_that_it_needs_proc(void **state)
{
    pid_t child = fork();
    int status, fd;
    (void)state;

    if (child == 0)
        _exit(lose_proc() ? -tr_arena_device_fd(arena, &fd) : 77);
    status = status_of(child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), -TR_ENOTSUP);
}

#define SCENE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(marked_slots_wait_for_their_device),
        SCENE(a_waiter_is_served_then),
        SCENE(marks_alone_hold_nothing_up),
        SCENE(marks_are_of_one_holding),
        SCENE(it_goes_last),
        SCENE(a_device_descriptor_is_of_one_owner),
        SCENE(a_fork_meets_no_half_made_descriptor),
        SCENE(says_that_it_needs_proc),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
