/* SPDX-License-Identifier: MIT */
#include "tests/explore/states.h"

#include <stdlib.h>

static void grow(struct states *states)
{
    struct states old = *states;

    states->room = old.room ? 2 * old.room : UINT64_C(1) << 16;
    states->table = calloc(states->room, sizeof(*states->table));
    states->count = 0;
    if (!states->table)
        abort();
    for (uint64_t i = 0; i < old.room; i++)
        if (old.table[i])
            states_add(states, old.table[i]);
    free(old.table);
}

bool states_add(struct states *states, uint64_t hash)
{
    uint64_t at;

    hash += hash == 0;
    if (2 * states->count >= states->room)
        grow(states);
    for (at = hash & (states->room - 1); states->table[at];
         at = (at + 1) & (states->room - 1))
        if (states->table[at] == hash)
            return false;
    states->table[at] = hash;
    states->count++;
    return true;
}

void states_forget(struct states *states)
{
    free(states->table);
    *states = (struct states){0};
}
