/* SPDX-License-Identifier: MIT */
#include "src/loan_memory.h"

#include <errno.h>
#include <stdio.h>

#include "ipc/budget.h"
#include "ipc/lookout.h"
#include "ipc/pages.h"
#include "ipc/reclaim.h"
#include "ipc/records.h"
#include "ipc/request.h"
#include "ipc/shared.h"
#include "ipc/slot.h"
#include "ipc/wait.h"
#include "src/arena_explain.h"
#include "src/error.h"

static int no_memory(const struct view *view, uint64_t bytes, int result,
                     const struct shortage *shortage)
{
    char what[128];

    if (result == -ENOBUFS)
        return tr_fail(TR_ENOSPC,
                       "loan: no memory for %lu bytes: slots that are in use have all of "
                       "the arena's limit of %lu (memory_bytes); release some, or create "
                       "it with more",
                       (unsigned long)bytes, (unsigned long)view->geo.memory_bytes);
    if (result != -ENOSPC || shortage->limit == SHORTAGE_KERNEL)
        return tr_fail_errno(result,
                             "loan: no memory for a slot of %lu bytes (lazy arena); "
                             "tr_arena_trim() gives idle ones back",
                             (unsigned long)bytes);
    snprintf(what, sizeof(what),
             "loan: no memory for a slot of %lu bytes (lazy arena; tr_arena_trim() gives "
             "idle ones back)",
             (unsigned long)bytes);
    return explain_shortage(what, shortage);
}

/* What is said to be missing: in a lazy arena all of the slot. */
static uint64_t bytes_of(const struct view *view, uint32_t slot, const struct plan *plan)
{
    return view_elastic(view) ? descriptor_bytes(plan)
                              : view->geo.classes[view_class_of(view, slot)].slot_bytes;
}

/* What nobody reads any more is freed: messages of broadcasts, values of boards and replies. If it
 * is nothing, a broadcast gives up messages that are not read yet, as far as its policy allows:
 * from the largest class on, so that few are lost. Whether it was any. */
static bool collect(const struct view *view)
{
    bool any = false;

    for (uint32_t c = 0; c < view->geo.class_count; c++)
        any |= reclaim_shared(view, c, false) || request_collect(view, c);
    for (uint32_t c = view->geo.class_count; c > 0 && !any; c--)
        any = reclaim_shared(view, c - 1, true);
    return any;
}

/* Where there is no room within the limit, free slots give back what they keep. */
static int reserve(struct tr_arena *arena, uint32_t slot, const struct plan *plan,
                   struct shortage *shortage)
{
    uint64_t bytes = descriptor_bytes(plan);
    int result = pages_reserve(&arena->view, slot, bytes, shortage);
    bool more = true;

    while (result == -ENOBUFS && more) {
        (void)reclaim_memory(&arena->peer);
        result = pages_reserve(&arena->view, slot, bytes, shortage);
        more = result == -ENOBUFS && collect(&arena->view);
    }
    return result;
}

int loan_grow(struct tr_arena *arena, uint32_t slot, const struct plan *plan)
{
    struct shortage shortage = {.limit = SHORTAGE_NONE};
    int result;

    if (!view_elastic(&arena->view))
        return 0;
    result = reserve(arena, slot, plan, &shortage);
    return result == 0
               ? 0
               : no_memory(&arena->view, descriptor_bytes(plan), result, &shortage);
}

int loan_reserve(struct tr_arena *arena, uint32_t slot, const struct plan *plan)
{
    struct shortage shortage = {.limit = SHORTAGE_NONE};
    int result = reserve(arena, slot, plan, &shortage);

    if (result == 0)
        return 0;
    slot_free(&arena->peer, slot);
    return no_memory(&arena->view, bytes_of(&arena->view, slot, plan), result, &shortage);
}

struct wanted {
    struct tr_arena *arena;
    const struct plan *plan;
    uint32_t c, slot;
    struct shortage shortage;
};

/* A slot of class @p c that is free, or was never used. -EAGAIN, -errno. */
static int find_in(struct wanted *wanted, uint32_t c)
{
    struct peer *me = &wanted->arena->peer;
    int result = 0;

    while (result == 0 && slot_loan(me, c, &wanted->slot) < 0)
        result = records_more(me, c, &wanted->shortage);
    return result;
}

/* The smallest class that has a free slot: a larger slot costs nothing more. Then the smallest where
 * a broadcast may give one up. */
static int find(struct wanted *wanted)
{
    const struct view *view = &wanted->arena->view;
    struct peer *me = &wanted->arena->peer;
    int result = -EAGAIN;

    for (uint32_t c = wanted->c; c < view->geo.class_count; c++) {
        int found = find_in(wanted, c);

        if (found == 0)
            return 0;
        result = found != -EAGAIN ? found : result;
    }
    for (uint32_t c = wanted->c; c < view->geo.class_count; c++)
        if (reclaim_shared(view, c, true) && slot_loan(me, c, &wanted->slot) == 0)
            return 0;
    return result;
}

/* The slot is ours, and was free. On error it goes back; -EAGAIN: there is no room. */
static int equip(struct wanted *wanted)
{
    struct tr_arena *arena = wanted->arena;
    int result;

    pages_taken(&arena->view, wanted->slot);
    result = reserve(arena, wanted->slot, wanted->plan, &wanted->shortage);
    if (result == 0)
        return 0;
    slot_free(&arena->peer, wanted->slot);
    return result == -ENOBUFS ? -EAGAIN : result;
}

/* What a message takes of the limit. */
static uint64_t share_of(const struct plan *plan)
{
    return pages_for(descriptor_bytes(plan));
}

/* Whether there would be room if free slots gave back what they keep. */
static bool has_room(const struct view *view, uint64_t bytes)
{
    struct budget_use use;

    if (view->geo.memory_bytes == 0)
        return true;
    use = budget_use(view);
    return use.reserved - use.warm + bytes <= view->geo.memory_bytes;
}

/* First the look at the memory: one that takes a slot in vain and gives it back wakes others that
 * do the same. */
static int attempt(void *context)
{
    struct wanted *wanted = context;
    const struct view *view = &wanted->arena->view;
    uint64_t bytes = share_of(wanted->plan);
    int result;

    while (!has_room(view, bytes))
        if (!collect(view))
            return -EAGAIN;
    result = find(wanted);
    return result == 0 ? equip(wanted) : result;
}

static RARE int beyond(const struct view *view, uint64_t bytes)
{
    return tr_fail(TR_EMSGSIZE,
                   "the message needs %lu bytes (whole pages), the arena's limit is %lu "
                   "(memory_bytes); "
                   "create it with more",
                   (unsigned long)bytes, (unsigned long)view->geo.memory_bytes);
}

/* What is used up, and which processes have it. */
static int explain(const struct wanted *wanted, int result)
{
    const struct view *view = &wanted->arena->view;
    uint64_t bytes = share_of(wanted->plan);
    bool late = result == -ETIMEDOUT;

    if (result != -ETIMEDOUT && result != -EAGAIN && result != -EINTR &&
        result != -EOWNERDEAD)
        return no_memory(view, bytes, result, &wanted->shortage);
    if (has_room(view, bytes)) {
        result = tr_fail_wait(result, "loan: all slots of %lu bytes and more are in use",
                              (unsigned long)view->geo.classes[wanted->c].slot_bytes);
        arena_explain_holders(wanted->arena, wanted->c, late);
        return result;
    }
    result = tr_fail_wait(result,
                          "loan: no memory for %lu bytes: of the arena's limit of %lu "
                          "(memory_bytes) %lu are in use",
                          (unsigned long)bytes, (unsigned long)view->geo.memory_bytes,
                          (unsigned long)budget_use(view).reserved);
    arena_explain_memory(wanted->arena, late);
    return result;
}

int loan_elastic(struct tr_arena *arena, uint32_t c, const struct plan *plan,
                 int64_t timeout_ns, bool found, uint32_t *slot)
{
    struct wanted wanted = {.arena = arena, .plan = plan, .c = c, .slot = *slot};
    uint64_t limit = arena->view.geo.memory_bytes;
    int result = found ? 0 : find(&wanted);

    if (result == 0)
        result = equip(&wanted);
    if (result == -EAGAIN && limit && share_of(plan) > limit)
        return beyond(&arena->view, share_of(plan));
    if (result == -EAGAIN) {
        view_count(&arena->view, COUNT_LOAN_WAITS, 1);
        lookout_pass(&arena->peer);
        result = wait_for(&arena->peer, view_freed(&arena->view, c), attempt, &wanted,
                          timeout_ns);
    }
    *slot = wanted.slot;
    return result == 0 ? 0 : explain(&wanted, result);
}
