/* SPDX-License-Identifier: MIT */
#include "ipc/memory/copy.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define TRIAL_BYTES ((size_t)1 << 20)
#define TRIALS      7

static _Atomic int chosen; /* local: enum copy_routine */

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define HAVE_MOVSB 1
/* The one place with assembly: no builtin promises this instruction. */
static void movsb(void *to, const void *from, size_t n)
{
    __asm__ __volatile__("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}
#else
#define HAVE_MOVSB 0
static void movsb(void *to, const void *from, size_t n)
{
    memcpy(to, from, n);
}
#endif

void copy_bytes(void *to, const void *from, size_t n)
{
    /* relaxed: either routine copies the same bytes. */
    if (n >= COPY_LARGE &&
        atomic_load_explicit(&chosen, memory_order_relaxed) == COPY_MOVSB)
        movsb(to, from, n);
    else if (n)
        memcpy(to, from, n);
}

void copy_choose(enum copy_routine routine)
{
    /* relaxed: either routine copies the same bytes. */
    if (HAVE_MOVSB || routine == COPY_MEMCPY)
        atomic_store_explicit(&chosen, (int)routine, memory_order_relaxed);
}

static int64_t time_one(void (*copy)(void *, const void *, size_t), void *to,
                        const void *from)
{
    struct timespec start, end;

    clock_gettime(CLOCK_MONOTONIC, &start);
    copy(to, from, TRIAL_BYTES);
    clock_gettime(CLOCK_MONOTONIC, &end);
    return (int64_t)(end.tv_sec - start.tv_sec) * 1000000000 + end.tv_nsec -
           start.tv_nsec;
}

static void plain(void *to, const void *from, size_t n)
{
    memcpy(to, from, n);
}

enum copy_routine copy_calibrate(void)
{
    int64_t best_plain = INT64_MAX, best_movsb = INT64_MAX;
    char *both;

    if (!HAVE_MOVSB)
        return COPY_MEMCPY;
    both = mmap(NULL, 2 * TRIAL_BYTES, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (both == MAP_FAILED)
        return COPY_MEMCPY;
    for (int i = 0; i < TRIALS; i++) {
        int64_t took = time_one(plain, both, both + TRIAL_BYTES);

        best_plain = took < best_plain ? took : best_plain;
        took = time_one(movsb, both, both + TRIAL_BYTES);
        best_movsb = took < best_movsb ? took : best_movsb;
    }
    munmap(both, 2 * TRIAL_BYTES);
    /* The hand-over gains more than the copy alone shows: an equally fast copy is chosen. */
    return best_movsb <= best_plain + best_plain / 20 ? COPY_MOVSB : COPY_MEMCPY;
}
