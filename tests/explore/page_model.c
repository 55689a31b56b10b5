/* SPDX-License-Identifier: MIT */
#include "tests/explore/page_model.h"

/* The bit of a page of payloads, or of records. */
static uint64_t payload_bit(uint64_t off)
{
    return UINT64_C(1) << (off - world.view.geo.classes[ELASTIC_CLASS].payload_off) /
                              ARENA_PAGE;
}

static uint8_t record_bit(uint64_t off)
{
    return (uint8_t)(1u << (off - world.view.geo.records_off) / ARENA_PAGE);
}

void page_change(uint64_t off, uint64_t bytes, bool there)
{
    for (uint64_t at = off; at < off + bytes; at += ARENA_PAGE) {
        uint64_t page = at < world.view.geo.payload_off ? 0 : payload_bit(at);
        uint8_t record = page ? 0 : record_bit(at);

        world.notes.pages = there ? world.notes.pages | page : world.notes.pages & ~page;
        world.notes.records |= record; /* nobody takes them away */
    }
}

bool page_there(uint64_t off)
{
    return world.notes.pages & payload_bit(off);
}

const char *page_access(const void *at)
{
    uint64_t off = (uint64_t)((const uint8_t *)at - world.view.base);

    if (off >= world.view.geo.records_off && off < world.view.geo.payload_off &&
        !(world.notes.records & record_bit(off)))
        return "a record that has no memory is read or written";
    return NULL;
}

uint64_t page_hash(uint64_t hash, const struct self *self)
{
    /* relaxed: one thread. */
    hash = hash_mix(hash, atomic_load_explicit(&self->last_freed[ELASTIC_CLASS],
                                               memory_order_relaxed));
    /* relaxed: one thread. */
    hash = hash_mix(
        hash, atomic_load_explicit(&self->cursor[ELASTIC_CLASS], memory_order_relaxed));
    /* relaxed: one thread. */
    return hash_mix(hash, atomic_load_explicit(&self->stale, memory_order_relaxed));
}
