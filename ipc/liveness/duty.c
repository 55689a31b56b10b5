/* SPDX-License-Identifier: MIT */
#include "ipc/liveness/duty.h"

/* Everything is relaxed here: nothing else is read or written on the strength of it. */

static uint32_t packed(struct duties duties)
{
    return duties.watcher | duties.deputy << 16;
}

static struct duties without(struct duties duties, uint32_t who)
{
    if (duties.watcher == who + 1)
        duties.watcher = 0;
    if (duties.deputy == who + 1)
        duties.deputy = 0;
    return duties;
}

struct duties duties_seen(const struct view *view)
{
    /* relaxed: as above. */
    uint32_t word = shm_load(&view_live(view)->duties, memory_order_relaxed);

    return (struct duties){.watcher = word & 0xffff, .deputy = word >> 16};
}

enum duty duty_of(struct duties duties, uint32_t who)
{
    return duties.watcher == who + 1  ? DUTY_WATCHER
           : duties.deputy == who + 1 ? DUTY_DEPUTY
                                      : DUTY_NONE;
}

bool duty_take(const struct view *view, struct duties duties, enum duty duty,
               uint32_t who)
{
    uint32_t seen = packed(duties);

    duties = without(duties, who);
    if (duty == DUTY_WATCHER)
        duties.watcher = who + 1;
    else
        duties.deputy = who + 1;
    /* relaxed: as above. */
    return shm_cas(&view_live(view)->duties, &seen, packed(duties), memory_order_relaxed);
}

void duty_leave(const struct view *view, uint32_t who)
{
    struct duties duties = duties_seen(view);
    uint32_t seen = packed(duties);

    /* relaxed: as above. Once is enough: who meets another change is found out later. */
    if (duty_of(duties, who) != DUTY_NONE)
        shm_cas(&view_live(view)->duties, &seen, packed(without(duties, who)),
                memory_order_relaxed);
}
