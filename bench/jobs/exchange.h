/* SPDX-License-Identifier: MIT */
/* exchange.h - how the job's master and workers exchange batches and answers. */
#ifndef BENCH_EXCHANGE_H
#define BENCH_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "jobs/knn.h"

#define EXCHANGE_WORKERS 2u
#define EXCHANGE_BATCH   16u

struct question {
    uint32_t first; /* of the images asked for */
    uint32_t count; /* 0: there are no more */
    uint8_t image[EXCHANGE_BATCH][DIGITS_PIXELS];
};

struct answer {
    uint32_t first;
    uint32_t count;
    struct verdict verdict[EXCHANGE_BATCH];
};

struct exchange {
    const char *name;
    void *(*open)(void); /* before the fork */
    /* A worker: take questions until there are none, and answer each by @p work. */
    void (*serve)(void *state, unsigned worker,
                  void (*work)(const struct question *, struct answer *));
    void (*ask)(void *state, unsigned worker, const struct question *question);
    unsigned (*collect)(void *state, struct answer *answer); /* from which worker */
    void (*finish)(void *state);                             /* no more questions */
    void (*close)(void *state);
};

extern const struct exchange exchange_ours, exchange_uds, exchange_tcp, exchange_pipe;

#endif
