/* SPDX-License-Identifier: MIT */
#include "ipc/exchange/pages.h"

#include <errno.h>

#include "ipc/exchange/budget.h"
#include "ipc/hooks.h"
#include "ipc/mutant.h"

/* Bytes of a slot that may have memory, and that surely have, as word @p memory says. Never more
 * than the slot: they are taken away. */
static uint64_t perhaps(const struct view *view, uint32_t slot, uint64_t memory)
{
    uint64_t stride = view->geo.classes[view_class_of(view, slot)].stride;
    uint64_t bytes = MEMORY_PAGES(memory) * ARENA_PAGE;

    if (view_elastic(view))
        return bytes < stride ? bytes : stride;
    return memory & MEMORY_RESIDENT ? stride : 0;
}

static uint64_t surely(const struct view *view, uint32_t slot, uint64_t memory)
{
    return memory & MEMORY_RESIDENT ? perhaps(view, slot, memory) : 0;
}

/* Say so of a slot that is ours, and leave alone what device.h says. */
static void note(const struct view *view, uint32_t slot, uint64_t bytes, bool sure)
{
    _Atomic uint64_t *memory = &view_record(view, slot)->memory;
    uint64_t there = sure ? MEMORY_RESIDENT : 0;

    if (view_elastic(view))
        there |= MEMORY_OF(bytes / ARENA_PAGE);
    shm_put(memory, (shm_get(memory) & ~MEMORY_THERE) | there);
}

static void give_up(const struct view *view, uint64_t bytes)
{
    if (view_elastic(view))
        budget_return(view, bytes);
}

/* Reserve from byte @p from of the slot on. First the word: after a kill here without it
 * nobody would know of that memory, and it would stay reserved. On error it is as it was. */
static int reserve_more(const struct view *view, uint32_t slot, uint64_t from,
                        uint64_t bytes, struct shortage *shortage)
{
    uint64_t off = view_payload_off(view, slot) + from;
    int result;

    if (view_elastic(view) && !budget_claim(view, bytes))
        return -ENOBUFS;
    if (view_elastic(view) && !MUTANT(PAGES_UNKNOWN))
        note(view, slot, from + bytes, false);
    result = hooks->reserve(view, off, bytes, shortage);
    if (result == 0) {
        note(view, slot, from + bytes, true);
        return 0;
    }
    (void)hooks->punch(view, off, bytes);
    note(view, slot, from, from > 0);
    give_up(view, bytes);
    return result;
}

/* A slot whose holder was killed while it gave it memory, or took it away, has none. */
static int settle(const struct view *view, uint32_t slot)
{
    uint64_t memory = shm_get(&view_record(view, slot)->memory), ignored = 0;

    return perhaps(view, slot, memory) == surely(view, slot, memory)
               ? 0
               : pages_trim(view, slot, &ignored);
}

int pages_reserve(const struct view *view, uint32_t slot, uint64_t bytes,
                  struct shortage *shortage)
{
    const struct slot_class *class = &view->geo.classes[view_class_of(view, slot)];
    uint64_t want = view_elastic(view) ? pages_for(bytes) : class->stride;
    uint64_t there = surely(view, slot, shm_get(&view_record(view, slot)->memory));
    int result;

    if (there >= want || class->stride % ARENA_PAGE)
        return 0;
    result = settle(view, slot);
    return result < 0 ? result : reserve_more(view, slot, there, want - there, shortage);
}

int pages_trim(const struct view *view, uint32_t slot, uint64_t *bytes)
{
    uint64_t there = perhaps(view, slot, shm_get(&view_record(view, slot)->memory));
    int result;

    if (there == 0)
        return 0;
    /* First the word: a slot whose word says so has its memory, also after a kill here. */
    note(view, slot, MUTANT(PAGES_FORGOTTEN) ? 0 : there, false);
    result = hooks->punch(view, view_payload_off(view, slot), there);
    if (result < 0)
        return result;
    note(view, slot, 0, false);
    give_up(view, there);
    *bytes += there;
    return 0;
}

bool pages_keep(const struct view *view, uint32_t slot)
{
    uint64_t bytes = view_memory(view, slot);

    return bytes == 0 || budget_keep(view, bytes);
}

uint64_t pages_warm(const struct view *view, uint32_t slot)
{
    uint64_t bytes = view_memory(view, slot);

    if (bytes)
        budget_warmed(view, bytes);
    return bytes;
}

void pages_taken(const struct view *view, uint32_t slot)
{
    uint64_t bytes = view_memory(view, slot);

    if (bytes)
        budget_cooled(view, bytes);
}
