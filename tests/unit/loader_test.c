/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "ipc/exchange/slot.h"
#include "ipc/liveness/device.h"
#include "src/files/load.h"

enum { FILES = 40 };

static char directory[64];
static tr_arena *arena;
static tr_queue *queue;
static char path_of_shared[128];

static const char *path_of(const char *name)
{
    static char paths[64][128];
    static unsigned next;
    char *path = paths[next++ % 64];

    snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
    return path;
}

static void write_bytes(const char *path, const void *bytes, size_t n, int flags)
{
    int fd = open(path, O_WRONLY | O_CREAT | flags, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    close(fd);
}

static int set_up(void **state)
{
    const tr_slot_class classes[] = {{4096, 8}, {65536, 8}};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    (void)state;

    strcpy(directory, "/tmp/loader_test_XXXXXX");
    assert_non_null(mkdtemp(directory));
    options.classes = classes;
    options.class_count = 2;
    assert_ok(tr_arena_create(NULL, &options, &arena));
    assert_ok(tr_queue_open(arena, "q", NULL, &queue));
    return 0;
}

static int tear_down(void **state)
{
    char command[128];
    (void)state;

    assert_int_equal(stats_of(arena).slots_free, 16);
    tr_queue_close(queue);
    tr_arena_close(arena);
    snprintf(command, sizeof(command), "rm -rf %s", directory);
    return system(command);
}

/* A file of @p count int64: first, first + 1, ... */
static const char *store_i64(const char *name, int64_t count, int64_t first)
{
    const char *path = path_of(name);
    tr_message *message = loan_i64(arena, count, first);

    assert_ok(tr_npy_store(message, 0, path));
    tr_message_release(message);
    return path;
}

static void expect_i64(const tr_message *message, int64_t count, int64_t first)
{
    const tr_tensor *tensor = tr_message_tensor(message, 0);

    assert_int_equal(tr_message_count(message), 1);
    assert_int_equal(tensor->ndim, 1);
    assert_int_equal(tensor->shape[0], count);
    assert_int_equal(tensor->dtype.code, TR_DTYPE_INT);
    assert_int_equal(tensor->dtype.bits, 64);
    assert_int_equal((uintptr_t)tensor->data % TR_TENSOR_ALIGN, 0);
    for (int64_t i = 0; i < count; i++)
        assert_int_equal(((int64_t *)tensor->data)[i], first + i);
}

static void what_was_stored_is_loaded(void **state)
{
    const char *path = store_i64("a.npy", 100, 7);
    tr_message *message;
    (void)state;

    assert_ok(tr_npy_load(arena, path, TR_NOWAIT, &message));
    expect_i64(message, 100, 7);
    assert_ok(tr_queue_send(queue, message, TR_NOWAIT)); /* it travels */
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
    expect_i64(message, 100, 7);
    assert_ok(tr_npy_store(message, 0, path_of("b.npy")));
    tr_message_release(message);
    assert_ok(tr_npy_load(arena, path_of("b.npy"), TR_NOWAIT, &message));
    expect_i64(message, 100, 7);
    assert_int_equal(tr_npy_store(message, 1, path), TR_EINVAL);
    assert_int_equal(tr_npy_store(message, 0, path_of("no/such.npy")), TR_ENOENT);
    assert_detail("no/such.npy");
    tr_message_release(message);
}

static void old_files_are_aligned(void **state)
{
    /* Version 1.0 as NumPy 1.13 wrote it: the array begins at a multiple of 16. */
    static const char head[] = "\x93NUMPY\x01\x00\x46\x00"
                               "{'descr': '<i8', 'fortran_order': False, 'shape': (3,), "
                               "}            \n";
    const int64_t values[] = {5, 6, 7};
    const char *path = path_of("old.npy");
    tr_message *message;
    (void)state;

    write_bytes(path, head, sizeof(head) - 1, O_TRUNC);
    assert_int_equal((sizeof(head) - 1) % 16, 0);
    assert_int_not_equal((sizeof(head) - 1) % 64, 0);
    write_bytes(path, values, sizeof(values), O_APPEND);
    assert_ok(tr_npy_load(arena, path, TR_NOWAIT, &message));
    expect_i64(message, 3, 5);
    tr_message_release(message);
}

static void failures_name_the_file(void **state)
{
    const char *good = store_i64("good.npy", 200, 0);
    char bytes[4096];
    tr_message *message;
    size_t n;
    int fd = open(good, O_RDONLY);
    (void)state;

    n = (size_t)read(fd, bytes, sizeof(bytes));
    close(fd);
    assert_int_equal(tr_npy_load(arena, path_of("none"), 0, &message), TR_ENOENT);
    assert_detail("/none");
    assert_int_equal(tr_npy_load(arena, directory, 0, &message), TR_EFORMAT);
    assert_detail("regular");
    write_bytes(path_of("empty"), "", 0, O_TRUNC);
    assert_int_equal(tr_npy_load(arena, path_of("empty"), 0, &message), TR_EFORMAT);
    write_bytes(path_of("text"), "not an array at all", 19, O_TRUNC);
    assert_int_equal(tr_npy_load(arena, path_of("text"), 0, &message), TR_EFORMAT);
    assert_detail("/text");
    for (size_t cut = 1; cut < n; cut += 97) {
        write_bytes(path_of("cut"), bytes, cut, O_TRUNC);
        assert_int_equal(tr_npy_load(arena, path_of("cut"), 0, &message), TR_EFORMAT);
        assert_detail("/cut");
    }
    assert_int_equal(truncate(store_i64("huge", 8, 0), 1 << 20), 0);
    assert_int_equal(tr_npy_load(arena, path_of("huge"), 0, &message), TR_EMSGSIZE);
    assert_detail("/huge");
    assert_int_equal(tr_npy_load(arena, NULL, 0, &message), TR_EINVAL);
}

static void a_file_that_changes_is_refused(void **state)
{
    const char *path = store_i64("moving", 64, 0);
    struct load load = {.path = path, .fd = -1};
    (void)state;

    assert_ok(load_open(&load, false));
    assert_ok(load_loan(&load, arena_known(arena), TR_NOWAIT));
    assert_int_equal(pread(load.fd, load_at(&load), load_left(&load), 0), load.bytes);
    assert_int_equal(load_took(&load, (int64_t)load.bytes), 1);
    write_bytes(path, "more", 4, O_APPEND);
    assert_int_equal(load_finish(&load, 0), TR_EIO);
    assert_detail("while it was read");
    load_drop(&load);

    load = (struct load){.path = path, .fd = -1};
    assert_ok(load_open(&load, false));
    assert_ok(load_loan(&load, arena_known(arena), TR_NOWAIT));
    assert_int_equal(load_took(&load, 100), 0);
    assert_int_equal(load_left(&load), load.bytes - 100);
    assert_int_equal(load_took(&load, -EINTR), 0);
    assert_int_equal(load_took(&load, 0), TR_EIO);
    assert_detail("shrank");
    load_drop(&load);
}

struct failures {
    size_t count;
    size_t index[FILES];
    int error[FILES];
    char detail[FILES][256];
};

static void note(void *context, size_t index, int error, const char *detail)
{
    struct failures *failures = context;

    failures->index[failures->count] = index;
    failures->error[failures->count] = error;
    snprintf(failures->detail[failures->count++], 256, "%s", detail);
}

/* A child that receives all, so that slots come back. Its status is 0 if all came, in
 * order if they should. */
static pid_t receive_all(size_t n, bool ordered)
{
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        uint64_t last = 0, seen = 0;

        for (size_t i = 0; i < n; i++) {
            tr_header header = TR_HEADER_INIT;
            tr_message *message;
            bool fine = tr_queue_receive(queue, TR_FOREVER, &message) == 0 &&
                        tr_message_header_get(message, &header) == 0 &&
                        header.correlation_id < 64 &&
                        first_i64(message) == 1000 * (int64_t)header.correlation_id &&
                        !(seen >> header.correlation_id & 1) &&
                        (!ordered || i == 0 || header.correlation_id > last);

            if (!fine)
                _exit(1);
            last = header.correlation_id;
            seen |= UINT64_C(1) << last;
            tr_message_release(message);
        }
        _exit(0);
    }
    return child;
}

static void load_all(uint32_t flags, uint32_t depth)
{
    tr_loader_options options = TR_LOADER_OPTIONS_INIT;
    tr_loader_report report = TR_LOADER_REPORT_INIT;
    struct failures failures = {0};
    const char *paths[FILES];
    tr_loader *loader;
    char name[16];
    pid_t child;

    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        paths[i] = store_i64(name, 10 + 150 * i, 1000 * i);
    }
    paths[5] = path_of("missing");
    write_bytes(paths[17], "garbage", 7, O_TRUNC);
    options.flags = flags;
    options.depth = depth;
    assert_ok(tr_loader_open(arena, &options, &loader));
    for (int again = 0; again < 2; again++) {
        failures.count = 0;
        child = receive_all(FILES - 2, !(flags & TR_LOADER_UNORDERED));
        assert_ok(tr_loader_run(loader, paths, FILES, queue, TR_FOREVER, note, &failures,
                                &report));
        assert_int_equal(status_of(child), 0);
        assert_int_equal(report.loaded, FILES - 2);
        assert_int_equal(report.failed, 2);
        assert_int_equal(failures.count, 2);
        for (size_t f = 0; f < 2; f++) {
            size_t i = failures.index[f];

            assert_true(i == 5 || i == 17);
            assert_int_equal(failures.error[f], i == 5 ? TR_ENOENT : TR_EFORMAT);
            assert_non_null(strstr(failures.detail[f], paths[i]));
        }
        if (flags & TR_LOADER_PREAD)
            assert_int_equal(report.uring, 0);
    }
    tr_loader_close(loader);
}

static void loads_many(void **state)
{
    static const uint32_t flags[] = {0,
                                     TR_LOADER_PREAD,
                                     TR_LOADER_UNORDERED,
                                     TR_LOADER_UNORDERED | TR_LOADER_PREAD,
                                     TR_LOADER_DIRECT,
                                     TR_LOADER_DIRECT | TR_LOADER_UNORDERED};
    static const uint32_t depths[] = {1, 3, 8, 64};
    (void)state;

    for (size_t f = 0; f < sizeof(flags) / sizeof(*flags); f++)
        for (size_t d = 0; d < sizeof(depths) / sizeof(*depths); d++)
            load_all(flags[f], depths[d]);
}

static void ends_when_nobody_receives(void **state)
{
    const char *paths[FILES];
    tr_loader_report report = TR_LOADER_REPORT_INIT;
    tr_message *message;
    tr_loader *loader;
    (void)state;

    for (int i = 0; i < FILES; i++)
        paths[i] = store_i64("same", 10, 0);
    assert_ok(tr_loader_open(arena, NULL, &loader));
    assert_int_equal(
        tr_loader_run(loader, paths, FILES, queue, 1000000, NULL, NULL, &report),
        TR_ETIMEDOUT);
    assert_true(report.loaded > 0 && report.loaded < FILES);
    for (uint64_t i = 0; i < report.loaded; i++) {
        assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
        tr_message_release(message);
    }
    tr_queue_shutdown(queue);
    assert_int_equal(
        tr_loader_run(loader, paths, FILES, queue, TR_FOREVER, NULL, NULL, NULL),
        TR_ECLOSED);
    assert_int_equal(tr_loader_run(loader, NULL, 0, queue, 0, NULL, NULL, NULL), 0);
    assert_int_equal(tr_loader_run(loader, NULL, 1, queue, 0, NULL, NULL, NULL),
                     TR_EINVAL);
    tr_loader_close(loader);
    tr_loader_close(NULL);
}

/* One that can't be opened now fails alone; it is not a want of slots, which ends a run. */
static void a_leased_file_holds_nobody_up(void **state)
{
    const char *paths[] = {store_i64("l0", 10, 0), store_i64("l1", 10, 1),
                           store_i64("l2", 10, 2)};
    struct failures failures = {0};
    tr_loader_report report = TR_LOADER_REPORT_INIT;
    tr_message *message;
    tr_loader *loader;
    int fd = open(paths[1], O_RDWR | O_CLOEXEC);
    (void)state;

    signal(SIGIO, SIG_IGN); /* how the kernel asks for it */
    if (fcntl(fd, F_SETLEASE, F_WRLCK) < 0) {
        close(fd);
        skip(); /* a file system that has none */
    }
    assert_int_equal(tr_npy_load(arena, paths[1], TR_NOWAIT, &message), TR_EBUSY);
    assert_detail("lease");
    assert_ok(tr_loader_open(arena, NULL, &loader));
    /* The longest time there is, too. */
    assert_ok(
        tr_loader_run(loader, paths, 3, queue, INT64_MAX, note, &failures, &report));
    tr_loader_close(loader);
    close(fd);
    assert_int_equal(report.loaded, 2);
    assert_int_equal(failures.count, 1);
    assert_int_equal(failures.index[0], 1);
    assert_int_equal(failures.error[0], TR_EBUSY);
    for (int64_t i = 0; i <= 2; i += 2) {
        assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
        expect_i64(message, 10, i);
        tr_message_release(message);
    }
}

/* ---- the ring ---- */

enum { TAKES, TAKES_NOTHING, KEEPS_NO_FILES, SEES_FORKS };
static int kernel, handed_over, unmarked;
static sem_t half_made; /* a ring, when forks are seen */

int __real_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring);

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

int __real_io_uring_register_files(struct io_uring *ring, const int *files,
                                   unsigned count);
int __wrap_io_uring_register_files(struct io_uring *ring, const int *files,
                                   unsigned count);

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

enum { STORERS = 4, STORES = 150 };

static unsigned files_in(const char *path)
{
    DIR *folder = opendir(path);
    unsigned count = 0;

    while (folder && readdir(folder))
        count++;
    if (folder)
        closedir(folder);
    return count - 2;
}

static tr_message *stored[STORERS];

static void *store_often(void *which)
{
    for (int i = 0; i < STORES; i++)
        if (tr_npy_store(stored[(intptr_t)which], 0, path_of_shared))
            return "a store failed";
    return NULL;
}

static pid_t fork_storer(intptr_t which)
{
    pid_t child = fork();

    if (child == 0)
        _exit(store_often((void *)which) ? 1 : 0);
    return child;
}

static void stores_to_one_path_do_not_meet(void **state)
{
    pthread_t threads[STORERS];
    pid_t child;
    void *why = NULL;
    tr_message *message;
    (void)state;

    snprintf(path_of_shared, sizeof(path_of_shared), "%s/shared.npy", directory);
    for (intptr_t i = 0; i < STORERS; i++)
        stored[i] = loan_i64(arena, 8000, 1000 * i);
    child = fork_storer(0);
    for (intptr_t i = 0; i < STORERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, store_often, (void *)i), 0);
    for (int i = 0; i < 20; i++)
        if (tr_npy_load(arena, path_of_shared, TR_FOREVER, &message) == 0)
            tr_message_release(message);
        else
            assert_detail("No such file"); /* before the first */
    for (int i = 0; i < STORERS; i++) {
        assert_int_equal(pthread_join(threads[i], &why), 0);
        assert_null(why);
    }
    assert_int_equal(status_of(child), 0);
    assert_ok(tr_npy_load(arena, path_of_shared, TR_NOWAIT, &message));
    expect_i64(message, 8000, first_i64(message));
    tr_message_release(message);
    for (int i = 0; i < STORERS; i++)
        tr_message_release(stored[i]);
    assert_int_equal(files_in(directory), 1); /* nothing is left beside it */
}

#define SCENE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(what_was_stored_is_loaded),
        SCENE(old_files_are_aligned),
        SCENE(failures_name_the_file),
        SCENE(a_file_that_changes_is_refused),
        SCENE(loads_many),
        SCENE(ends_when_nobody_receives),
        SCENE(a_leased_file_holds_nobody_up),
        SCENE(reads_are_marked_for_their_device),
        SCENE(a_kernel_that_takes_nothing_is_done_without),
        SCENE(no_ring_without_its_lock),
        SCENE(a_fork_does_not_inherit_the_ring),
        SCENE(a_fork_meets_no_half_made_ring),
        SCENE(a_ring_that_was_closed_closes_no_other_file),
        SCENE(stores_to_one_path_do_not_meet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
