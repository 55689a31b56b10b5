/* SPDX-License-Identifier: MIT */
#include "ipc/exchange/records.h"

#include <errno.h>

#include "ipc/hooks.h"
#include "ipc/mutant.h"

#define IN_PAGE (ARENA_PAGE / (uint32_t)sizeof(struct slot_record))
#define STEP_PART \
    8 /* of those in use: few looks at slots that are all taken, little unused */
#define STEP_MOST 1024

uint32_t records_skip(const struct view *view, uint32_t slot)
{
    for (uint32_t c = 0; c < view->geo.class_count; c++) {
        uint32_t first = view->geo.classes[c].first_slot;

        slot = slot < first ? first : slot;
        if (slot - first < records_used(view, c))
            return slot;
    }
    return view->geo.slot_count;
}

/* The next mark of a class: its records end with a page, or with the class. */
static uint32_t next_mark(const struct slot_class *class, uint32_t used)
{
    uint32_t more = used / STEP_PART < STEP_MOST ? used / STEP_PART : STEP_MOST;
    uint32_t end = (class->first_slot + used + more) / IN_PAGE * IN_PAGE + IN_PAGE;

    return end - class->first_slot < class->count ? end - class->first_slot
                                                  : class->count;
}

/* Memory for the records of class @p c from @p from to @p to. */
static int reserve(const struct view *view, uint32_t c, uint32_t from, uint32_t to,
                   struct shortage *shortage)
{
    uint32_t first = view->geo.classes[c].first_slot;
    uint32_t begin = (first + from) / IN_PAGE;
    uint32_t end = (first + to + IN_PAGE - 1) / IN_PAGE;

    return hooks->reserve(view, view->geo.records_off + (uint64_t)begin * ARENA_PAGE,
                          (uint64_t)(end - begin) * ARENA_PAGE, shortage);
}

int records_more(struct self *me, uint32_t c, struct shortage *shortage)
{
    const struct slot_class *class = &me->view->geo.classes[c];
    _Atomic uint32_t *mark = &view_live(me->view)->classes[c].used;
    uint32_t used = records_used(me->view, c), more = next_mark(class, used);
    int result;

    if (used == class->count)
        return -EAGAIN;
    if (MUTANT(MARK_FIRST))
        shm_store(mark, more, E3); /* E3: too early */
    result = reserve(me->view, c, used, more, shortage);
    if (result < 0)
        return result;
    /* E3: before any of the slots is used, and freed. The new records are free, as they have
     * always been: nobody is told. */
    if (MUTANT(MARK_STORED))
        shm_store(mark, more, E3); /* E3: also before use. */
    else if (shm_cas(mark, &used, more, E3))
        /* relaxed: local hint. */
        atomic_store_explicit(&me->cursor[c], used, memory_order_relaxed);
    return 0;
}
