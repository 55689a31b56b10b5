/* SPDX-License-Identifier: MIT */
#include "tests/explore/weakening.h"

#include <string.h>

struct weakening engine_weakening;
struct place_met engine_places[PLACES];
uint32_t engine_place_count;

static bool weakened_here(const struct shm_access *shm)
{
    const struct weakening *weakening = &engine_weakening;
    size_t length;

    if (weakening->site)
        return strcmp(shm->site, weakening->site) == 0;
    if (!weakening->edge || (weakening->file && !strstr(shm->site, weakening->file)))
        return false;
    length = strlen(weakening->edge);
    return strncmp(shm->edge, weakening->edge, length) == 0 &&
           (shm->edge[length] == 0 || shm->edge[length] == '_');
}

memory_order weakening_order(const struct shm_access *shm)
{
    memory_order to = engine_weakening.to;

    if (!weakened_here(shm) ||
        (to != memory_order_relaxed && shm->order != memory_order_seq_cst))
        return shm->order;
    if (to == memory_order_acq_rel && shm->kind != SHM_RMW)
        return shm->kind == SHM_LOAD ? memory_order_acquire : memory_order_release;
    return to;
}

void weakening_meet(const struct shm_access *shm)
{
    if (shm->order != memory_order_seq_cst)
        return;
    for (uint32_t i = 0; i < engine_place_count; i++)
        if (strcmp(engine_places[i].site, shm->site) == 0)
            return;
    if (engine_place_count < PLACES)
        engine_places[engine_place_count++] = (struct place_met){shm->site, shm->edge,
                                                                 shm->kind};
}
