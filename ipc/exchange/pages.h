/* SPDX-License-Identifier: MIT */
/* pages.h - the memory of single slots of a lazy arena: there or not, as their records say.
 *
 * In an elastic arena a slot has the pages that its messages needed, from the start of its payload
 * on. Before memory comes or goes the record says that some of it may be there (a count of pages
 * without MEMORY_RESIDENT): so memory that a killed process leaves is found and given back. */
#ifndef TR_IPC_PAGES_H
#define TR_IPC_PAGES_H

#include "ipc/kernel/limits.h"
#include "ipc/view.h"

/* What a message of @p bytes takes of the limit: whole pages. */
static inline uint64_t pages_for(uint64_t bytes)
{
    return (bytes + ARENA_PAGE - 1) / ARENA_PAGE * ARENA_PAGE;
}

/* Reserve the memory of one slot that is ours: all of it, or in an elastic arena what @p bytes
 * from the start of its payload need. 0; -ENOBUFS, the arena's limit is reached; -errno. */
int pages_reserve(const struct view *view, uint32_t slot, uint64_t bytes,
                  struct shortage *shortage);

/* Give all of it back. 0, -errno; *bytes grows by how much it was. */
int pages_trim(const struct view *view, uint32_t slot, uint64_t *bytes);

/* A slot of an elastic arena that is ours will be free. False: it has more than may be kept;
 * trim it first. */
bool pages_keep(const struct view *view, uint32_t slot);

/* A slot of an elastic arena is about to be freed by a process that does not hold it, and keeps
 * what it has: how much. */
uint64_t pages_warm(const struct view *view, uint32_t slot);

/* A slot of an elastic arena was free, and is ours. */
void pages_taken(const struct view *view, uint32_t slot);

#endif
