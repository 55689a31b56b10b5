/* SPDX-License-Identifier: MIT */
/* loan.c - from a list of tensors to a slot that has room for them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ipc/exchange/channel.h"
#include "ipc/exchange/elastic.h"
#include "ipc/exchange/owned.h"
#include "ipc/exchange/reclaim.h"
#include "ipc/exchange/slot.h"
#include "ipc/path.h"
#include "ipc/wait/wait.h"
#include "src/arena/arena.h"
#include "src/arena/arena_explain.h"
#include "src/base/error.h"
#include "src/base/options.h"
#include "src/message/descriptor.h"
#include "src/message/loan_memory.h"
#include "src/message/loan_needs.h"
#include "src/message/message_open.h"

/* The smallest class that fits, or class_count. */
static uint32_t choose_class(const struct view *view, const struct plan *plan)
{
    uint32_t c = 0;

    while (c < view->geo.class_count && !descriptor_fits(&view->geo.classes[c], plan))
        c++;
    return c;
}

static RARE int too_large(const struct view *view, const struct plan *plan)
{
    return tr_fail(
        TR_EMSGSIZE,
        "the message needs %lu bytes of payload and %lu of descriptors, the "
        "largest slots have %lu; create the arena with a larger class",
        (unsigned long)plan->data_bytes, (unsigned long)plan->table_bytes,
        (unsigned long)view->geo.classes[view->geo.class_count - 1].slot_bytes);
}

int loan_needs_of(const struct tr_arena *arena, const tr_tensor_spec specs[], size_t n,
                  struct loan_needs *needs)
{
    struct plan plan = {0};
    int result = !specs && n ? null_fail("loan", "specs")
                             : descriptor_plan(specs, n, &plan);

    if (result < 0)
        return result;
    needs->bytes = descriptor_bytes(&plan);
    needs->class = choose_class(&arena->view, &plan);
    return needs->class == arena->view.geo.class_count
               ? too_large(&arena->view, &plan)
               : loan_within_limit(&arena->view, &plan);
}

bool loan_needs_met(const struct tr_arena *arena, const struct loan_needs *needs)
{
    const struct view *view = &arena->view;

    if (view_elastic(view))
        return elastic_may_loan(view, needs->class, needs->bytes);
    return slot_may_loan(view, needs->class) || reclaim_could_drop(view, needs->class);
}

struct wanted {
    struct self *me;
    const struct channel *channel; /* that the message is for; NULL: any */
    uint32_t c, slot;
};

static int attempt(void *context)
{
    struct wanted *wanted = context;
    int result = slot_loan(wanted->me, wanted->c, &wanted->slot);

    return result == -EAGAIN && wanted->channel && channel_is_closed(wanted->channel)
               ? -ESHUTDOWN
               : result;
}

/* No slot is free: perhaps the dead hold some; else wait. */
static ASIDE int loan_slowly(struct tr_arena *arena, uint32_t c, int64_t timeout_ns,
                             const struct channel *channel, uint32_t *slot)
{
    struct wanted wanted = {.me = &arena->self, .channel = channel, .c = c};
    int result;

    view_count(&arena->view, COUNT_LOAN_WAITS, 1);
    monitor_pass(&arena->self);
    result = wait_for(&arena->self, &view_live(&arena->view)->classes[c].freed, attempt,
                      &wanted, timeout_ns);
    *slot = wanted.slot;
    if (result == 0 || result == -ESHUTDOWN)
        return result;
    result = tr_fail_wait(result,
                          "loan: all %u slots of %lu bytes are in use; "
                          "release or copy what is held, or create the arena with more",
                          arena->view.geo.classes[c].count,
                          (unsigned long)arena->view.geo.classes[c].slot_bytes);
    arena_explain_holders(arena, c, result == TR_ETIMEDOUT);
    return result;
}

/* A slot of a lazy arena has its memory from its first loan on. @p result: of the first look for
 * a slot. */
static ASIDE int take_lazy(struct tr_arena *arena, uint32_t c, const struct plan *plan,
                           int64_t timeout_ns, const struct channel *channel, int result,
                           uint32_t *slot)
{
    if (view_elastic(&arena->view))
        return loan_elastic(arena, c, plan, timeout_ns, channel, result == 0, slot);
    if (result < 0)
        result = loan_slowly(arena, c, timeout_ns, channel, slot);
    return result < 0 ? result : loan_reserve(arena, *slot, plan);
}

PATH int take_slot(struct tr_arena *arena, uint32_t c, const struct plan *plan,
                   int64_t timeout_ns, const struct channel *channel, uint32_t *slot)
{
    int result = slot_loan(&arena->self, c, slot);

    if (UNLIKELY(arena->view.geo.flags & TR_ARENA_LAZY))
        return take_lazy(arena, c, plan, timeout_ns, channel, result, slot);
    if (UNLIKELY(result < 0))
        result = loan_slowly(arena, c, timeout_ns, channel, slot);
    return result;
}

/* What the last user of the slot left; descriptor_write() takes its flags away. */
static void clear_header(const struct self *me, struct slot_record *record)
{
    (void)me;
    ASSERT_HELD(me, record);
    shm_put(&record->reply_to, 0);
}

/* What the last user of the slot left in its payload. */
static void scrub(const struct view *view, uint32_t slot, const struct plan *plan)
{
    if (__builtin_expect(view->geo.flags & TR_ARENA_SCRUB, 0))
        memset(view->base + view_payload_off(view, slot), 0, plan->data_bytes);
}

/* The slot is ours: what its last user left goes. */
PATH struct message *begin_loan(struct tr_arena *arena, uint32_t slot,
                                struct slot_record *record, const struct plan *plan)
{
    struct message *message = message_of(arena, slot);

    clear_header(&arena->self, record);
    scrub(&arena->view, slot, plan);
    message->sequence = 0;
    message->deliveries = 0;
    message->sender = arena->self.who;
    return message;
}

/* Describe what will be in a slot that is ours. On error it goes back. */
static int describe_loan(struct tr_arena *arena, uint32_t slot,
                         const tr_tensor_spec specs[], size_t n, const struct plan *plan,
                         tr_message **out)
{
    struct slot_record *record = view_record(&arena->view, slot);
    struct message *message = begin_loan(arena, slot, record, plan);
    int result;

    descriptor_write(&arena->view, slot, specs, n, plan);
    /* relaxed: the slot is ours. */
    result = message_open(arena, message, slot, shm_get(&record->owner), arena->view.base,
                          HELD_LOAN, out);
    if (result < 0)
        slot_free(&arena->self, slot);
    return result;
}

/* A slot for what was planned. */
PATH int find_slot(struct tr_arena *arena, const struct plan *plan, int64_t timeout_ns,
                   const struct channel *channel, uint32_t *slot)
{
    uint32_t c = choose_class(&arena->view, plan);

    if (UNLIKELY(c == arena->view.geo.class_count))
        return too_large(&arena->view, plan);
    arena_check_liveness(arena);
    return take_slot(arena, c, plan, timeout_ns, channel, slot);
}

/* Anything that a user may ask for, or why it is invalid. */
static ASIDE int loan_any(const tr_arena *given, const tr_tensor_spec specs[], size_t n,
                          int64_t timeout_ns, const struct channel *channel,
                          tr_message **out)
{
    struct tr_arena *arena;
    struct plan plan = {0};
    uint32_t slot = 0;
    int result = arena_open(given, "loan", &arena);

    if (result == 0)
        result = timeout_check("loan", timeout_ns);
    if (result == 0 && (!out || (!specs && n)))
        result = null_fail("loan", out ? "specs" : "out");
    if (result == 0)
        result = descriptor_plan(specs, n, &plan);
    if (result == 0)
        result = find_slot(arena, &plan, timeout_ns, channel, &slot);
    return result < 0 ? result : describe_loan(arena, slot, specs, n, &plan, out);
}

/* What nearly every loan is: one plain tensor, of an arena that is in use. */
int tr_message_loan(tr_arena *given, const tr_tensor_spec specs[], size_t n,
                    int64_t timeout_ns, tr_message **out)
{
    struct tr_arena *arena = arena_known(given);
    struct slot_record *record;
    struct message *message;
    struct plan plan;
    uint32_t slot;
    int result;

    if (UNLIKELY(!arena || !arena_is_joined(arena) || timeout_ns < -1 || !out || !specs ||
                 !descriptor_plan_plain(specs, n, &plan)))
        return loan_any(given, specs, n, timeout_ns, NULL, out);
    result = find_slot(arena, &plan, timeout_ns, NULL, &slot);
    if (UNLIKELY(result < 0))
        return result;
    record = view_record(&arena->view, slot);
    message = begin_loan(arena, slot, record, &plan);
    /* relaxed: the slot is ours. */
    *out = message_hold(arena, message, slot, shm_get(&record->owner), HELD_LOAN);
    descriptor_write_plain(message, record, specs, &plan);
    return 0;
}

/* The first try is as fast as any other loan. */
int message_loan_for(tr_arena *arena, const struct channel *channel,
                     const tr_tensor_spec specs[], size_t n, int64_t timeout_ns,
                     tr_message **out)
{
    int result = timeout_check("loan", timeout_ns);

    if (result == 0)
        result = tr_message_loan(arena, specs, n, TR_NOWAIT, out);
    return result == TR_EAGAIN ? loan_any(arena, specs, n, timeout_ns, channel, out)
                               : result;
}

int tr_message_loan_bytes(tr_arena *arena, uint64_t nbytes, int64_t timeout_ns,
                          tr_message **out)
{
    int64_t shape[1] = {(int64_t)nbytes};
    tr_tensor_spec spec = {
        .dtype = {TR_DTYPE_UINT, 8, 1}, .ndim = 1, .shape = shape, .flags = 0};
    int result;

    if (__builtin_expect(nbytes > (uint64_t)INT64_MAX, 0))
        return tr_fail(TR_EOVERFLOW, "%lu bytes are more than 2^63",
                       (unsigned long)nbytes);
    result = tr_message_loan(arena, &spec, 1, timeout_ns, out);
    if (result == 0)
        message_set_content(handle_address(*out), TR_CONTENT_OCTETS);
    return result;
}

uint64_t message_capacity(const struct message *message)
{
    const struct view *view = &message->arena->view;

    return view->geo.classes[view_class_of(view, message->slot)].slot_bytes;
}

int message_respec(struct message *message, const tr_tensor_spec specs[], size_t n)
{
    const struct view *view = &message->arena->view;
    struct plan plan = {0};
    bool plain = specs && descriptor_plan_plain(specs, n, &plan);
    int result = plain ? 0 : descriptor_plan(specs, n, &plan);

    if (result < 0)
        return result;
    if (!descriptor_fits(&view->geo.classes[message->class], &plan))
        return tr_fail(TR_EMSGSIZE,
                       "describe: %lu bytes of payload and %lu of descriptors do not fit "
                       "in a slot of %lu; loan another message",
                       (unsigned long)plan.data_bytes, (unsigned long)plan.table_bytes,
                       (unsigned long)message_capacity(message));
    ASSERT_HELD(&message->arena->self, view_record(view, message->slot));
    result = loan_grow(message->arena, message->slot, &plan);
    if (result < 0)
        return result;
    scrub(view, message->slot, &plan);
    if (plain)
        return descriptor_write_again(message, specs, &plan);
    descriptor_write(view, message->slot, specs, n, &plan);
    return descriptor_read(message, view_record(view, message->slot), view->base);
}

int message_describe(struct message *message, const tr_tensor_spec *spec, uint64_t offset)
{
    const struct view *view = &message->arena->view;
    struct plan plan = {0}, whole;
    int result = descriptor_plan(spec, 1, &plan);

    if (result < 0)
        return result;
    whole = (struct plan){offset + plan.data_bytes, plan.table_bytes};
    if (!descriptor_fits(&view->geo.classes[view_class_of(view, message->slot)], &whole))
        return too_large(view, &whole);
    ASSERT_HELD(&message->arena->self, view_record(view, message->slot));
    result = loan_grow(message->arena, message->slot, &whole);
    if (result < 0)
        return result;
    /* A table goes behind all that was read. */
    descriptor_write(view, message->slot, spec, 1, plan.table_bytes ? &whole : &plan);
    descriptor_move_first(view, message->slot, offset);
    return descriptor_read(message, view_record(view, message->slot), view->base);
}
