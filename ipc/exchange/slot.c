/* SPDX-License-Identifier: MIT */
#include "ipc/exchange/slot.h"

#include <errno.h>

#include "ipc/exchange/budget.h"
#include "ipc/exchange/owned.h"
#include "ipc/exchange/pages.h"
#include "ipc/exchange/records.h"
#include "ipc/mutant.h"
#include "ipc/path.h"
#include "ipc/signal/wake.h"

/* Slots of at least this size: the last one freed by anybody is worth a cache miss, since
 * its payload still is in some cache. In a lazy arena any slot is: it has memory. */
#define WARM_BYTES 16384

/* How many slots to look at for one that has memory, and for some to give it back. */
#define LOW   64
#define STALE 32

/* How many slots to fetch ahead of what is being loaned. */
#define AHEAD 2

static bool warm(const struct view *view, uint32_t c)
{
    return view->geo.classes[c].slot_bytes >= WARM_BYTES ||
           view->geo.flags & SEGMENT_LAZY;
}

PATH bool take_this(struct self *me, uint32_t slot)
{
    struct slot_record *record = view_record(me->view, slot);
    /* E3: also the look after a loaner's announcement. */
    uint64_t seen = shm_load(&record->owner, E3);

    /* E2 acquire: pairs with the free. Without it, our writes to the payload could be seen
     * by the former holder, which is still reading. */
    return SLOT_STATE(seen) == SLOT_FREE &&
           shm_cas(&record->owner, &seen, slot_held(seen, SLOT_LOANED, me), E2_LOAN);
}

bool slot_loan_this(struct self *me, uint32_t slot)
{
    return take_this(me, slot);
}

/* Slots are freed in the order in which they went out, mostly: what is loaned soon lies in
 * the cache of the processor that freed it. Fetch it while there is other work; for reading, as its
 * holder may not be done with it. */
static void fetch_ahead(const struct view *view, const struct slot_class *class,
                        uint32_t at)
{
    uint32_t ahead = at + AHEAD < class->count ? at + AHEAD : 0;
    const uint8_t *record = (const uint8_t *)view_record(view, class->first_slot + ahead);

    __builtin_prefetch(record);
    __builtin_prefetch(view->base + class->payload_off + ahead * class->stride);
}

/* Whether a slot has no memory. Only in an elastic arena: in a lazy one it has some for good. */
static bool is_cold(const struct view *view, uint32_t slot)
{
    return view_elastic(view) && view_memory(view, slot) == 0;
}

/* Where the cursor comes to slots without memory it goes back to the first ones, if one of them is
 * free and has some: going round would ask the kernel for each loan and each free. */
static bool take_low(struct self *me, uint32_t c, uint32_t count, uint32_t *at)
{
    uint32_t first = me->view->geo.classes[c].first_slot;

    for (uint32_t i = 0; i < count && i < LOW; i++)
        if (!is_cold(me->view, first + i) && take_this(me, first + i)) {
            *at = i;
            return true;
        }
    return false;
}

/* Try all slots once, from the cursor on. A wrong hint costs only time. */
static int scan(struct self *me, uint32_t c, uint32_t *slot)
{
    const struct slot_class *class = &me->view->geo.classes[c];
    /* relaxed: local hint. */
    uint32_t at = atomic_load_explicit(&me->cursor[c], memory_order_relaxed);
    uint32_t count = records_used(me->view, c);
    bool look_low = view_elastic(me->view);

    for (uint32_t i = 0; i < count; i++) {
        bool low = look_low && is_cold(me->view, class->first_slot + at) &&
                   take_low(me, c, count, &at);
        uint32_t candidate = class->first_slot + at;

        look_low = look_low && !is_cold(me->view, candidate);
        fetch_ahead(me->view, class, at);
        at = at + 1 < count ? at + 1 : 0;
        if (low || take_this(me, candidate)) {
            /* relaxed: local hint. */
            atomic_store_explicit(&me->cursor[c], at, memory_order_relaxed);
            *slot = candidate;
            return 0;
        }
    }
    return -EAGAIN;
}

/* Any slot of the class but the one that we freed last. */
static ASIDE int loan_other(struct self *me, uint32_t c, uint32_t *slot)
{
    const struct slot_class *class = &me->view->geo.classes[c];

    if (warm(me->view, c)) {
        /* relaxed: a hint. */
        uint32_t last = shm_get(&view_live(me->view)->classes[c].last) - 1;

        if (last >= class->first_slot &&
            last - class->first_slot < records_used(me->view, c) &&
            slot_loan_this(me, last)) {
            *slot = last;
            return 0;
        }
    }
    return scan(me, c, slot);
}

PATH_ACROSS int slot_loan_free(struct self *me, uint32_t c, uint32_t *slot)
{
    /* relaxed: local hint. */
    uint32_t last_freed = atomic_load_explicit(&me->last_freed[c], memory_order_relaxed);

    if (last_freed) {
        atomic_store_explicit(&me->last_freed[c], 0, memory_order_relaxed);
        if (take_this(me, last_freed - 1)) {
            *slot = last_freed - 1;
            return 0;
        }
    }
    return loan_other(me, c, slot);
}

static void freed(const struct view *view, uint32_t slot, uint32_t c)
{
    struct class_words *words = &view_live(view)->classes[c];

    if (warm(view, c))
        shm_put(&words->last, slot + 1);
    wake_one(view, &words->freed);
}

/* The same where the arena may be elastic. */
static void freed_any(const struct view *view, uint32_t slot, uint32_t c)
{
    if (warm(view, c) && !is_cold(view, slot))
        shm_put(&view_live(view)->classes[c].last, slot + 1);
    wake_loaner(view, c);
}

/* Free slot @p stale gives its memory back. */
static bool give_up(struct self *me, uint32_t stale)
{
    uint64_t ignored = 0;

    if (!slot_loan_this(me, stale))
        return false;
    pages_taken(me->view, stale);
    (void)pages_trim(me->view, stale, &ignored);
    /* relaxed: the slot is ours. */
    (void)slot_free_from(
        me->view, stale,
        shm_load(&view_record(me->view, stale)->owner, memory_order_relaxed));
    return true;
}

/* The next slot that was used, round and round. */
static uint32_t next_used(const struct view *view, uint32_t slot)
{
    uint32_t next = records_from(view, slot + 1);

    return next < view->geo.slot_count ? next : records_from(view, 0);
}

/* Slot @p slot will be free and keep its memory, which is beyond the budget: the free ones that
 * come next give theirs back. Those that are in use get it again; what was used long ago does not,
 * so that in the end the budget is for what is in use. Whether there is room now. */
static bool relieve(struct self *me, uint32_t slot)
{
    /* relaxed: local hint. */
    uint32_t at = atomic_load_explicit(&me->stale, memory_order_relaxed);
    bool kept = false;

    for (uint32_t i = 0; i < STALE && !kept; i++) {
        at = next_used(me->view, at);
        kept = at != slot && !is_cold(me->view, at) && give_up(me, at) &&
               pages_keep(me->view, slot);
    }
    /* relaxed: local hint. */
    atomic_store_explicit(&me->stale, at, memory_order_relaxed);
    return kept;
}

/* A slot of an elastic arena keeps its memory within the budget, or gives it back before it is
 * free. It becomes a loan of ours first, so that no other process takes it meanwhile, and it is
 * not delivered again without its memory if we are killed here. False: it was not ours any more. */
static ASIDE bool cool(struct self *me, uint32_t slot, uint64_t *held)
{
    uint64_t seen = *held, ignored = 0;
    uint64_t mine = slot_word(SLOT_LOANED, me->who, me->inc, 0,
                              (SLOT_GENERATION(seen) | 1) + 1);

    /* relaxed: ours before and after; the free passes it on. */
    if (!shm_cas(&view_record(me->view, slot)->owner, &seen, mine, memory_order_relaxed))
        return false;
    if (!pages_keep(me->view, slot) && !relieve(me, slot))
        (void)pages_trim(me->view, slot, &ignored);
    *held = mine;
    return true;
}

void slot_free(struct self *me, uint32_t slot)
{
    struct slot_record *record = view_record(me->view, slot);

    ASSERT_HELD(me, record);
    /* relaxed: the slot is ours. */
    (void)slot_free_held(me, slot, view_class_of(me->view, slot),
                         shm_load(&record->owner, memory_order_relaxed));
}

static ASIDE bool free_elastic(struct self *me, uint32_t slot, uint32_t c, uint64_t held)
{
    bool cold;

    if (!MUTANT(COOL_LATE) && !cool(me, slot, &held))
        return false;
    cold = is_cold(me->view, slot);
    /* E2 release: pairs with the loan. E3: before the look for sleepers. */
    if (!shm_cas(&view_record(me->view, slot)->owner, &held, slot_freed(held), E2_FREE))
        return false;
    if (MUTANT(COOL_LATE) && !pages_keep(me->view, slot))
        (void)pages_trim(me->view, slot, &(uint64_t){0});
    if (!cold)
        /* relaxed: local hint. */
        atomic_store_explicit(&me->last_freed[c], slot + 1, memory_order_relaxed);
    freed_any(me->view, slot, c);
    return true;
}

PATH_ACROSS bool slot_free_held(struct self *me, uint32_t slot, uint32_t c, uint64_t held)
{
    if (UNLIKELY(view_elastic(me->view)))
        return free_elastic(me, slot, c, held);
    if (MUTANT(WAKE_FIRST))
        freed(me->view, slot, c);
    /* E2 release: pairs with the loan. E3: before the look for sleepers. */
    if (!shm_cas(&view_record(me->view, slot)->owner, &held, slot_freed(held), E2_FREE))
        return false;
    /* relaxed: local hint. */
    atomic_store_explicit(&me->last_freed[c], slot + 1, memory_order_relaxed);
    if (!MUTANT(WAKE_FIRST))
        freed(me->view, slot, c);
    return true;
}

bool slot_free_from(const struct view *view, uint32_t slot, uint64_t seen)
{
    uint64_t warm = view_elastic(view) ? pages_warm(view, slot) : 0;

    /* E2 release: pairs with the loan. E3: before the look for sleepers. */
    if (!shm_cas(&view_record(view, slot)->owner, &seen, slot_freed(seen), E2_FREE)) {
        if (warm)
            budget_cooled(view, warm);
        return false;
    }
    freed_any(view, slot, view_class_of(view, slot));
    return true;
}
