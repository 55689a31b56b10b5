/* SPDX-License-Identifier: MIT */
/* A program closes all descriptors that it does not know, and has files of its own by their
 * numbers then: the library neither closes nor writes them. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>

#include "ipc/liveness/pidfds.h"
#include "ipc/signal/notifier.h"
#include "ipc/signal/uring_futex.h"
#include "src/arena/arena.h"

#define FIRST 3
#define LAST  80

struct world {
    tr_arena *arena, *other; /* two participants: each is watched by the other */
    tr_queue *queue;
    tr_waitset *set;
};

static void make_world(struct world *world, const char *kind)
{
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_slot_class class = {8192, 8};
    int fd;

    setenv("TENSORING_NOTIFY", kind, 1);
    options.classes = &class;
    options.class_count = 1;
    options.eventfds = 4;
    options.flags = TR_ARENA_LAZY;
    assert_ok(tr_arena_create(NULL, &options, &world->arena));
    assert_ok(tr_arena_attach_fd(arena_known(world->arena)->view.lock_fd, &world->other));
    assert_ok(tr_queue_open(world->arena, "q", NULL, &world->queue));
    assert_ok(tr_waitset_open(world->arena, &world->set));
    assert_ok(tr_waitset_add_queue(world->set, world->queue, TR_WAIT_READABLE, 1));
    fd = tr_waitset_fd(world->set, &fd); /* that kind may not work here */
    assert_true(fd == 0 || fd == TR_ENOTSUP);
    (void)!pidfds_quiet(&arena_known(world->arena)->self);
}

/* What the program has by those numbers: things that the library has, too. */
enum mine { FILES, EVENTFDS, EPOLLS, TIMERS, MINES };

static int make_mine(enum mine mine)
{
    switch (mine) {
    case EVENTFDS:
        return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    case EPOLLS:
        return epoll_create1(EPOLL_CLOEXEC);
    case TIMERS:
        return timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    default:
        return memfd_create("mine", MFD_CLOEXEC);
    }
}

static int ends[2]; /* of a pipe that holds a byte */

static void take_the_numbers(enum mine mine)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT};

    assert_int_equal(close_range(FIRST, ~0U, 0), 0);
    for (int fd = FIRST; fd <= LAST; fd++)
        assert_int_equal(make_mine(mine), fd);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    for (int fd = FIRST; fd <= LAST && mine == EPOLLS; fd++)
        assert_int_equal(epoll_ctl(fd, EPOLL_CTL_ADD, ends[0], &event), 0);
}

static bool untouched(enum mine mine, int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT}, events[4];
    struct itimerspec timer;
    struct stat st;
    uint64_t count;

    switch (mine) {
    case EVENTFDS:
        return read(fd, &count, sizeof(count)) < 0 && errno == EAGAIN;
    case EPOLLS: /* the one event, which nobody has taken, and no other */
        return epoll_wait(fd, events, 4, 0) == 1 &&
               epoll_ctl(fd, EPOLL_CTL_MOD, ends[0], &event) == 0;
    case TIMERS:
        return timerfd_gettime(fd, &timer) == 0 && timer.it_value.tv_sec == 0 &&
               timer.it_value.tv_nsec == 0;
    default:
        return fstat(fd, &st) == 0 && st.st_size == 0;
    }
}

static void check_the_numbers(enum mine mine)
{
    for (int fd = FIRST; fd <= LAST; fd++) {
        if (fcntl(fd, F_GETFD) < 0)
            fail_msg("descriptor %d was closed", fd);
        if (!untouched(mine, fd))
            fail_msg("descriptor %d, of kind %d, was used", fd, mine);
    }
}

/* Each call that tells a listener finds its descriptor closed. */
static void use(struct world *world)
{
    tr_message *message;
    tr_event event;
    size_t count;

    assert_ok(tr_queue_send(world->queue, loan_i64(world->arena, 1, 1), TR_NOWAIT));
    assert_ok(tr_queue_receive(world->queue, TR_NOWAIT, &message));
    assert_ok(tr_message_release(message));
    assert_ok(tr_arena_trim(world->arena, NULL));
    (void)!pidfds_quiet(&arena_known(world->arena)->self);
    assert_int_equal(tr_waitset_wait(world->set, &event, 1, TR_NOWAIT, &count),
                     TR_EAGAIN);
}

static void end_world(struct world *world)
{
    tr_waitset_close(world->set);
    tr_queue_close(world->queue);
    tr_arena_close(world->other);
    tr_arena_close(world->arena);
}

static void play(const char *kind, bool forks, enum mine mine)
{
    struct world world;
    pid_t child;

    make_world(&world, kind);
    take_the_numbers(mine);
    use(&world);
    check_the_numbers(mine);
    child = forks ? fork() : 0;
    if (forks && child == 0) { /* it can't join any more, and closes what it inherited */
        tr_message *message;

        assert_true(tr_message_loan_bytes(world.arena, 8, TR_NOWAIT, &message) < 0);
        end_world(&world);
        check_the_numbers(mine);
        _exit(0);
    }
    if (forks)
        assert_int_equal(status_of(child), 0);
    end_world(&world);
    check_the_numbers(mine);
}

/* Runs in a process of its own, whose descriptors nobody misses. */
static void numbers_are_others(void **state)
{
    static const char *const kinds[] = {"eventfd", "uring", "fifo"};

    (void)state;
    for (int i = 0; i < 6 * MINES; i++) {
        pid_t child = fork();

        if (child == 0) {
            play(kinds[i / 2 % 3], i % 2, (enum mine)(i / 6));
            _exit(0);
        }
        assert_int_equal(status_of(child), 0);
    }
}

/* One handle's numbers may be those of another one by now. */
static void play_again(void)
{
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_arena *before, *after;
    tr_waitset *set;
    int fd;

    setenv("TENSORING_NOTIFY", "eventfd", 1);
    options.eventfds = 4;
    assert_ok(tr_arena_create(NULL, &options, &before));
    assert_int_equal(close_range(FIRST, ~0U, 0), 0);
    assert_ok(tr_arena_create(NULL, &options, &after));
    assert_ok(tr_waitset_open(after, &set));
    assert_ok(tr_waitset_fd(set, &fd));
    tr_arena_close(before);
    for (uint32_t i = 0; i < 4; i++)
        if (fcntl(arena_known(after)->view.notifier->table.fds[i], F_GETFD) < 0)
            fail_msg("the other arena has lost eventfd %u", i);
    tr_waitset_close(set);
    tr_arena_close(after);
}

static void numbers_are_our_own(void **state)
{
    pid_t child = fork();
    (void)state;

    if (child == 0) {
        play_again();
        _exit(0);
    }
    assert_int_equal(status_of(child), 0);
}

/* A daemon has closed its standard descriptors: its output must not get into the arena. */
static void none_is_standard_output(const char *kind)
{
    tr_arena *looked, *named;
    struct world world;
    tr_message *message;
    uint8_t before[4096];
    char name[64];
    tr_look *look;
    int lock;

    assert_int_equal(close_range(0, 2, 0), 0);
    make_world(&world, kind);
    snprintf(name, sizeof(name), "unit-closed-%d", (int)getpid());
    assert_ok(tr_arena_create(name, NULL, &looked));
    assert_ok(tr_arena_attach(name, NULL, &named));
    assert_ok(tr_arena_unlink(name));
    assert_ok(tr_look_open_fd(arena_known(named)->view.lock_fd, &look));
    assert_ok(tr_arena_device_fd(named, &lock));
    memcpy(before, arena_known(named)->view.base, sizeof(before));
    for (int fd = 0; fd <= 2; fd++) {
        assert_int_equal(write(fd, "what a daemon prints", 20), -1);
        assert_true(errno == EBADF || errno == EINVAL); /* an io_uring takes none */
    }
    assert_memory_equal(before, arena_known(named)->view.base, sizeof(before));
    assert_ok(tr_message_loan_bytes(named, 8, TR_NOWAIT, &message));
    tr_message_release(message);
    tr_look_close(look);
    tr_arena_close(named);
    tr_arena_close(looked);
    close(lock);
    tr_waitset_close(world.set);
    tr_queue_close(world.queue);
    tr_arena_close(world.other);
    tr_arena_close(world.arena);
}

/* cmocka says on standard error what went wrong: a code does here. */
static void no_descriptor_is_standard_output(void **state)
{
    static const char *const kinds[] = {"eventfd", "fifo", "uring"};
    (void)state;

    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        pid_t child = fork();

        if (child == 0) {
            none_is_standard_output(kinds[k]);
            _exit(0);
        }
        assert_int_equal(status_of(child), 0);
    }
}

/* A request that the program has put into its ring, and submits when it thinks fit. */
static void put_by(struct io_uring *ring)
{
    io_uring_prep_nop(io_uring_get_sqe(ring));
    ring->sq.array[0] = 0;
    atomic_store((_Atomic unsigned *)(void *)ring->sq.ktail, 1);
}

/* The program has a ring by the number of ours. */
static void a_ring_of_the_program_is_not_submitted(void **state)
{
    _Atomic uint32_t word = 0;
    struct io_uring theirs;
    struct uring_futex ours;
    (void)state;

    if (uring_futex_open(&ours) < 0)
        skip(); /* it may be forbidden */
    assert_int_equal(close(uring_futex_fd(&ours)), 0);
    assert_int_equal(io_uring_queue_init(4, &theirs, 0), 0);
    assert_int_equal(theirs.ring_fd, uring_futex_fd(&ours));
    put_by(&theirs);
    assert_int_equal(uring_futex_arm(&ours, &word, 0), -EBADF);
    assert_int_equal(io_uring_cq_ready(&theirs), 0);
    uring_futex_close(&ours);
    io_uring_queue_exit(&theirs);
}

/* The program closes all descriptors, and attaches again: two handles have one number. */
static void the_last_of_two_closes_a_number(void **state)
{
    tr_arena *first, *second;
    int keep, fd;
    pid_t child;
    (void)state;

    assert_ok(tr_arena_create(NULL, NULL, &first));
    keep = fcntl(arena_known(first)->view.lock_fd, F_DUPFD_CLOEXEC, LAST);
    assert_true(keep >= LAST);
    assert_int_equal(close_range(FIRST, LAST - 1, 0), 0);
    while ((fd = dup(0)) < arena_known(first)->view.lock_fd)
        assert_true(fd >= 0); /* so that the next one has its number */
    close(fd);
    assert_ok(tr_arena_attach_fd(keep, &second));
    assert_int_equal(arena_known(second)->view.lock_fd, arena_known(first)->view.lock_fd);
    close(keep);
    tr_arena_close(first);
    child = fork(); /* a child needs it to join */
    if (child == 0) {
        tr_message *message;

        _exit(-tr_message_loan_bytes(second, 8, TR_NOWAIT, &message));
    }
    assert_int_equal(status_of(child), 0);
    keep = arena_known(second)->view.lock_fd;
    tr_arena_close(second);
    assert_int_equal(fcntl(keep, F_GETFD), -1);
}

/* A look has a descriptor, too. */
static void a_look_closes_nothing_of_others(void **state)
{
    tr_arena *arena = make_arena(4, 0);
    tr_look *look;
    (void)state;

    assert_ok(tr_look_open_fd(arena_known(arena)->view.lock_fd, &look));
    take_the_numbers(FILES);
    tr_look_close(look);
    tr_arena_close(arena);
    check_the_numbers(FILES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_others),
        cmocka_unit_test(numbers_are_our_own),
        cmocka_unit_test(no_descriptor_is_standard_output),
        cmocka_unit_test(a_ring_of_the_program_is_not_submitted),
        cmocka_unit_test(the_last_of_two_closes_a_number),
        cmocka_unit_test(a_look_closes_nothing_of_others)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
