/* SPDX-License-Identifier: MIT */
/* shm.h - the only ways to touch a word that processes share.
 *
 * Protocol words go through shm_load() and its kin: in test builds (TR_STEPS) each such
 * access is a named step, at which tests/explore switches participants and tests/crash
 * kills, and it may read another value than the newest, as C11 allows. Contents that their
 * owner alone may touch (headers, descriptors) go through shm_get() and shm_put(): also read
 * once, but no step. */
#ifndef TR_IPC_SHM_H
#define TR_IPC_SHM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#ifdef TR_STEPS
#include "ipc/shm_steps.h"
#else
#define STEP(at, kind) ((void)0)

#define shm_load(at, order)            atomic_load_explicit(at, order)
#define shm_store(at, value, order)    (atomic_store_explicit(at, value, order))
#define shm_or(at, value, order)       (atomic_fetch_or_explicit(at, value, order))
#define shm_and(at, value, order)      (atomic_fetch_and_explicit(at, value, order))
#define shm_add(at, value, order)      (atomic_fetch_add_explicit(at, value, order))
#define shm_exchange(at, value, order) (atomic_exchange_explicit(at, value, order))
/* @p seen is changed to what is there on failure; nothing is read through a word that
 * was not won, so that relaxed: is enough. */
#define shm_cas(at, seen, want, order) \
    (atomic_compare_exchange_strong_explicit(at, seen, want, order, memory_order_relaxed))

/* relaxed: the owner's edge ordered the contents; a process that breaks the protocol can
 * only make a check fail. Loaded once, so that what was checked is what is used. */
#define shm_get(at)        atomic_load_explicit(at, memory_order_relaxed)
#define shm_put(at, value) atomic_store_explicit(at, value, memory_order_relaxed)
#endif

static inline void shm_copy_out(uint64_t *to, const _Atomic uint64_t *from, size_t words)
{
    for (size_t i = 0; i < words; i++)
        to[i] = shm_get(&from[i]);
}

static inline void shm_copy_in(_Atomic uint64_t *to, const uint64_t *from, size_t words)
{
    for (size_t i = 0; i < words; i++)
        shm_put(&to[i], from[i]);
}

#endif
