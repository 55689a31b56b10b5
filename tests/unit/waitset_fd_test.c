/* SPDX-License-Identifier: MIT */
/* waitset_fd_test.c - descriptors in a wait set, and the descriptor of one. */
#include "waitset_scene.h"

static bool is_readable(int fd)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};

    return poll(&poller, 1, 0) == 1;
}

/* However long it takes. */
static void await_readable(int fd)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};

    while (poll(&poller, 1, -1) != 1)
        ;
}

static void *ring_later(void *fd)
{
    const uint64_t one = 1;

    assert_int_equal(write(*(int *)fd, &one, sizeof(one)), sizeof(one));
    return NULL;
}

static void waits_for_descriptors(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_queue(arena, "q", 4);
    int before = descriptors(), fd = eventfd(0, EFD_NONBLOCK), pipes[2];
    tr_waitset *set;
    tr_event events[4];
    pthread_t thread;
    size_t count;
    (void)state;

    assert_int_equal(pipe(pipes), 0);
    assert_ok(tr_waitset_open(arena, &set));
    assert_ok(tr_waitset_add_queue(set, queue, TR_WAIT_READABLE, 1));
    assert_ok(tr_waitset_add_fd(set, fd, TR_WAIT_READABLE, 2));
    assert_int_equal(tr_waitset_add_fd(set, fd, TR_WAIT_READABLE, 3), TR_EEXIST);
    assert_int_equal(pthread_create(&thread, NULL, ring_later, &fd), 0);
    assert_ok(tr_waitset_wait(set, events, 4, TR_FOREVER, &count));
    pthread_join(thread, NULL);
    assert_int_equal(events[0].token, 2);
    assert_int_equal(events[0].ready, TR_WAIT_READABLE);
    give(arena, queue, 5);
    assert_ok(tr_waitset_wait(set, events, 4, TR_FOREVER, &count));
    assert_int_equal(count, 2);
    assert_ok(tr_waitset_remove(set, 2));
    assert_ok(tr_waitset_wait(set, events, 4, TR_FOREVER, &count));
    assert_int_equal(count, 1);
    take(queue);
    assert_ok(tr_waitset_add_fd(set, pipes[1], TR_WAIT_WRITABLE, 4));
    assert_ok(tr_waitset_wait(set, events, 4, TR_FOREVER, &count));
    assert_int_equal(events[0].ready, TR_WAIT_WRITABLE);
    close(pipes[0]);
    assert_ok(tr_waitset_wait(set, events, 4, TR_FOREVER, &count));
    assert_true(events[0].ready & TR_WAIT_HUNGUP);
    tr_waitset_close(set);
    close(pipes[1]);
    close(fd);
    assert_int_equal(descriptors(), before);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

static void stays_readable(const char *backend)
{
    tr_arena *arena;
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_queue *queue, *second;
    tr_waitset *set, *other;
    tr_event event;
    int fd, other_fd, before;
    size_t count;

    options.eventfds = 4;
    assert_ok(tr_arena_create(NULL, &options, &arena));
    queue = open_queue(arena, "q", 8);
    second = open_queue(arena, "r", 8);
    before = descriptors();
    setenv("TENSORING_NOTIFY", backend, 1);
    assert_ok(tr_waitset_open(arena, &set));
    assert_ok(tr_waitset_open(arena, &other));
    assert_ok(tr_waitset_fd(set, &fd));
    assert_string_equal(tr_waitset_backend(set), backend);
    assert_ok(tr_waitset_add_queue(set, queue, TR_WAIT_READABLE, 1));
    assert_ok(tr_waitset_add_queue(other, second, TR_WAIT_READABLE, 2));
    assert_ok(tr_waitset_fd(other, &other_fd));
    assert_int_equal(tr_waitset_wait(set, &event, 1, TR_NOWAIT, &count), TR_EAGAIN);
    assert_int_equal(tr_waitset_wait(other, &event, 1, TR_NOWAIT, &count), TR_EAGAIN);
    for (int round = 0; round < 3; round++) {
        give(arena, queue, 1);
        give(arena, queue, 2);
        await_readable(fd);
        /* It stays so until a wait has found nothing. */
        assert_ok(tr_waitset_wait(set, &event, 1, TR_NOWAIT, &count));
        take(queue);
        await_readable(fd);
        assert_ok(tr_waitset_wait(set, &event, 1, TR_NOWAIT, &count));
        take(queue);
        await_readable(fd);
        while (is_readable(fd)) /* the other set of this process was told, too */
            assert_int_equal(tr_waitset_wait(set, &event, 1, TR_NOWAIT, &count),
                             TR_EAGAIN);
        /* Found by looking, not by the descriptor: it must still be readable. */
        give(arena, second, 3);
        assert_ok(tr_waitset_wait(other, &event, 1, TR_NOWAIT, &count));
        await_readable(other_fd);
        /* One set clears what both share: the other is not forgotten. */
        assert_int_equal(tr_waitset_wait(set, &event, 1, TR_NOWAIT, &count), TR_EAGAIN);
        await_readable(other_fd);
        take(second);
        while (is_readable(fd) || is_readable(other_fd)) {
            assert_int_equal(tr_waitset_wait(set, &event, 1, TR_NOWAIT, &count),
                             TR_EAGAIN);
            assert_int_equal(tr_waitset_wait(other, &event, 1, TR_NOWAIT, &count),
                             TR_EAGAIN);
        }
    }
    tr_waitset_close(set);
    tr_waitset_close(other);
    assert_int_equal(descriptors(), before);
    tr_queue_close(queue);
    tr_queue_close(second);
    tr_arena_close(arena);
}

static void descriptor_is_level_triggered(void **state)
{
    (void)state;
    stays_readable("eventfd");
    stays_readable("fifo");
    if (uring_futex_works())
        stays_readable("uring");
}

/* Armed by a thread that then computes: another one polls. */
static _Atomic int computing, enough;

static void *arm_and_compute(void *set)
{
    tr_event event;
    size_t count;

    while (tr_waitset_wait(set, &event, 1, TR_NOWAIT, &count) != TR_EAGAIN)
        ;
    atomic_store(&computing, 1);
    while (!atomic_load(&enough))
        ;
    return NULL;
}

static void another_thread_may_poll(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_queue(arena, "q", 8);
    tr_waitset *set;
    tr_event event;
    pthread_t thread;
    size_t count;
    int fd;
    (void)state;

    unsetenv("TENSORING_NOTIFY");
    assert_ok(tr_waitset_open(arena, &set));
    assert_ok(tr_waitset_add_queue(set, queue, TR_WAIT_READABLE, 1));
    assert_ok(tr_waitset_fd(set, &fd));
    assert_int_equal(pthread_create(&thread, NULL, arm_and_compute, set), 0);
    while (!atomic_load(&computing))
        ;
    assert_false(is_readable(fd));
    give(arena, queue, 1);
    await_readable(fd);
    take(queue);
    /* And it can be armed from here. */
    while (tr_waitset_wait(set, &event, 1, TR_NOWAIT, &count) == 0 || is_readable(fd))
        ;
    give(arena, queue, 2);
    await_readable(fd);
    atomic_store(&enough, 1);
    pthread_join(thread, NULL);
    take(queue);
    tr_waitset_close(set);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

static void sends_without_system_calls(void **state)
{
    tr_arena *arena = make_arena(32, 0);
    tr_queue *queues[20];
    tr_waitset *set;
    tr_event event;
    size_t count;
    char name[8];
    (void)state;

    assert_ok(tr_waitset_open(arena, &set));
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "q%d", i);
        queues[i] = open_queue(arena, name, 4);
        assert_ok(tr_waitset_add_queue(set, queues[i], TR_WAIT_READABLE, (uint64_t)i));
    }
    /* After a sleep, the first send to each channel may find out that nobody sleeps. */
    patient.futex_wait = os_kernel.futex_wait;
    patient.futex_waitv = os_kernel.futex_waitv;
    assert_int_equal(tr_waitset_wait(set, &event, 1, 1000000, &count), TR_ETIMEDOUT);
    for (int round = 0; round < 3; round++) {
        if (round == 1)
            atomic_store(&wakes, 0);
        for (int i = 0; i < 20; i++) {
            give(arena, queues[i], i);
            take(queues[i]);
        }
    }
    assert_int_equal(atomic_load(&wakes), 0);
    tr_waitset_close(set);
    for (int i = 0; i < 20; i++)
        tr_queue_close(queues[i]);
    tr_arena_close(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_for_descriptors),
        cmocka_unit_test(descriptor_is_level_triggered),
        cmocka_unit_test(another_thread_may_poll),
        cmocka_unit_test(sends_without_system_calls),
    };

    return cmocka_run_group_tests(tests, be_patient, NULL);
}
