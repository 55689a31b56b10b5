/* SPDX-License-Identifier: MIT */
/* pools.h - find the libraries of this process that have threads of their own, by symbol:
 * wheels rename their files, and load them where RTLD_DEFAULT does not see them. */
#ifndef TR_SRC_POOLS_H
#define TR_SRC_POOLS_H

#include <stdbool.h>

#include <tensoring/enter.h>

struct pool_kind;

/* One of them. The library stays loaded until pools_free(). */
struct pool {
    const struct pool_kind *kind;
    void *handle;
    void *set;       /* its setter's address: the identity of the pool */
    void *set_local; /* of this thread alone, or NULL */
    void *get;
    uint32_t scope;
    char path[TR_REPORT_PATH];
};

struct pools {
    struct pool *pool;
    size_t count, capacity;
};

/* 0 or a TR_E code. */
int pools_find(struct pools *out);
void pools_free(struct pools *pools);

const char *pool_name(const struct pool *pool);
int32_t pool_get(const struct pool *pool); /* -1: it does not tell */
void pool_set(const struct pool *pool, int32_t threads);
/* Back to what pool_get() told at first. */
void pool_restore(const struct pool *pool, int32_t before);
/* What belongs to the calling thread; nothing for pools that know no such thing. */
void pool_set_thread(const struct pool *pool, int32_t threads);

/* Let an OpenMP runtime give up its threads, if that is needed before a fork and allowed:
 * libgomp alone. *did says whether it was asked. 0 or a TR_E code. */
int pool_pause(const struct pool *pool, bool *did);

/* Changes whenever a library has been loaded. */
uint64_t pools_generation(void);

#endif
