/* SPDX-License-Identifier: MIT */
/* FIFOs of dead processes are swept, those of living ones are not. */
#include "support.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "ipc/signal/fifo.h"
#include "ipc/signal/notifier.h"
#include "src/waitset/waitset.h"

enum { GROUP = 4, ROUNDS = 1000 };

struct listener {
    tr_arena *arena;
    tr_waitset *set;
    tr_queue *queue;
    int fd;
};

static int use_fifos(void **state)
{
    (void)state;
    waitset_slice_ns = INT64_C(3600) * 1000000000;
    return setenv("TENSORING_NOTIFY", "fifo", 1);
}

/* 0: armed. */
static int listen_by_fifo(tr_arena *arena, struct listener *listener)
{
    tr_event event;
    size_t count;

    listener->arena = arena;
    if (tr_queue_open(arena, "q", NULL, &listener->queue) != 0 ||
        tr_waitset_open(arena, &listener->set) != 0 ||
        tr_waitset_add_queue(listener->set, listener->queue, TR_WAIT_READABLE, 1) != 0 ||
        tr_waitset_fd(listener->set, &listener->fd) != 0)
        return -1;
    return tr_waitset_wait(listener->set, &event, 1, TR_NOWAIT, &count) == TR_EAGAIN ? 0
                                                                                     : -1;
}

static void stop_listening(struct listener *listener)
{
    tr_waitset_close(listener->set);
    tr_queue_close(listener->queue);
    tr_arena_close(listener->arena);
}

/* The name of the FIFO that it has, or had last. */
static void path_of(const tr_arena *arena, char path[FIFO_PATH])
{
    fifo_path(
        &arena_known(arena)->view,
        shm_get(&view_participant(&arena_known(arena)->view, arena_known(arena)->self.who)
                     ->fifo_key),
        path);
}

/* Says where its FIFO is, and waits to be killed. */
static _Noreturn void be_one_of_them(tr_arena *arena, int report)
{
    struct listener listener;
    char path[FIFO_PATH] = {0};

    if (listen_by_fifo(arena, &listener) == 0)
        path_of(arena, path);
    (void)!write(report, path, sizeof(path));
    for (;;)
        pause();
}

/* Creates an anonymous arena that nobody else knows of. */
static _Noreturn void lead_a_group(int report)
{
    tr_arena *arena;

    setpgid(0, 0);
    if (tr_arena_create(NULL, NULL, &arena) != 0)
        _exit(1);
    for (int i = 1; i < GROUP; i++)
        if (fork() == 0)
            be_one_of_them(arena, report);
    be_one_of_them(arena, report);
}

static void all_are_killed_at_once(void **state)
{
    char paths[GROUP][FIFO_PATH], alive[FIFO_PATH];
    struct listener here;
    tr_event event;
    int pipes[2], status;
    size_t count;
    pid_t leader;
    (void)state;

    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
        skip(); /* qemu */
    assert_int_equal(pipe(pipes), 0);
    leader = fork();
    assert_true(leader >= 0);
    if (leader == 0)
        lead_a_group(pipes[1]);
    assert_int_equal(listen_by_fifo(make_arena(4, 0), &here), 0);
    path_of(here.arena, alive);
    for (int i = 0; i < GROUP; i++) {
        assert_int_equal(read(pipes[0], paths[i], FIFO_PATH), FIFO_PATH);
        assert_int_equal(access(paths[i], F_OK), 0);
    }
    /* While they live, nothing is taken from them. */
    assert_ok(tr_arena_sweep("no such arena", NULL));
    for (int i = 0; i < GROUP; i++)
        assert_int_equal(access(paths[i], F_OK), 0);
    assert_int_equal(kill(-leader, SIGKILL), 0);
    for (int i = 0; i < GROUP; i++)
        assert_true(wait(&status) > 0 && WIFSIGNALED(status));
    assert_ok(tr_arena_sweep("no such arena", NULL));
    for (int i = 0; i < GROUP; i++)
        assert_int_equal(access(paths[i], F_OK), -1);
    /* And the living one can still be found, and rung. */
    assert_int_equal(access(alive, F_OK), 0);
    assert_ok(tr_queue_send(here.queue, loan_i64(here.arena, 1, 7), TR_NOWAIT));
    assert_ok(tr_waitset_wait(here.set, &event, 1, TR_NOWAIT, &count));
    stop_listening(&here);
    assert_int_equal(access(alive, F_OK), -1);
    close(pipes[0]);
    close(pipes[1]);
}

static bool is_readable(int fd)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};

    return poll(&poller, 1, 0) == 1;
}

/* A process that has the FIFO of a closed set open rings that of the next. */
static void a_set_is_opened_again(void **state)
{
    tr_arena *arena = make_arena(4, 0), *other;
    struct listener listener;
    char paths[2][FIFO_PATH];
    tr_queue *queue;
    tr_message *message;
    (void)state;

    assert_ok(tr_arena_attach_fd(arena_known(arena)->view.lock_fd, &other));
    assert_ok(tr_queue_open(other, "q", NULL, &queue));
    for (int round = 0; round < 2; round++) {
        assert_int_equal(listen_by_fifo(arena, &listener), 0);
        path_of(arena, paths[round]);
        assert_int_equal(access(paths[round], F_OK), 0);
        assert_false(is_readable(listener.fd));
        assert_ok(tr_queue_send(queue, loan_i64(other, 1, 7), TR_NOWAIT));
        assert_true(is_readable(listener.fd));
        assert_ok(tr_queue_receive(listener.queue, TR_NOWAIT, &message));
        tr_message_release(message);
        tr_waitset_close(listener.set);
        tr_queue_close(listener.queue);
        assert_int_equal(access(paths[round], F_OK), -1);
    }
    assert_string_not_equal(paths[0], paths[1]);
    tr_queue_close(queue);
    tr_arena_close(other);
    tr_arena_close(arena);
}

/* Take what is there, if anything, and arm again; how many events there were. */
static size_t look(struct listener *listener)
{
    tr_message *message;
    tr_event event;
    size_t count = 0;

    while (tr_queue_receive(listener->queue, TR_NOWAIT, &message) == 0)
        tr_message_release(message);
    (void)!tr_waitset_wait(listener->set, &event, 1, TR_NOWAIT, &count);
    return count;
}

/* A signal handler reaps while the thread that it has interrupted has the mutex. */
static void reaping_needs_no_mutex(void **state)
{
    tr_arena *arena = make_arena(4, 0), *other;
    struct listener listener;
    tr_reap_report report = TR_REAP_REPORT_INIT;
    pid_t child;
    (void)state;

    assert_ok(tr_arena_attach_fd(arena_known(arena)->view.lock_fd, &other));
    assert_int_equal(listen_by_fifo(other, &listener), 0);
    child = fork();
    if (child == 0) {
        loan_i64(arena, 1, 7);
        raise(SIGKILL);
    }
    assert_int_equal(status_of(child), SIGKILL);
    pthread_mutex_lock(&arena_known(arena)->view.notifier->mutex);
    assert_ok(tr_arena_reap(arena, &report));
    pthread_mutex_unlock(&arena_known(arena)->view.notifier->mutex);
    assert_int_equal(report.freed, 1);
    assert_true(is_readable(listener.fd)); /* it was rung, without the mutex */
    stop_listening(&listener);
    tr_arena_close(arena);
}

struct sender {
    tr_queue *queue;
    tr_message *message;
    bool went_on;
};

static void *send_cancelled(void *context)
{
    struct sender *sender = context;

    pthread_cancel(pthread_self()); /* acts at the next point of cancellation */
    if (tr_queue_send(sender->queue, sender->message, TR_NOWAIT) == 0)
        sender->went_on = true;
    pthread_testcancel();
    return NULL;
}

static void no_call_is_left_by_cancellation(void **state)
{
    tr_arena *arena = make_arena(4, 0), *other;
    struct listener listener;
    struct sender sender = {0};
    pthread_t thread;
    void *ended;
    (void)state;

    assert_ok(tr_arena_attach_fd(arena_known(arena)->view.lock_fd, &other));
    assert_int_equal(listen_by_fifo(other, &listener), 0);
    assert_ok(tr_queue_open(arena, "q", NULL, &sender.queue));
    sender.message = loan_i64(arena, 1, 7);
    assert_int_equal(pthread_create(&thread, NULL, send_cancelled, &sender), 0);
    assert_int_equal(pthread_join(thread, &ended), 0);
    assert_ptr_equal(ended, PTHREAD_CANCELED);
    assert_true(sender.went_on);
    assert_true(is_readable(listener.fd));
    assert_int_equal(pthread_mutex_trylock(&arena_known(arena)->view.notifier->mutex), 0);
    pthread_mutex_unlock(&arena_known(arena)->view.notifier->mutex);
    tr_queue_close(sender.queue);
    stop_listening(&listener);
    tr_arena_close(arena);
}

static tr_arena *busy_arena;

static void *send_for_ever(void *context)
{
    struct sender *sender = context;
    tr_message *message;

    pthread_cancel(pthread_self());
    while (tr_message_loan_bytes(busy_arena, 8, TR_FOREVER, &message) == 0)
        if (tr_queue_send(sender->queue, message, TR_FOREVER) == 0 &&
            tr_queue_receive(sender->queue, TR_FOREVER, &message) == 0)
            (void)!tr_message_release(message);
    return NULL;
}

static void a_busy_thread_can_be_cancelled(void **state)
{
    struct sender sender = {0};
    pthread_t thread;
    void *ended;
    (void)state;

    busy_arena = make_arena(4, 0);
    assert_ok(tr_queue_open(busy_arena, "q", NULL, &sender.queue));
    assert_int_equal(pthread_create(&thread, NULL, send_for_ever, &sender), 0);
    assert_int_equal(pthread_join(thread, &ended), 0);
    assert_ptr_equal(ended, PTHREAD_CANCELED);
    tr_queue_close(sender.queue);
    tr_arena_close(busy_arena);
}

/* Somebody has closed all descriptors, and has a file by the number of ours. */
static void nothing_is_written_to_files_of_others(void **state)
{
    tr_arena *arena = make_arena(4, 0), *other;
    struct listener listener;
    int pipes[2], number;
    tr_queue *queue;
    (void)state;

    assert_ok(tr_arena_attach_fd(arena_known(arena)->view.lock_fd, &other));
    assert_int_equal(listen_by_fifo(other, &listener), 0);
    assert_ok(tr_queue_open(arena, "q", NULL, &queue));
    assert_int_equal(pipe(pipes), 0);
    fcntl(pipes[0], F_SETFL, O_NONBLOCK);
    assert_ok(tr_queue_send(queue, loan_i64(arena, 1, 7), TR_NOWAIT));
    number =
        arena_known(arena)->view.notifier->fifos.of[arena_known(other)->self.who].fd - 1;
    assert_true(number >= 0);
    assert_int_equal(dup2(pipes[1], number), number);
    assert_int_equal(look(&listener), 0);
    assert_ok(tr_queue_send(queue, loan_i64(arena, 1, 8), TR_NOWAIT));
    assert_true(is_readable(listener.fd));
    assert_false(is_readable(pipes[0]));
    tr_queue_close(queue);
    stop_listening(&listener);
    tr_arena_close(arena);
    assert_int_equal(write(number, "", 1), 1); /* was not closed either */
    close(number);
    close(pipes[0]);
    close(pipes[1]);
}

static void name_it(unsigned key, const char *after, char path[FIFO_PATH])
{
    snprintf(path, FIFO_PATH, "/dev/shm/tensoring-fifo.%016x.%016x%s", (unsigned)getpid(),
             key, after);
}

static void only_our_own_names_go(void **state)
{
    char paths[6][FIFO_PATH];
    struct stat st;
    int reader;
    (void)state;

    for (int i = 0; i < 6; i++) {
        static const char *const ends[] = {"", ".new", "", ".old", "", ""};

        name_it((unsigned)i, ends[i], paths[i]);
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(mkfifo(paths[i], 0600), 0);
    reader = open(paths[2], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(reader >= 0);
    close(open(paths[4], O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(symlink(paths[3], paths[5]), 0); /* to one that nobody reads */
    assert_ok(tr_arena_sweep("no such arena", NULL));
    assert_int_equal(lstat(paths[0], &st), -1);
    assert_int_equal(lstat(paths[1], &st), -1);
    for (int i = 2; i < 6; i++)
        assert_int_equal(lstat(paths[i], &st), 0);
    close(reader);
    assert_ok(tr_arena_sweep("no such arena", NULL));
    assert_int_equal(lstat(paths[2], &st), -1);
    for (int i = 3; i < 6; i++)
        assert_int_equal(unlink(paths[i]), 0);
}

/* Another user that sees the FIFO can't know the name of the next, and one that was taken is
 * stepped over. */
static void a_squatter_is_stepped_over(void **state)
{
    struct view view = {.lock_fd = -1};
    uint64_t key = fifo_new_key();
    char path[FIFO_PATH];
    (void)state;

    assert_true(fifo_new_key() != fifo_new_key());
    view.geo.nonce = (uint64_t)getpid();
    fifo_path(&view, key, path);
    close(open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(fifo_make(&view, key), -EAGAIN);
    assert_int_equal(access(path, F_OK), 0); /* and not replaced */
    assert_int_equal(unlink(path), 0);
    memcpy(path + strlen(path), ".new", sizeof(".new"));
    close(open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(fifo_make(&view, key), -EAGAIN);
    assert_int_equal(unlink(path), 0);
}

static _Atomic uint32_t done; /* local: */

static void *sweep_on(void *unused)
{
    while (!atomic_load(&done))
        (void)fifo_sweep();
    return unused;
}

/* A sweep between any two steps of a maker. */
static void makers_and_sweepers(void **state)
{
    struct view view = {.lock_fd = -1};
    char path[FIFO_PATH];
    pthread_t sweeper;
    (void)state;

    view.geo.nonce = (uint64_t)getpid();
    assert_int_equal(pthread_create(&sweeper, NULL, sweep_on, NULL), 0);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint64_t key = fifo_new_key();
        int fd = fifo_make(&view, key);

        if (fd == -EAGAIN) /* the sweeper came between */
            continue;
        assert_true(fd >= 0);
        fifo_path(&view, key, path);
        assert_int_equal(access(path, F_OK), 0);
        (void)fifo_sweep();
        assert_int_equal(access(path, F_OK), 0);
        fifo_remove(&view, key);
        close(fd);
    }
    atomic_store(&done, 1);
    pthread_join(sweeper, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_are_killed_at_once),
        cmocka_unit_test(reaping_needs_no_mutex),
        cmocka_unit_test(no_call_is_left_by_cancellation),
        cmocka_unit_test(a_busy_thread_can_be_cancelled),
        cmocka_unit_test(nothing_is_written_to_files_of_others),
        cmocka_unit_test(a_set_is_opened_again),
        cmocka_unit_test(only_our_own_names_go),
        cmocka_unit_test(a_squatter_is_stepped_over),
        cmocka_unit_test(makers_and_sweepers),
    };

    return cmocka_run_group_tests(tests, use_fifos, NULL);
}
