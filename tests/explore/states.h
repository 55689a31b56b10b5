/* SPDX-License-Identifier: MIT */
/* states.h - hashes of the states that were seen. */
#ifndef TR_TESTS_STATES_H
#define TR_TESTS_STATES_H

#include <stdbool.h>
#include <stdint.h>

struct states {
    uint64_t *table;
    uint64_t room, count;
};

/* False: it is there already. */
bool states_add(struct states *states, uint64_t hash);
void states_forget(struct states *states);

#endif
