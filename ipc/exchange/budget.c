/* SPDX-License-Identifier: MIT */
#include "ipc/exchange/budget.h"

#include "ipc/exchange/records.h"
#include "ipc/signal/wake.h"
#include "ipc/slot_word.h"

struct budget_use budget_use(const struct view *view)
{
    struct budget_use use = {0, 0, 0};

    for (uint32_t slot = records_from(view, 0); slot < view->geo.slot_count;
         slot = records_from(view, slot + 1)) {
        uint64_t bytes = view_memory(view, slot);
        enum slot_state state;

        if (!bytes)
            continue;
        /* E3: after the announcement of one that will wait. */
        state = SLOT_STATE(shm_load(&view_record(view, slot)->owner, E3));
        use.reserved += bytes;
        use.warm += state == SLOT_FREE ? bytes : 0;
        use.received += state == SLOT_RECEIVED ? bytes : 0;
    }
    return use;
}

/* It may be too low: 0 is the least. */
static void take_away(_Atomic uint64_t *counter, uint64_t bytes)
{
    uint64_t seen = shm_get(counter);

    /* relaxed: a hint. */
    while (
        !shm_cas(counter, &seen, seen > bytes ? seen - bytes : 0, memory_order_relaxed)) {
    }
}

bool budget_claim(const struct view *view, uint64_t bytes)
{
    _Atomic uint64_t *counter = &view_live(view)->reserved_bytes;
    uint64_t seen = shm_get(counter), limit = view->geo.memory_bytes;

    do {
        if (limit && (bytes > limit || seen > limit - bytes))
            return false;
        /* relaxed: a hint; of two that want the last bytes one gets them. */
    } while (!shm_cas(counter, &seen, seen + bytes, memory_order_relaxed));
    return true;
}

void budget_return(const struct view *view, uint64_t bytes)
{
    take_away(&view_live(view)->reserved_bytes, bytes);
    wake_all(view, &view_live(view)->memory);
}

bool budget_keep(const struct view *view, uint64_t bytes)
{
    /* relaxed: a hint; two that free at once err by one slot. */
    if (shm_get(&view_live(view)->warm_bytes) + bytes > view->geo.warm_bytes)
        return false;
    budget_warmed(view, bytes);
    return true;
}

void budget_warmed(const struct view *view, uint64_t bytes)
{
    /* relaxed: a hint. */
    shm_add(&view_live(view)->warm_bytes, bytes, memory_order_relaxed);
}

void budget_cooled(const struct view *view, uint64_t bytes)
{
    take_away(&view_live(view)->warm_bytes, bytes);
}

void budget_recount(const struct view *view)
{
    struct live *live = view_live(view);
    uint64_t reserved = shm_get(&live->reserved_bytes), warm = shm_get(&live->warm_bytes);
    struct budget_use use = budget_use(view);

    /* relaxed: hints. Where one has changed meanwhile it stays as it is. */
    shm_cas(&live->reserved_bytes, &reserved, use.reserved, memory_order_relaxed);
    shm_cas(&live->warm_bytes, &warm, use.warm, memory_order_relaxed);
}
