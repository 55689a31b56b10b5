/* SPDX-License-Identifier: MIT */
/* weakening.h - memory orders weaker than the source has them, for the test of the tests. */
#ifndef TR_TESTS_WEAKENING_H
#define TR_TESTS_WEAKENING_H

#include "ipc/shm.h"

/* Under C11's memory: an order weaker than the source has, at one end of an edge ("E1_PUT"),
 * at all ends of it ("E1"), perhaps those in one file alone, or at one place ("file:line").
 * NULL: none. */
struct weakening {
    const char *edge, *site, *file;
    memory_order to;
};
extern struct weakening engine_weakening;

/* Each place with a seq_cst access that was met, and its order as the source spells it. */
struct place_met {
    const char *site, *edge;
    enum shm_kind kind;
};
#define PLACES 256
extern struct place_met engine_places[PLACES];
extern uint32_t engine_place_count;

/* The order that an access gets. */
memory_order weakening_order(const struct shm_access *shm);

/* It was met. */
void weakening_meet(const struct shm_access *shm);

#endif
