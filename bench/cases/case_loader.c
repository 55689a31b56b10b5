/* SPDX-License-Identifier: MIT */
/* loader: files of 1 MiB into slots. tr_loader_run() beside plain pread() into slots and
 * beside read() into private memory and a copy; from the page cache, and cold with and
 * without O_DIRECT where there is a disk. One process each; the receiver is a thread that
 * gives the slots back. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <tensoring/tensoring.h>
#include <unistd.h>

#include "harness/bench.h"
#include "harness/report.h"

#define BYTES  ((size_t)1 << 20)
#define SLOT   (BYTES + 4096)
#define SLOTS  64
#define ROUNDS 7u

struct scene {
    char directory[128];
    char (*names)[160];
    const char **paths;
    size_t files;
    tr_arena *arena;
    tr_queue *queue;
    tr_loader *loaders[2]; /* buffered, direct */
    uint8_t *private;
};

static void must(int err, const char *what)
{
    if (err)
        die("%s: %s: %s", what, tr_strerror(err), tr_error_detail());
}

static void *give_back(void *context)
{
    const struct scene *scene = context;

    for (size_t i = 0; i < scene->files; i++) {
        tr_message *message;

        must(tr_queue_receive(scene->queue, TR_FOREVER, &message), "tr_queue_receive");
        tr_message_release(message);
    }
    return NULL;
}

static tr_message *loan_file(struct scene *scene)
{
    tr_message *message;

    must(tr_message_loan_bytes(scene->arena, BYTES + 128, TR_FOREVER, &message),
         "tr_message_loan_bytes");
    return message;
}

static void read_all(int fd, uint8_t *to, size_t bytes)
{
    while (bytes > 0) {
        const ssize_t got = read(fd, to, bytes);

        if (got <= 0)
            die("read: %s", strerror(errno));
        to += got;
        bytes -= (size_t)got;
    }
}

/* What a program would do by hand: into the slot, or into private memory and then the slot. */
static void by_hand(struct scene *scene, bool copy)
{
    for (size_t i = 0; i < scene->files; i++) {
        const int fd = open(scene->paths[i], O_RDONLY | O_CLOEXEC);
        struct stat st;
        tr_message *message;

        if (fd < 0 || fstat(fd, &st) != 0)
            die("%s: %s", scene->paths[i], strerror(errno));
        message = loan_file(scene);
        uint8_t *slot = tr_message_tensor(message, 0)->data;
        read_all(fd, copy ? scene->private : slot, (size_t)st.st_size);
        if (copy)
            memcpy(slot, scene->private, (size_t)st.st_size);
        close(fd);
        must(tr_queue_send(scene->queue, message, TR_FOREVER), "tr_queue_send");
    }
}

static void by_loader(struct scene *scene, tr_loader *loader)
{
    tr_loader_report report = TR_LOADER_REPORT_INIT;

    must(tr_loader_run(loader, scene->paths, scene->files, scene->queue, TR_FOREVER, NULL,
                       NULL, &report),
         "tr_loader_run");
    if (report.loaded != scene->files)
        die("%s", tr_error_detail());
}

enum way { WAY_LOADER, WAY_DIRECT, WAY_PREAD, WAY_COPY, WAYS };

static const char *const names[WAYS] = {"loader", "loader-direct", "pread", "read-copy"};

static uint64_t run(struct scene *scene, enum way way)
{
    pthread_t receiver;

    if (pthread_create(&receiver, NULL, give_back, scene) != 0)
        die("no thread");
    const uint64_t start = clock_ns();
    if (way == WAY_LOADER || way == WAY_DIRECT)
        by_loader(scene, scene->loaders[way == WAY_DIRECT]);
    else
        by_hand(scene, way == WAY_COPY);
    pthread_join(receiver, NULL);
    return clock_ns() - start;
}

/* Out of the page cache, if they are on a disk. */
static void forget(struct scene *scene)
{
    for (size_t i = 0; i < scene->files; i++) {
        const int fd = open(scene->paths[i], O_RDONLY | O_CLOEXEC);

        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        close(fd);
    }
}

static void make_files(struct scene *scene)
{
    tr_message *message;
    const int64_t shape = (int64_t)BYTES / 4;
    const tr_tensor_spec spec = {
        .dtype = {TR_DTYPE_FLOAT, 32, 1}, .ndim = 1, .shape = &shape};

    must(tr_message_loan(scene->arena, &spec, 1, TR_NOWAIT, &message), "tr_message_loan");
    memset(tr_message_tensor(message, 0)->data, 1, BYTES);
    for (size_t i = 0; i < scene->files; i++) {
        snprintf(scene->names[i], sizeof scene->names[i], "%s/%zu.npy", scene->directory,
                 i);
        scene->paths[i] = scene->names[i];
        must(tr_npy_store(message, 0, scene->paths[i]), "tr_npy_store");
        const int fd = open(scene->paths[i], O_RDONLY | O_CLOEXEC);
        (void)fdatasync(fd);
        close(fd);
    }
    tr_message_release(message);
}

static void set_up(struct scene *scene, size_t files)
{
    const tr_slot_class class = {SLOT, SLOTS};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_loader_options buffered = TR_LOADER_OPTIONS_INIT, direct = TR_LOADER_OPTIONS_INIT;
    const char *where = getenv("TMPDIR");

    snprintf(scene->directory, sizeof scene->directory, "%s/tensoring-bench-XXXXXX",
             where ? where : "/var/tmp");
    if (!mkdtemp(scene->directory))
        die("%s: %s", scene->directory, strerror(errno));
    scene->files = files;
    scene->names = calloc(files, sizeof *scene->names);
    scene->paths = calloc(files, sizeof *scene->paths);
    scene->private = aligned_alloc(4096, SLOT);
    if (!scene->names || !scene->paths || !scene->private)
        die("no memory");
    memset(scene->private, 0, SLOT);
    options.flags = TR_ARENA_POPULATE;
    options.classes = &class;
    options.class_count = 1;
    must(tr_arena_create(NULL, &options, &scene->arena), "tr_arena_create");
    must(tr_queue_open(scene->arena, "files", NULL, &scene->queue), "tr_queue_open");
    direct.flags = TR_LOADER_DIRECT;
    must(tr_loader_open(scene->arena, &buffered, &scene->loaders[0]), "tr_loader_open");
    must(tr_loader_open(scene->arena, &direct, &scene->loaders[1]), "tr_loader_open");
    make_files(scene);
}

static void clean_up(struct scene *scene)
{
    for (size_t i = 0; i < scene->files; i++)
        unlink(scene->paths[i]);
    rmdir(scene->directory);
    tr_loader_close(scene->loaders[0]);
    tr_loader_close(scene->loaders[1]);
    tr_queue_close(scene->queue);
    tr_arena_close(scene->arena);
    free(scene->names);
    free(scene->paths);
    free(scene->private);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Medians of the rounds; ratios are taken within a round. */
static void compare(struct scene *scene, bool cold, unsigned rounds)
{
    double took[WAYS][ROUNDS], ratio[WAYS][ROUNDS];

    for (unsigned round = 0; round < rounds; round++)
        for (unsigned i = 0; i < WAYS; i++) {
            const enum way way = (i + round) % WAYS;

            if (cold)
                forget(scene);
            took[way][round] = (double)run(scene, way);
        }
    for (unsigned round = 0; round < rounds; round++)
        for (unsigned way = 0; way < WAYS; way++)
            ratio[way][round] = took[way][round] / took[WAY_LOADER][round];
    for (unsigned way = 0; way < WAYS; way++) {
        struct row row = {.name = cold ? "cold" : "cached",
                          .transport = names[way],
                          .mode = MODE_BLOCK,
                          .touch = TOUCH_WRITE,
                          .bytes = (double)BYTES};

        qsort(took[way], rounds, sizeof took[way][0], by_value);
        qsort(ratio[way], rounds, sizeof ratio[way][0], by_value);
        row.p50_ns = took[way][rounds / 2] / (double)scene->files;
        row.messages_per_s = 1e9 / row.p50_ns;
        row.bytes_per_s = row.messages_per_s * (double)BYTES;
        report_row(&row);
    }
    if (cold)
        return;
    report_bar(&(struct bar){.name = "files from the page cache",
                             .what = "rate: loader / read and copy",
                             .measured = ratio[WAY_COPY][rounds / 2],
                             .place = "any",
                             .rounds = rounds,
                             .target = 1.5,
                             .at_least = true});
    report_bar(&(struct bar){.name = "files from the page cache",
                             .what = "rate: loader / pread into slots",
                             .measured = ratio[WAY_PREAD][rounds / 2],
                             .place = "any",
                             .rounds = rounds,
                             .target = 1.0,
                             .at_least = true});
}

void case_loader(const struct options *options)
{
    const bool brief = options->seconds < 1;
    struct scene scene;

    set_up(&scene, brief ? 20 : 1000);
    for (enum way way = 0; way < WAYS; way++) /* caches, page tables, registration */
        (void)run(&scene, way);
    compare(&scene, false, brief ? 1 : ROUNDS);
    compare(&scene, true, brief ? 1 : 3);
    clean_up(&scene);
    report_bars_table();
}
