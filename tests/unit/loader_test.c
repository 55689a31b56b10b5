/* SPDX-License-Identifier: MIT */
#include "loader_scene.h"

static char path_of_shared[128];

static void write_bytes(const char *path, const void *bytes, size_t n, int flags)
{
    int fd = open(path, O_WRONLY | O_CREAT | flags, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    close(fd);
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
        SCENE(stores_to_one_path_do_not_meet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
