/* SPDX-License-Identifier: MIT */
/* post.h - how the job's master and workers exchange batches and answers. */
#ifndef BENCH_POST_H
#define BENCH_POST_H

#include <stdbool.h>
#include <stdint.h>

#include "knn.h"

#define POST_WORKERS 2u
#define POST_BATCH   16u

struct question {
    uint32_t first; /* of the images asked for */
    uint32_t count; /* 0: there are no more */
    uint8_t image[POST_BATCH][DIGITS_PIXELS];
};

struct answer {
    uint32_t first;
    uint32_t count;
    struct verdict verdict[POST_BATCH];
};

struct post {
    const char *name;
    void *(*open)(void); /* before the fork */
    /* In a worker: questions until there are none, each answered by @p work. */
    void (*serve)(void *state, unsigned worker,
                  void (*work)(const struct question *, struct answer *));
    void (*ask)(void *state, unsigned worker, const struct question *question);
    unsigned (*collect)(void *state, struct answer *answer); /* from which worker */
    void (*finish)(void *state);                             /* no more questions */
    void (*close)(void *state);
};

extern const struct post post_ours, post_uds, post_tcp, post_pipe;

#endif
