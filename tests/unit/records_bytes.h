/* SPDX-License-Identifier: MIT */
/* records_bytes.h - how much memory an elastic arena has that is not of its slots: for tests that
 * count every page. */
#ifndef TR_TESTS_UNIT_RECORDS_BYTES_H
#define TR_TESTS_UNIT_RECORDS_BYTES_H

#include "ipc/exchange/records.h"

/* Tables, and the pages of the records that are in use. */
static inline uint64_t tables_bytes(const struct view *view)
{
    uint64_t bytes = view->geo.records_off, counted = UINT64_MAX;

    for (uint32_t slot = records_from(view, 0); slot < view->geo.slot_count;
         slot = records_from(view, slot + 1)) {
        uint64_t page = slot * sizeof(struct slot_record) / ARENA_PAGE;

        bytes += page != counted ? ARENA_PAGE : 0;
        counted = page;
    }
    return bytes;
}

#endif
