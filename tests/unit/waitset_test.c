/* SPDX-License-Identifier: MIT */
#include "queue_scene.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "ipc/kernel/os.h"
#include "ipc/liveness/participant.h"
#include "ipc/signal/fifo.h"
#include "src/waitset/waitset.h"

/* Slices never end here: a lost wake-up hangs the test. */
static struct os_calls patient;
static _Atomic int wakes;

static int wait_for_ever(const _Atomic uint32_t *word, uint32_t seen, int64_t until_ns)
{
    (void)until_ns;
    return os_kernel.futex_wait(word, seen, INT64_MAX);
}

static int waitv_for_ever(const struct os_word *words, uint32_t count, int64_t until_ns)
{
    (void)until_ns;
    return os_kernel.futex_waitv(words, count, INT64_MAX);
}

static int waitv_unknown(const struct os_word *words, uint32_t count, int64_t until_ns)
{
    (void)words, (void)count, (void)until_ns;
    return -ENOSYS;
}

static int counted_wake(_Atomic uint32_t *word, int count)
{
    atomic_fetch_add(&wakes, 1);
    return os_kernel.futex_wake(word, count);
}

static int be_patient(void **state)
{
    (void)state;
    patient = os_kernel;
    patient.futex_wait = wait_for_ever;
    patient.futex_waitv = waitv_for_ever;
    patient.futex_wake = counted_wake;
    os = &patient;
    waitset_slice_ns = INT64_C(3600) * 1000000000;
    unsetenv("TENSORING_NOTIFY");
    return 0;
}

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

static void refuses_nonsense(void **state)
{
    tr_arena *arena = make_arena(4, 0), *other = make_arena(4, 0);
    tr_queue *queue = open_queue(arena, "q", 4), *far = open_queue(other, "q", 4);
    tr_waitset *set;
    tr_event event;
    size_t count = 5;
    (void)state;

    assert_int_equal(tr_waitset_open(NULL, &set), TR_EINVAL);
    assert_int_equal(tr_waitset_open(arena, NULL), TR_EINVAL);
    assert_ok(tr_waitset_open(arena, &set));
    assert_int_equal(tr_waitset_add_queue(set, NULL, TR_WAIT_READABLE, 1), TR_EINVAL);
    assert_int_equal(tr_waitset_add_queue(set, queue, 0, 1), TR_EINVAL);
    assert_int_equal(tr_waitset_add_queue(set, queue, 8, 1), TR_EINVAL);
    assert_int_equal(tr_waitset_add_queue(set, far, TR_WAIT_READABLE, 1), TR_EINVAL);
    assert_detail("another arena");
    assert_int_equal(tr_waitset_add_fd(set, -1, TR_WAIT_READABLE, 1), TR_EINVAL);
    assert_int_equal(tr_waitset_add_fd(set, 100000, TR_WAIT_READABLE, 1), TR_EINVAL);
    assert_detail("descriptor 100000 is not open");
    assert_int_equal(tr_waitset_remove(set, 1), TR_ENOENT);
    assert_int_equal(tr_waitset_wait(set, &event, 0, TR_NOWAIT, &count), TR_EINVAL);
    assert_int_equal(tr_waitset_wait(set, &event, 1, TR_NOWAIT, &count), TR_EAGAIN);
    assert_int_equal(count, 0);
    assert_int_equal(tr_waitset_wait(set, &event, 1, 1000, &count), TR_ETIMEDOUT);
    tr_waitset_close(set);
    assert_ok(tr_waitset_open(arena, &set));
    assert_string_equal(tr_waitset_backend(set), "none");
    setenv("TENSORING_NOTIFY", "pigeon", 1);
    assert_int_equal(tr_waitset_fd(set, &(int){0}), TR_EINVAL);
    assert_detail("\"pigeon\"");
    setenv("TENSORING_NOTIFY", "eventfd", 1);
    assert_int_equal(tr_waitset_fd(set, &(int){0}), TR_ENOTSUP);
    assert_detail("eventfds");
    unsetenv("TENSORING_NOTIFY");
    tr_waitset_close(set);
    tr_waitset_close(NULL);
    tr_queue_close(queue);
    tr_queue_close(far);
    tr_arena_close(arena);
    tr_arena_close(other);
}

static void tells_what_is_ready(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_queue(arena, "q", 1);
    tr_waitset *set;
    tr_event events[4];
    size_t count;
    (void)state;

    assert_ok(tr_waitset_open(arena, &set));
    assert_ok(tr_waitset_add_queue(set, queue, TR_WAIT_READABLE | TR_WAIT_WRITABLE, 42));
    assert_ok(tr_waitset_wait(set, events, 4, TR_FOREVER, &count));
    assert_int_equal(count, 1);
    assert_int_equal(events[0].token, 42);
    assert_int_equal(events[0].ready, TR_WAIT_WRITABLE);
    give(arena, queue, 1);
    for (int again = 0; again < 3; again++) { /* as long as it is so */
        assert_ok(tr_waitset_wait(set, events, 4, TR_FOREVER, &count));
        assert_int_equal(count, 1);
        assert_int_equal(events[0].ready, TR_WAIT_READABLE);
    }
    take(queue);
    assert_ok(tr_waitset_wait(set, events, 4, TR_NOWAIT, &count));
    assert_int_equal(events[0].ready, TR_WAIT_WRITABLE);
    give(arena, queue, 2);
    tr_queue_shutdown(queue);
    assert_ok(tr_waitset_wait(set, events, 4, TR_NOWAIT, &count));
    assert_int_equal(count, 2); /* drain it first; sending is over */
    assert_int_equal(events[0].ready | events[1].ready,
                     TR_WAIT_READABLE | TR_WAIT_HUNGUP);
    take(queue);
    assert_ok(tr_waitset_wait(set, events, 4, TR_NOWAIT, &count));
    assert_int_equal(events[0].ready, TR_WAIT_HUNGUP);
    assert_ok(tr_waitset_remove(set, 42));
    assert_int_equal(tr_waitset_wait(set, events, 4, TR_NOWAIT, &count), TR_EAGAIN);
    tr_waitset_close(set);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

static void gives_everybody_a_turn(void **state)
{
    enum { QUEUES = 5, TURNS = 20 };
    tr_arena *arena = make_arena(QUEUES, 0);
    tr_queue *queues[QUEUES];
    int told[QUEUES] = {0};
    tr_waitset *set;
    tr_event event;
    size_t count;
    char name[8];
    (void)state;

    assert_ok(tr_waitset_open(arena, &set));
    for (int i = 0; i < QUEUES; i++) {
        snprintf(name, sizeof(name), "q%d", i);
        queues[i] = open_queue(arena, name, 4);
        give(arena, queues[i], i);
        assert_ok(tr_waitset_add_queue(set, queues[i], TR_WAIT_READABLE, (uint64_t)i));
    }
    for (int i = 0; i < QUEUES * TURNS; i++) {
        assert_ok(tr_waitset_wait(set, &event, 1, TR_NOWAIT, &count));
        told[event.token]++;
    }
    for (int i = 0; i < QUEUES; i++) {
        assert_int_equal(told[i], TURNS);
        tr_queue_close(queues[i]);
    }
    tr_waitset_close(set);
    tr_arena_close(arena);
}

/* A thread that waits in the set until it gets token 0. */
struct waiter {
    tr_arena *arena;
    tr_waitset *set;
    tr_queue **queues;
    pthread_t thread;
    _Atomic int64_t sum;
};

static void *wait_and_take(void *context)
{
    struct waiter *waiter = context;
    tr_event event;
    size_t count;

    for (;;) { /* leaves what else is ready to others, and goes away with its 0 */
        tr_message *message;
        int64_t value;

        assert_ok(tr_waitset_wait(waiter->set, &event, 1, TR_FOREVER, &count));
        if (tr_queue_receive(waiter->queues[event.token], TR_NOWAIT, &message) != 0)
            continue; /* another thread was faster */
        value = first_i64(message);
        tr_message_release(message);
        if (value == 0)
            return NULL;
        atomic_fetch_add(&waiter->sum, value);
    }
}

/* @p count queues, @p threads that wait for all of them, messages to each queue in turn. */
static void wait_for_many(int count, int threads)
{
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    const tr_slot_class slots = {256, 64};
    tr_queue **queues = calloc((size_t)count, sizeof(*queues));
    struct waiter waiters[4] = {0};
    int64_t sum = 0;
    tr_arena *arena;
    tr_waitset *set;
    char name[16];

    options.classes = &slots;
    options.class_count = 1;
    options.max_channels = (uint32_t)count;
    assert_ok(tr_arena_create(NULL, &options, &arena));
    assert_ok(tr_waitset_open(arena, &set));
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "q%d", i);
        queues[i] = open_queue(arena, name, 16);
        assert_ok(tr_waitset_add_queue(set, queues[i], TR_WAIT_READABLE, (uint64_t)i));
    }
    for (int t = 0; t < threads; t++) {
        waiters[t] = (struct waiter){.arena = arena, .set = set, .queues = queues};
        assert_int_equal(
            pthread_create(&waiters[t].thread, NULL, wait_and_take, &waiters[t]), 0);
    }
    for (int64_t i = 1; i <= 2000; i++)
        give(arena, queues[i * 7 % count], i);
    for (int t = 0; t < threads; t++)
        give(arena, queues[(t * 5 + 3) % count], 0);
    for (int t = 0; t < threads; t++) {
        pthread_join(waiters[t].thread, NULL);
        sum += atomic_load(&waiters[t].sum);
    }
    /* A thread may have taken a 0 before the last of the others were received. */
    for (int i = 0; i < count; i++) {
        tr_message *message;

        while (tr_queue_receive(queues[i], TR_NOWAIT, &message) == 0) {
            sum += first_i64(message);
            tr_message_release(message);
        }
        tr_queue_close(queues[i]);
    }
    assert_int_equal(sum, 2000 * 2001 / 2);
    tr_waitset_close(set);
    tr_arena_close(arena);
    free(queues);
}

static void waits_for_many(void **state)
{
    static const int counts[] = {1, 2, 15, 16, 100, 129, 300};
    (void)state;

    for (size_t c = 0; c < sizeof(counts) / sizeof(*counts); c++) {
        wait_for_many(counts[c], 1);
        wait_for_many(counts[c], 3);
    }
}

static void note_signal(int number)
{
    (void)number;
}

/* SIGALRM comes while the thread is in the kernel, and at no other time: what ends the wait can
 * only be what the kernel said. */
static int alarmed(int slept, const sigset_t *before)
{
    pthread_sigmask(SIG_SETMASK, before, NULL);
    return slept;
}

static void let_alarms_in(sigset_t *before)
{
    sigset_t alarms;

    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    pthread_sigmask(SIG_UNBLOCK, &alarms, before);
}

static int alarmed_wait(const _Atomic uint32_t *word, uint32_t seen, int64_t until_ns)
{
    sigset_t before;

    let_alarms_in(&before);
    return alarmed(os_kernel.futex_wait(word, seen, until_ns), &before);
}

static int alarmed_waitv(const struct os_word *words, uint32_t count, int64_t until_ns)
{
    sigset_t before;

    let_alarms_in(&before);
    return alarmed(os_kernel.futex_waitv(words, count, until_ns), &before);
}

/* The kernel restarts some sleeps after a handler with SA_RESTART. */
static void interrupt_wait_of(int count)
{
    tr_arena *arena = make_arena(8, 0);
    tr_waitset *set;
    tr_event event;
    size_t found;

    assert_ok(tr_waitset_open(arena, &set));
    for (int i = 0; i < count; i++) {
        char name[16];

        snprintf(name, sizeof(name), "q%d", i);
        assert_ok(
            tr_waitset_add_queue(set, open_queue(arena, name, 2), TR_WAIT_READABLE, 1));
    }
    tr_arena_set_interruptible(arena, true);
    assert_int_equal(tr_waitset_wait(set, &event, 1, INT64_C(2000000000), &found),
                     TR_EINTR);
    tr_waitset_close(set);
    tr_arena_close(arena);
}

static void signals_end_waits(void **state)
{
    const struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    struct sigaction action = {.sa_handler = note_signal, .sa_flags = SA_RESTART}, old;
    sigset_t alarms, before;
    (void)state;

    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarms, &before);
    sigaction(SIGALRM, &action, &old);
    patient.futex_wait = alarmed_wait;
    patient.futex_waitv = alarmed_waitv;
    setitimer(ITIMER_REAL, &often, NULL);
    interrupt_wait_of(1);
    interrupt_wait_of(OS_WORDS + 4);
    setitimer(ITIMER_REAL, &never, NULL);
    patient.futex_wait = wait_for_ever;
    patient.futex_waitv = waitv_for_ever;
    signal(SIGALRM, SIG_IGN); /* the last one may be pending */
    sigaction(SIGALRM, &old, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Last in the list: it stays so for the process. */
static void waits_without_futex_waitv(void **state)
{
    (void)state;
    patient.futex_waitv = waitv_unknown;
    wait_for_many(1, 1);
    wait_for_many(3, 2);
    wait_for_many(140, 3);
    patient.futex_waitv = waitv_for_ever;
}

static void takes_notice_of_changes(void **state)
{
    enum { MANY = 40 };
    tr_arena *arena = make_arena(16, 0);
    tr_queue *queues[MANY];
    struct waiter waiter = {.arena = arena, .queues = queues};
    char name[8];
    (void)state;

    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "q%d", i);
        queues[i] = open_queue(arena, name, 4);
    }
    assert_ok(tr_waitset_open(arena, &waiter.set));
    assert_int_equal(pthread_create(&waiter.thread, NULL, wait_and_take, &waiter), 0);
    for (int i = 0; i < MANY; i++) { /* few at first, then many, then few again */
        assert_ok(
            tr_waitset_add_queue(waiter.set, queues[i], TR_WAIT_READABLE, (uint64_t)i));
        give(arena, queues[i], i + 1);
        give(arena, queues[0], 1000);
    }
    for (int i = 1; i < MANY; i++)
        assert_ok(tr_waitset_remove(waiter.set, (uint64_t)i));
    give(arena, queues[0], 0);
    pthread_join(waiter.thread, NULL);
    for (int i = 0; i < MANY; i++) {
        tr_message *message;

        while (tr_queue_receive(queues[i], TR_NOWAIT, &message) == 0) {
            atomic_fetch_add(&waiter.sum, first_i64(message));
            tr_message_release(message);
        }
        tr_queue_close(queues[i]);
    }
    assert_int_equal(atomic_load(&waiter.sum), MANY * (MANY + 1) / 2 + MANY * 1000);
    tr_waitset_close(waiter.set);
    tr_arena_close(arena);
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

/* A listener is killed, armed: its FIFO is removed, and it blocks nobody. */
static void the_killed_leave_nothing(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_queue(arena, "q", 8);
    tr_reap_report report = TR_REAP_REPORT_INIT;
    char path[FIFO_PATH], byte;
    int pipes[2];
    uint32_t who;
    pid_t child;
    (void)state;

    assert_int_equal(pipe(pipes), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        tr_waitset *set;
        tr_event event;
        size_t count;
        int fd;

        setenv("TENSORING_NOTIFY", "fifo", 1);
        if (tr_waitset_open(arena, &set) != 0 ||
            tr_waitset_add_queue(set, queue, TR_WAIT_READABLE, 1) != 0 ||
            tr_waitset_fd(set, &fd) != 0)
            _exit(1);
        while (tr_waitset_wait(set, &event, 1, TR_NOWAIT, &count) == 0)
            ;
        (void)!write(pipes[1], "", 1);
        for (;;)
            pause();
    }
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    for (who = 0; who == arena_known(arena)->self.who ||
                  !shm_get(&view_participant(&arena_known(arena)->view, who)->pid);)
        who++;
    fifo_path(&arena_known(arena)->view,
              shm_get(&view_participant(&arena_known(arena)->view, who)->fifo_key), path);
    assert_int_equal(access(path, F_OK), 0);
    kill(child, SIGKILL);
    assert_true(WIFSIGNALED(status_of(child)));
    assert_ok(tr_arena_reap(arena, &report));
    assert_int_equal(report.dead, 1);
    assert_int_equal(access(path, F_OK), -1);
    give(arena, queue, 1); /* and rings nobody */
    assert_int_equal(take(queue), 1);
    close(pipes[0]);
    close(pipes[1]);
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
        cmocka_unit_test(refuses_nonsense),
        cmocka_unit_test(tells_what_is_ready),
        cmocka_unit_test(gives_everybody_a_turn),
        cmocka_unit_test(waits_for_many),
        cmocka_unit_test(takes_notice_of_changes),
        cmocka_unit_test(waits_for_descriptors),
        cmocka_unit_test(descriptor_is_level_triggered),
        cmocka_unit_test(another_thread_may_poll),
        cmocka_unit_test(the_killed_leave_nothing),
        cmocka_unit_test(sends_without_system_calls),
        cmocka_unit_test(signals_end_waits),
        cmocka_unit_test(waits_without_futex_waitv),
    };

    return cmocka_run_group_tests(tests, be_patient, NULL);
}
