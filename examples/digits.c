/* SPDX-License-Identifier: MIT */
/* Handwritten digits, classified by pre-forked workers. The master sends batches of images
 * over one queue, workers look for the nearest of the known images, answers come back over
 * another queue. The result must equal that of one process, whatever the number of workers.
 *
 *   example_digits [DIRECTORY of the .npy files] */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <tensoring/tensoring.h>
#include <unistd.h>

#define IMAGES 1797
#define PIXELS 64
#define KNOWN  1000 /* the first ones are looked up, the others looked for */
#define ASKED  (IMAGES - KNOWN)
#define BATCH  16

static uint8_t images[IMAGES][PIXELS], labels[IMAGES]; /* children share them */

static void check(int err, const char *what)
{
    if (err) {
        fprintf(stderr, "%s: %s: %s\n", what, tr_strerror(err), tr_error_detail());
        exit(1);
    }
}

static void load(const char *directory, const char *name, void *to, uint64_t bytes)
{
    static uint8_t file[1 << 18];
    char path[4096];
    tr_npy npy;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *stream = fopen(path, "rb");
    const size_t size = stream ? fread(file, 1, sizeof file, stream) : 0;
    if (stream)
        fclose(stream);
    check(tr_npy_decode(file, size, size, 0, &npy), path);
    check(npy.data_bytes == bytes ? 0 : TR_EFORMAT, path);
    memcpy(to, file + npy.data_offset, bytes);
}

/* The label that two of the three nearest known images have, or that of the nearest. */
static uint8_t classify(const uint8_t *image)
{
    int32_t best[4] = {INT32_MAX, INT32_MAX, INT32_MAX}; /* 10 * distance + label */

    for (size_t i = 0; i < KNOWN; i++) {
        int32_t key = labels[i], at = 3;
        for (size_t p = 0; p < PIXELS; p++)
            key += 10 * (images[i][p] - image[p]) * (images[i][p] - image[p]);
        for (; at > 0 && key < best[at - 1]; at--)
            best[at] = best[at - 1];
        best[at] = key;
    }
    return (uint8_t)(best[1] % 10 == best[2] % 10 ? best[1] % 10 : best[0] % 10);
}

/* Until the queue is closed: take a batch, answer it under the same number. */
static _Noreturn void work(tr_arena *arena, tr_queue *jobs, tr_queue *answers)
{
    tr_message *job, *reply;
    int err;

    while ((err = tr_queue_receive(jobs, TR_FOREVER, &job)) == 0) {
        const tr_tensor *batch = tr_message_tensor(job, 0);
        tr_header header = TR_HEADER_INIT;
        check(tr_message_loan_bytes(arena, (uint64_t)batch->shape[0], TR_FOREVER, &reply),
              "loan");
        for (int64_t i = 0; i < batch->shape[0]; i++) /* read and written in place */
            ((uint8_t *)tr_message_tensor(reply, 0)->data)[i] = classify(
                (const uint8_t *)batch->data + i * PIXELS);
        check(tr_message_header_get(job, &header), "header");
        check(tr_message_header_set(reply, &header), "set header");
        tr_message_release(job);
        check(tr_queue_send(answers, reply, TR_FOREVER), "send");
    }
    _exit(err == TR_ECLOSED ? 0 : 1);
}

static void ask(tr_arena *arena, tr_queue *jobs)
{
    for (size_t first = 0; first < ASKED; first += BATCH) {
        const size_t left = ASKED - first;
        const int64_t shape[] = {left < BATCH ? (int64_t)left : BATCH, PIXELS};
        const tr_tensor_spec spec = {
            .dtype = {TR_DTYPE_UINT, 8, 1}, .ndim = 2, .shape = shape};
        const tr_header header = {.struct_size = sizeof header, .correlation_id = first};
        tr_message *job;
        check(tr_message_loan(arena, &spec, 1, TR_FOREVER, &job), "loan");
        check(tr_tensor_fill(tr_message_tensor(job, 0), images[KNOWN + first], NULL),
              "fill");
        check(tr_message_header_set(job, &header), "set header");
        check(tr_queue_send(jobs, job, TR_FOREVER), "send");
    }
    tr_queue_shutdown(jobs); /* workers drain it and leave */
}

static void collect(tr_queue *answers, uint8_t *out)
{
    for (uint64_t got = 0; got < ASKED;) {
        tr_message *reply;
        tr_header header = TR_HEADER_INIT;
        check(tr_queue_receive(answers, TR_FOREVER, &reply), "receive");
        check(tr_message_header_get(reply, &header), "header");
        const tr_tensor *label = tr_message_tensor(reply, 0);
        memcpy(out + header.correlation_id, label->data, label->nbytes);
        got += label->nbytes;
        tr_message_release(reply);
    }
}

static bool run(unsigned workers, const uint8_t *expected)
{
    uint8_t out[ASKED] = {0};
    tr_arena *arena;
    tr_queue *jobs, *answers;
    bool good = true;

    check(tr_arena_create(NULL, NULL, &arena), "create");
    check(tr_queue_open(arena, "jobs", NULL, &jobs), "open");
    check(tr_queue_open(arena, "answers", NULL, &answers), "open");
    fflush(NULL);
    for (unsigned i = 0; i < workers; i++)
        if (fork() == 0)
            work(arena, jobs, answers);
    ask(arena, jobs);
    collect(answers, out);
    for (int status; wait(&status) > 0;)
        good = good && status == 0;
    tr_queue_close(jobs);
    tr_queue_close(answers);
    tr_arena_close(arena);
    good = good && memcmp(out, expected, sizeof out) == 0;
    printf("%u workers: %s\n", workers, good ? "the same result" : "ANOTHER RESULT");
    return good;
}

int main(int argc, char **argv)
{
    const char *directory = argc > 1 ? argv[1] : "examples/data";
    uint8_t expected[ASKED];
    unsigned right = 0;
    bool good = true;

    load(directory, "digits_images.npy", images, sizeof images);
    load(directory, "digits_labels.npy", labels, sizeof labels);
    for (size_t i = 0; i < ASKED; i++) {
        expected[i] = classify(images[KNOWN + i]);
        right += expected[i] == labels[KNOWN + i];
    }
    printf("one process: %u of %d digits recognised\n", right, ASKED);
    for (unsigned workers = 1; workers <= 5; workers++)
        good = run(workers, expected) && good;
    return good ? 0 : 1;
}
