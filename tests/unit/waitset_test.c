/* SPDX-License-Identifier: MIT */
#include "waitset_scene.h"

static int waitv_unknown(const struct os_word *words, uint32_t count, int64_t until_ns)
{
    (void)words, (void)count, (void)until_ns;
    return -ENOSYS;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_nonsense),
        cmocka_unit_test(tells_what_is_ready),
        cmocka_unit_test(gives_everybody_a_turn),
        cmocka_unit_test(waits_for_many),
        cmocka_unit_test(takes_notice_of_changes),
        cmocka_unit_test(the_killed_leave_nothing),
        cmocka_unit_test(signals_end_waits),
        cmocka_unit_test(waits_without_futex_waitv),
    };

    return cmocka_run_group_tests(tests, be_patient, NULL);
}
