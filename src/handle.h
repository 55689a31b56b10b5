/* SPDX-License-Identifier: MIT */
/* handle.h - what a user has instead of a pointer: the address of an object in its lower 48
 * bits, and above it a tag that changes each time the object is given out again.
 *
 * The memory of such objects is never given back, nor used for objects of another kind. So a
 * handle that was closed, released, or copied over a fork and given out again there, can be
 * looked at: its tag is not the one that the object has now. Tags are 16 bits, without 0: a
 * stale handle is taken for a good one only if its object has been given out 65,535 times
 * since, or a multiple of it. */
#ifndef TR_SRC_HANDLE_H
#define TR_SRC_HANDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

_Static_assert(sizeof(uintptr_t) == 8, "a handle is an address of 48 bits and a tag");

#define HANDLE_TAG_SHIFT 48
#define HANDLE_TAG       (UINT64_C(1) << HANDLE_TAG_SHIFT)
#define HANDLE_ADDRESS   (HANDLE_TAG - 1)

/* Whether a tag fits above these addresses. Those of a process are below 2^48 on x86-64 and
 * arm64, unless it asks for others. */
static inline bool handle_fits(const void *memory, size_t bytes)
{
    return (((uintptr_t)memory + bytes) & ~HANDLE_ADDRESS) == 0;
}

static inline uint64_t handle_word(const void *object, uint16_t tag)
{
    return (uint64_t)tag << HANDLE_TAG_SHIFT | (uint64_t)(uintptr_t)object;
}

/* The same object's next one. */
static inline uint64_t handle_next(uint64_t handle)
{
    uint64_t next = handle + HANDLE_TAG;

    return __builtin_expect(next < HANDLE_TAG, 0) ? next + HANDLE_TAG : next;
}

static inline uint16_t handle_tag(uint64_t handle)
{
    return (uint16_t)(handle >> HANDLE_TAG_SHIFT);
}

/* Where the object of a handle lies, whether the handle is stale or not. */
static inline void *handle_address(const void *given)
{
    return (void *)((uintptr_t)given & HANDLE_ADDRESS);
}

#endif
