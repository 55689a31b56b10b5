/* SPDX-License-Identifier: MIT */
#include "src/message/loan_memory.h"

#include <errno.h>
#include <stdio.h>

#include "ipc/exchange/budget.h"
#include "ipc/exchange/channel.h"
#include "ipc/exchange/elastic.h"
#include "ipc/exchange/pages.h"
#include "ipc/exchange/slot.h"
#include "ipc/liveness/monitor.h"
#include "ipc/wait/wait.h"
#include "src/arena/arena_explain.h"
#include "src/base/error.h"

/* What the caller can do. In an elastic arena free slots have given back theirs. */
static const char *way(const struct view *view)
{
    return view_elastic(view) ? ""
                              : " (lazy arena; tr_arena_trim() gives idle ones back)";
}

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
        return tr_fail_errno(result, "loan: no memory for a %s of %lu bytes%s",
                             view_elastic(view) ? "message" : "slot",
                             (unsigned long)bytes, way(view));
    snprintf(what, sizeof(what), "loan: no memory for a %s of %lu bytes%s",
             view_elastic(view) ? "message" : "slot", (unsigned long)bytes, way(view));
    return explain_shortage_of_loan(what, shortage);
}

/* What is said to be missing: in a lazy arena all of the slot. */
static uint64_t bytes_of(const struct view *view, uint32_t slot, const struct plan *plan)
{
    return view_elastic(view) ? descriptor_bytes(plan)
                              : view->geo.classes[view_class_of(view, slot)].slot_bytes;
}

static int reserve(struct tr_arena *arena, uint32_t slot, const struct plan *plan,
                   struct shortage *shortage)
{
    return elastic_reserve(&arena->self, slot, descriptor_bytes(plan), shortage);
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
    slot_free(&arena->self, slot);
    return no_memory(&arena->view, bytes_of(&arena->view, slot, plan), result, &shortage);
}

/* What a message takes of the limit. */
static uint64_t share_of(const struct plan *plan)
{
    return pages_for(descriptor_bytes(plan));
}

static RARE int beyond(const struct view *view, uint64_t bytes)
{
    return tr_fail(TR_EMSGSIZE,
                   "the message needs %lu bytes (whole pages), the arena's limit is %lu "
                   "(memory_bytes); "
                   "create it with more",
                   (unsigned long)bytes, (unsigned long)view->geo.memory_bytes);
}

int loan_within_limit(const struct view *view, const struct plan *plan)
{
    uint64_t limit = view->geo.memory_bytes;

    return limit && share_of(plan) > limit ? beyond(view, share_of(plan)) : 0;
}

/* What is used up, and which processes have it. */
static int explain(struct tr_arena *arena, const struct elastic_spec *spec, int result)
{
    const struct view *view = &arena->view;
    uint64_t bytes = pages_for(spec->bytes);
    bool late = result == -ETIMEDOUT;

    if (result != -ETIMEDOUT && result != -EAGAIN && result != -EINTR &&
        result != -EOWNERDEAD)
        return no_memory(view, bytes, result, &spec->shortage);
    if (elastic_has_room(view, bytes)) {
        result = tr_fail_wait(
            result,
            "loan: all slots of %lu bytes and more are in use; "
            "release or copy what is held, or create the arena with more",
            (unsigned long)view->geo.classes[spec->c].slot_bytes);
        arena_explain_holders(arena, spec->c, late);
        return result;
    }
    result = tr_fail_wait(result,
                          "loan: no memory for %lu bytes: of the arena's limit of %lu "
                          "(memory_bytes) %lu are in use; "
                          "release or copy what is held, or create the arena with more",
                          (unsigned long)bytes, (unsigned long)view->geo.memory_bytes,
                          (unsigned long)budget_use(view).reserved);
    arena_explain_memory(arena, late);
    return result;
}

/* A loan for a channel. */
struct limited {
    struct elastic_spec *spec;
    const struct channel *channel; /* NULL: for any */
};

static int attempt(void *context)
{
    const struct limited *limited = context;
    int result = elastic_attempt(limited->spec);

    return result == -EAGAIN && limited->channel && channel_is_closed(limited->channel)
               ? -ESHUTDOWN
               : result;
}

int loan_elastic(struct tr_arena *arena, uint32_t c, const struct plan *plan,
                 int64_t timeout_ns, const struct channel *channel, bool found,
                 uint32_t *slot)
{
    struct elastic_spec spec = {
        .me = &arena->self, .c = c, .bytes = descriptor_bytes(plan), .slot = *slot};
    struct limited limited = {&spec, channel};
    int result = elastic_loan(&spec, found);

    if (result == -EAGAIN && loan_within_limit(&arena->view, plan) < 0)
        return TR_EMSGSIZE;
    if (result == -EAGAIN) {
        view_count(&arena->view, COUNT_LOAN_WAITS, 1);
        monitor_pass(&arena->self);
        result = wait_for(&arena->self, view_freed(&arena->view, c), attempt, &limited,
                          timeout_ns);
    }
    *slot = spec.slot;
    return result == 0 || result == -ESHUTDOWN ? result : explain(arena, &spec, result);
}
