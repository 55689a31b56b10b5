/* SPDX-License-Identifier: MIT */
/* device.h - devices that write into slots for a process, and may go on when it is dead.
 *
 * The kernel ends a process without waiting for what a device still has to do for it: reads of
 * O_DIRECT files by io_uring, and whatever was registered with a GPU or a NIC. The pages are
 * pinned; to the process they are gone. A slot that was freed then would be written into under
 * its next holder. So
 *  - a slot is marked (MEMORY_DEVICE) while a device may write into it;
 *  - what drives the device holds a description of the arena's file with a shared lock of the
 *    participant's device byte, and releases it only when the device is done: a ring of
 *    io_uring keeps a registered file open until its last request has ended;
 *  - a reaper leaves the marked slots of a dead participant alone while that lock is held. The
 *    entry waits as DRAINING: see participant.h.
 * The lock is asked for after the owner is known to be dead, so nothing can begin any more. */
#ifndef TR_IPC_DEVICE_H
#define TR_IPC_DEVICE_H

#include "ipc/slot_word.h"
#include "ipc/view.h"

/* The locks of the devices: a byte for each incarnation of each participant. */
#define LOCK_DEVICE (2 * MAX_PARTICIPANTS)

/* A descriptor of its own that holds the device lock of participant @p who in its incarnation
 * @p inc, until it and all its copies are closed. Or -errno. Between unforked_begin() and its
 * end, if the process may fork. */
int device_lock(const struct view *view, uint32_t who, uint32_t inc);

/* The same lock for the owner of a device's descriptor: closed last. At the end of a process
 * descriptors are closed in no reliable order (Linux releases the highest first); one that lies
 * in a socket is closed after all that the process had open. A child that another thread forks
 * meanwhile gets no copy of it. Or -errno. */
int device_lock_last(const struct view *view, uint32_t who, uint32_t inc);

/* Whether anybody holds that lock. True also if it can't be known. */
bool device_busy(const struct view *view, uint32_t who, uint32_t inc);

/* relaxed: the caller marked it, or has seen the end of its marker. */
static inline bool device_marked(const struct view *view, uint32_t slot, uint64_t word)
{
    uint64_t memory = shm_get(&view_record(view, slot)->memory);

    return memory & MEMORY_DEVICE && memory >> 32 == SLOT_GENERATION(word);
}

/* Its holder marks the slot. The mark names the slot's generation: it ends when the slot is queued
 * or freed, by itself. */
static inline void device_mark(const struct view *view, uint32_t slot)
{
    struct slot_record *record = view_record(view, slot);
    /* relaxed: ours. */
    uint64_t generation = SLOT_GENERATION(shm_get(&record->owner));

    shm_put(&record->memory,
            (shm_get(&record->memory) & MEMORY_THERE) | MEMORY_DEVICE | generation << 32);
}

static inline void device_unmark(const struct view *view, uint32_t slot)
{
    struct slot_record *record = view_record(view, slot);

    shm_put(&record->memory, shm_get(&record->memory) & MEMORY_THERE);
}

/* Whether the slot's holder has marked it. */
static inline bool device_marked_here(const struct view *view, uint32_t slot)
{
    return device_marked(view, slot, shm_get(&view_record(view, slot)->owner));
}

#endif
