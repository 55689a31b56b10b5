/* SPDX-License-Identifier: MIT */
/* loader_scene.h - what the tests of loaders share. */
#ifndef TR_TESTS_LOADER_SCENE_H
#define TR_TESTS_LOADER_SCENE_H

#include "support.h"

#include <liburing.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "ipc/liveness/device.h"
#include "src/files/load.h"

enum { FILES = 40 };

static char directory[64];
static tr_arena *arena;
static tr_queue *queue;

static const char *path_of(const char *name)
{
    static char paths[64][128];
    static unsigned next;
    char *path = paths[next++ % 64];

    snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
    return path;
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

#define SCENE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
