/* SPDX-License-Identifier: MIT */
/* shm_steps.h - shm.h in test builds: each access is a named step, and may be answered by a
 * memory that the test keeps itself (tests/explore/memory.h). */
#ifndef TR_IPC_SHM_STEPS_H
#define TR_IPC_SHM_STEPS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum shm_kind { SHM_LOAD, SHM_STORE, SHM_RMW, SHM_SYSTEM };
enum shm_change { SHM_SET, SHM_OR, SHM_AND, SHM_ADD, SHM_SWAP_IF };

struct shm_access {
    const char *site; /* "file:line" */
    const char *edge; /* the order as the source spells it */
    const void *at;
    enum shm_kind kind;
    enum shm_change change;
    memory_order order;
    uint32_t bytes;
    bool bare; /* shm_get(), shm_put() */
    uint64_t operand, expected;
};

/* Called before the access. @p site is "file:line", @p at the word. */
extern void (*shm_step_hook)(const char *site, const void *at, enum shm_kind kind);
/* Called for the access. True: it has been done, and this is what was read. */
extern bool (*shm_memory_hook)(const struct shm_access *access);
extern uint64_t shm_answer;
extern bool shm_swapped; /* of a compare-and-swap */

#define SHM_TEXT_(x)   #x
#define SHM_TEXT(x)    SHM_TEXT_(x)
#define SHM_SITE       __FILE__ ":" SHM_TEXT(__LINE__)
#define STEP(at, kind) (shm_step_hook ? shm_step_hook(SHM_SITE, (at), (kind)) : (void)0)

/* relaxed: asked for its type alone. */
#define SHM_TYPE(at) __typeof__(atomic_load_explicit(at, memory_order_relaxed))
#define SHM_DONE(at_, kind_, change_, order_, edge_, operand_, expected_, bare_) \
    (shm_memory_hook &&                                                          \
     shm_memory_hook(&(const struct shm_access){.site = SHM_SITE,                \
                                                .edge = (edge_),                 \
                                                .at = (at_),                     \
                                                .kind = (kind_),                 \
                                                .change = (change_),             \
                                                .order = (order_),               \
                                                .bytes = sizeof(*(at_)),         \
                                                .bare = (bare_),                 \
                                                .operand = (uint64_t)(operand_), \
                                                .expected = (uint64_t)(expected_)}))

#define shm_load(at, order)                                                          \
    (STEP(at, SHM_LOAD), SHM_DONE(at, SHM_LOAD, SHM_SET, order, #order, 0, 0, false) \
                             ? (SHM_TYPE(at))shm_answer                              \
                             : atomic_load_explicit(at, order))
#define shm_store(at, value, order)                                                   \
    (STEP(at, SHM_STORE),                                                             \
     SHM_DONE(at, SHM_STORE, SHM_SET, order, #order, (SHM_TYPE(at))(value), 0, false) \
         ? (void)0                                                                    \
         : atomic_store_explicit(at, value, order))
#define SHM_RMW_(at, how, value, order, edge, usual)                          \
    (STEP(at, SHM_RMW),                                                       \
     SHM_DONE(at, SHM_RMW, how, order, edge, (SHM_TYPE(at))(value), 0, false) \
         ? (SHM_TYPE(at))shm_answer                                           \
         : usual(at, value, order))
#define shm_or(at, value, order) \
    SHM_RMW_(at, SHM_OR, value, order, #order, atomic_fetch_or_explicit)
#define shm_and(at, value, order) \
    SHM_RMW_(at, SHM_AND, value, order, #order, atomic_fetch_and_explicit)
#define shm_add(at, value, order) \
    SHM_RMW_(at, SHM_ADD, value, order, #order, atomic_fetch_add_explicit)
#define shm_exchange(at, value, order) \
    SHM_RMW_(at, SHM_SET, value, order, #order, atomic_exchange_explicit)
/* relaxed: as in shm.h. */
#define shm_cas(at, seen, want, order)                                          \
    (STEP(at, SHM_RMW), SHM_DONE(at, SHM_RMW, SHM_SWAP_IF, order, #order,       \
                                 (SHM_TYPE(at))(want), *(seen), false)          \
                            ? (*(seen) = (SHM_TYPE(at))shm_answer, shm_swapped) \
                            : atomic_compare_exchange_strong_explicit(          \
                                  at, seen, want, order, memory_order_relaxed))

/* relaxed: as in shm.h. */
#define shm_get(at)                                                        \
    (SHM_DONE(at, SHM_LOAD, SHM_SET, memory_order_relaxed, "", 0, 0, true) \
         ? (SHM_TYPE(at))shm_answer                                        \
         : atomic_load_explicit(at, memory_order_relaxed))
#define shm_put(at, value)                                                             \
    (SHM_DONE(at, SHM_STORE, SHM_SET, memory_order_relaxed, "", (SHM_TYPE(at))(value), \
              0, true)                                                                 \
         ? (void)0                                                                     \
         : atomic_store_explicit(at, value, memory_order_relaxed)) /* relaxed: too */

#endif
