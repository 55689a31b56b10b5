/* SPDX-License-Identifier: MIT */
/* Features for a pool: batches of digits, scaled to floats once, are broadcast to five
 * workers. Each reads every batch where it lies, and computes the mean image of two of the
 * ten classes. One copy of each batch serves them all; writing to it would fault.
 *
 *   example_feature_broadcast [DIRECTORY with the .npy files] */
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "digits_data.h"

#define BATCH   64
#define WORKERS 5

struct mean {
    double sum[PIXELS];
    long count;
};

static void add(struct mean *mean, const float *image)
{
    for (size_t p = 0; p < PIXELS; p++)
        mean->sum[p] += image[p];
    mean->count++;
}

static float scaled(size_t i, size_t p)
{
    return (float)images[i][p] / 16;
}

/* Compare what came with the means of our own copy of the images. */
static int compare(const struct mean *means, uint8_t first_class)
{
    struct mean own[2] = {{{0}, 0}, {{0}, 0}};

    for (size_t i = 0; i < IMAGES; i++) {
        float image[PIXELS];
        for (size_t p = 0; p < PIXELS; p++)
            image[p] = scaled(i, p);
        if (labels[i] / 2 * 2 == first_class)
            add(&own[labels[i] % 2], image);
    }
    return memcmp(own, means, sizeof own) != 0;
}

static int work(tr_broadcast *features, uint8_t first_class)
{
    tr_subscription_options options = TR_SUBSCRIPTION_OPTIONS_INIT;
    tr_subscription *subscription;
    struct mean means[2] = {{{0}, 0}, {{0}, 0}};
    tr_message *batch;
    int err;

    options.lag = TR_LAG_BLOCK; /* nothing may be missed */
    check(tr_subscription_open(features, &options, &subscription), "subscribe");
    while ((err = tr_subscription_receive(subscription, TR_FOREVER, &batch)) == 0) {
        const tr_tensor *x = tr_message_find(batch, "x"),
                        *y = tr_message_find(batch, "y");
        for (int64_t i = 0; i < x->shape[0]; i++) {
            const uint8_t label = ((const uint8_t *)y->data)[i];
            if (label / 2 * 2 == first_class)
                add(&means[label % 2], (const float *)x->data + i * PIXELS);
        }
        tr_message_release(batch);
    }
    tr_subscription_close(subscription);
    return err == TR_ECLOSED ? compare(means, first_class) : 1;
}

static void publish(tr_arena *arena, tr_broadcast *features)
{
    for (size_t first = 0; first < IMAGES; first += BATCH) {
        const size_t n = IMAGES - first < BATCH ? IMAGES - first : BATCH;
        const int64_t shape[] = {(int64_t)n, PIXELS};
        const tr_tensor_spec specs[] = {
            {.dtype = {TR_DTYPE_FLOAT, 32, 1}, .ndim = 2, .shape = shape, .name = "x"},
            {.dtype = {TR_DTYPE_UINT, 8, 1}, .ndim = 1, .shape = shape, .name = "y"}};
        tr_message *batch;
        check(tr_message_loan(arena, specs, 2, TR_FOREVER, &batch), "loan");
        float *x = tr_message_tensor(batch, 0)->data;
        for (size_t i = 0; i < n * PIXELS; i++)
            x[i] = scaled(first + i / PIXELS, i % PIXELS);
        check(tr_tensor_fill(tr_message_tensor(batch, 1), labels + first, NULL), "fill");
        check(tr_broadcast_publish(features, batch, TR_FOREVER), "publish");
    }
    tr_broadcast_shutdown(features); /* workers read what is there, and leave */
}

int main(int argc, char **argv)
{
    tr_broadcast_options options = TR_BROADCAST_OPTIONS_INIT;
    tr_broadcast *features;
    tr_arena *arena;
    int bad = 0;

    load_digits(argc, argv);
    options.capacity = 7;
    check(tr_arena_create(NULL, NULL, &arena), "create");
    check(tr_broadcast_open(arena, "features", &options, &features), "open");
    fflush(NULL);
    for (uint8_t i = 0; i < WORKERS; i++)
        if (fork() == 0)
            _exit(work(features, (uint8_t)(2 * i)));
    while (tr_broadcast_subscribers(features) < WORKERS)
        sched_yield();
    publish(arena, features);
    for (int status; wait(&status) > 0;)
        bad |= status;
    printf("%d images to %d workers: %s\n", IMAGES, WORKERS,
           bad ? "ANOTHER RESULT" : "the means are right");
    tr_broadcast_close(features);
    tr_arena_close(arena);
    return bad ? 1 : 0;
}
