/* SPDX-License-Identifier: MIT */
/* records.h - the records of an elastic arena's slots: they have memory from their first use on.
 *
 * A record that is all 0 is that of a free slot. Each class has a mark: slots beyond it were
 * never used, and their records may be a hole of the file. A read of a hole through a mapping
 * takes a page of memory, or is a SIGBUS where there is none, so nobody reads beyond the mark. A
 * loan that finds no free slot below it reserves the next records, then raises the mark: if it is
 * killed between the two, the next one finds that memory, and two that do it at once reserve the
 * same. What was used once stays; its page is never given back, as others may have their records
 * there.
 *
 * In any other arena all slots count as used. */
#ifndef TR_IPC_RECORDS_H
#define TR_IPC_RECORDS_H

#include "ipc/kernel/limits.h"
#include "ipc/order.h"
#include "ipc/view.h"

/* How many slots of class @p c, from its first on, have records that may be read. */
static inline uint32_t records_used(const struct view *view, uint32_t c)
{
    uint32_t count = view->geo.classes[c].count, used;

    if (__builtin_expect(!view_elastic(view), 1))
        return count;
    /* E3: a slot that was freed before our announcement is below the mark that we see. Its memory
     * is there: the kernel gave it before records_more() raised the mark. */
    used = shm_load(&view_live(view)->classes[c].used, E3);
    return used < count ? used : count;
}

/* The first slot from @p slot on that has one; slot_count: there is none. */
uint32_t records_skip(const struct view *view, uint32_t slot);

static inline uint32_t records_from(const struct view *view, uint32_t slot)
{
    return __builtin_expect(view_elastic(view), 0) ? records_skip(view, slot) : slot;
}

/* Take slots of class @p c into use. 0, also if another process was faster; -EAGAIN, all are;
 * -errno, there is no memory for their records. Lock-free. */
int records_more(struct self *me, uint32_t c, struct shortage *shortage);

#endif
