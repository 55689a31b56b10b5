/* SPDX-License-Identifier: MIT */
/* loader_ring_test.c - the io_uring of a loader: its devices, its forks, a kernel that takes nothing. */
#include "loader_scene.h"

int __real_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring);
int __real_io_uring_register_files(struct io_uring *ring, const int *files,
                                   unsigned count);
int __wrap_io_uring_register_files(struct io_uring *ring, const int *files,
                                   unsigned count);

enum { TAKES, TAKES_NOTHING, KEEPS_NO_FILES, SEES_FORKS };
static int kernel, handed_over, unmarked;
static sem_t half_made; /* a ring, when forks are seen */

/* Whatever the kernel is about to read into is marked, and the ring holds the lock. */
static void look_at_marks(const struct io_uring *ring)
{
    const struct view *view = &arena_known(arena)->view;
    unsigned loaned = 0, marked = 0;

    for (uint32_t slot = 0; slot < view->geo.slot_count; slot++) {
        uint64_t word = shm_get(&view_record(view, slot)->owner);

        loaned += slot_is(word, SLOT_LOANED, &arena_known(arena)->self);
        marked += slot_is(word, SLOT_LOANED, &arena_known(arena)->self) &&
                  device_marked(view, slot, word);
    }
    handed_over++;
    unmarked += marked < io_uring_sq_ready(ring) || marked > loaned ||
                !device_busy(view, arena_known(arena)->self.who,
                             arena_known(arena)->self.inc);
}

int __wrap_io_uring_submit(struct io_uring *ring)
{
    if (io_uring_sq_ready(ring))
        look_at_marks(ring);
    if (kernel == TAKES_NOTHING)
        return -EAGAIN;
    return __real_io_uring_submit(ring);
}

int __wrap_io_uring_register_files(struct io_uring *ring, const int *files,
                                   unsigned count)
{
    if (kernel == SEES_FORKS)
        sem_post(&half_made);
    return kernel == KEEPS_NO_FILES ? -EPERM
                                    : __real_io_uring_register_files(ring, files, count);
}

/* Out of the page cache, so that the ring is needed. */
static void forget(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0 && fsync(fd) == 0);
    assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    close(fd);
}

/* The kernel ends a ring that was closed in its own time. */
static void wait_for_the_ring(void)
{
    while (device_busy(&arena_known(arena)->view, arena_known(arena)->self.who,
                       arena_known(arena)->self.inc))
        sched_yield();
}

static void run_uncached(uint32_t flags)
{
    tr_loader_options options = TR_LOADER_OPTIONS_INIT;
    tr_loader_report report = TR_LOADER_REPORT_INIT;
    struct failures failures = {0};
    const char *paths[FILES];
    tr_loader *loader;
    pid_t child;

    for (int i = 0; i < FILES; i++) {
        char name[16];

        snprintf(name, sizeof(name), "u%d", i);
        paths[i] = store_i64(name, 100 + i, 1000 * i);
        forget(paths[i]);
    }
    options.flags = flags;
    handed_over = unmarked = 0;
    child = receive_all(FILES, true);
    assert_ok(tr_loader_open(arena, &options, &loader));
    assert_ok(
        tr_loader_run(loader, paths, FILES, queue, TR_FOREVER, note, &failures, &report));
    assert_int_equal(report.loaded, FILES);
    assert_int_equal(failures.count, 0);
    assert_int_equal(status_of(child), 0);
    tr_loader_close(loader);
    assert_int_equal(unmarked, 0);
    for (uint32_t slot = 0; slot < arena_known(arena)->view.geo.slot_count; slot++)
        assert_false(
            device_marked(&arena_known(arena)->view, slot,
                          shm_get(&view_record(&arena_known(arena)->view, slot)->owner)));
    wait_for_the_ring();
}

static void reads_are_marked_for_their_device(void **state)
{
    (void)state;
    kernel = TAKES;
    run_uncached(TR_LOADER_DIRECT);
    if (!handed_over)
        skip(); /* no io_uring, or all was in memory */
}

/* Short of memory, say. It has none of the reads, so none will ever end. */
static void a_kernel_that_takes_nothing_is_done_without(void **state)
{
    (void)state;
    kernel = TAKES_NOTHING;
    run_uncached(TR_LOADER_DIRECT);
    run_uncached(0);
    kernel = TAKES;
}

static void count_fallback(const tr_log_event *event, void *count)
{
    *(unsigned *)count += event->kind == TR_LOG_FALLBACK;
}

/* A ring that can't hold the lock would be a device that nobody waits for. */
static void no_ring_without_its_lock(void **state)
{
    unsigned told = 0;

    (void)state;
    tr_log_set(count_fallback, &told);
    kernel = KEEPS_NO_FILES;
    run_uncached(TR_LOADER_DIRECT);
    assert_int_equal(handed_over, 0);
    run_uncached(0);
    assert_int_equal(handed_over, 0);
    assert_int_equal(told, 2); /* each run reads by pread() instead */
    run_uncached(TR_LOADER_PREAD);
    assert_int_equal(told, 2); /* as it was asked to */
    tr_log_set(NULL, NULL);
    kernel = TAKES;
}

/* A child that lives on must not keep the ring of a dead parent. */
static void a_fork_does_not_inherit_the_ring(void **state)
{
    const char *path = store_i64("forked", 100, 0);
    tr_message *message;
    tr_loader *loader;
    int stop[2];
    pid_t child;
    (void)state;

    assert_int_equal(pipe(stop), 0);
    forget(path);
    assert_ok(tr_loader_open(arena, NULL, &loader));
    assert_ok(tr_loader_run(loader, &path, 1, queue, TR_NOWAIT, NULL, NULL, NULL));
    child = fork();
    if (child == 0) {
        char byte;

        close(stop[1]);
        _exit((int)read(stop[0], &byte, 1));
    }
    tr_loader_close(loader);
    wait_for_the_ring();
    close(stop[0]);
    close(stop[1]);
    assert_int_equal(status_of(child), 0);
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
    tr_message_release(message);
}

/* How many rings this process has open. */
static int rings_open(void)
{
    char link[64], to[64];
    int count = 0;

    for (int fd = 3; fd < 1024; fd++) {
        ssize_t length;

        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        length = readlink(link, to, sizeof(to) - 1);
        to[length > 0 ? length : 0] = 0;
        count += strstr(to, "[io_uring]") != NULL;
    }
    return count;
}

static void *fork_meanwhile(void *status)
{
    pid_t child;

    sem_wait(&half_made);
    child = fork();
    if (child == 0)
        _exit(rings_open());
    *(int *)status = status_of(child);
    return NULL;
}

/* Nor one that another thread is about to make. */
static void a_fork_meets_no_half_made_ring(void **state)
{
    const char *path = store_i64("meanwhile", 100, 0);
    (void)state;

    assert_int_equal(sem_init(&half_made, 0, 0), 0);
    kernel = SEES_FORKS;
    for (int i = 0; i < 50; i++) {
        pthread_t thread;
        tr_message *message;
        tr_loader *loader;
        int status = -1;

        assert_int_equal(pthread_create(&thread, NULL, fork_meanwhile, &status), 0);
        assert_ok(tr_loader_open(arena, NULL, &loader));
        assert_ok(tr_loader_run(loader, &path, 1, queue, TR_NOWAIT, NULL, NULL, NULL));
        if (!rings_open())
            sem_post(&half_made); /* there is no io_uring */
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(status, 0);
        tr_loader_close(loader);
        assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
        tr_message_release(message);
    }
    kernel = TAKES;
    sem_destroy(&half_made);
}

enum { FIRST = 3, LAST = 40 };

static int numbers_lost(void)
{
    int lost = 0;

    for (int fd = FIRST; fd <= LAST; fd++)
        lost += fcntl(fd, F_GETFD) < 0;
    return lost;
}

/* The program has closed all descriptors, and has files of its own by their numbers. */
static void run_among_others(tr_loader *loader, const char *path)
{
    tr_message *message;
    pid_t child;

    if (close_range(FIRST, ~0U, 0) < 0)
        _exit(77);
    for (int fd = FIRST; fd <= LAST; fd++)
        assert_int_equal(memfd_create("mine", MFD_CLOEXEC), fd);
    child = fork();
    if (child == 0)
        _exit(numbers_lost());
    assert_int_equal(status_of(child), 0);
    assert_ok(tr_loader_run(loader, &path, 1, queue, TR_NOWAIT, NULL, NULL, NULL));
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
    tr_message_release(message);
    tr_loader_close(loader);
    _exit(numbers_lost());
}

static void a_ring_that_was_closed_closes_no_other_file(void **state)
{
    const char *path = store_i64("among", 100, 0);
    pid_t child = fork();
    (void)state;

    if (child == 0) {
        tr_message *message;
        tr_loader *loader;

        assert_ok(tr_loader_open(arena, NULL, &loader));
        assert_ok(tr_loader_run(loader, &path, 1, queue, TR_NOWAIT, NULL, NULL, NULL));
        assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
        tr_message_release(message);
        run_among_others(loader, path);
    }
    assert_int_equal(status_of(child), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(reads_are_marked_for_their_device),
        SCENE(a_kernel_that_takes_nothing_is_done_without),
        SCENE(no_ring_without_its_lock),
        SCENE(a_fork_does_not_inherit_the_ring),
        SCENE(a_fork_meets_no_half_made_ring),
        SCENE(a_ring_that_was_closed_closes_no_other_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
