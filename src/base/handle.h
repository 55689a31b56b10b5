/* SPDX-License-Identifier: MIT */
/* handle.h - what a user has instead of a pointer: the address of an object in its lower 48
 * bits, and above it a tag that changes each time the object is given out again. Public
 * functions take handles, and turn them into pointers first thing; all others take pointers.
 *
 * The memory of such objects is never given back, nor used for objects of another kind. So a
 * handle that was closed, released, or copied over a fork and given out again there, can be
 * looked at: its tag differs from the object's tag. Tags are 16 bits, without 0: a stale handle
 * passes for a valid one only if its object has been given out 65,535 times
 * since, or a multiple of it. */
#ifndef TR_SRC_HANDLE_H
#define TR_SRC_HANDLE_H

#include <stdatomic.h>
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

/* The next handle of the same object. */
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

/* The first member of an object that is opened and closed. Messages have their own. */
struct handle {
    _Atomic uint64_t now;  /* local: with which it can be used; 0: it can't */
    _Atomic uint64_t lent; /* local: with which it can be closed; 0: the object is free */
    uint64_t last;         /* the one that was given out last; 0: none yet */
    struct handle *next;   /* of all objects of the kind */
    struct tr_arena *arena; /* in which it lies, NULL once that was closed */
};

/* All objects of a kind that were ever made. */
struct handle_kind {
    size_t bytes;
    /* Local: grows at its head only: no lock for a fork to copy. */
    struct handle *_Atomic all;
};

/* A new object, all 0 behind its first member, or NULL. */
void *handle_new(struct handle_kind *kind);

/* It may be given out again. */
void handle_free(void *object);

/* The object of a handle that will be closed, or NULL: it is NULL, or was closed before. Of
 * two threads that close one handle one gets it. */
void *handle_retire(const void *given);

/* The arena is closed: what lies in it can be closed, and nothing else. @p let_go, which may be
 * NULL, gives back what the object has of the arena and of the kernel. */
void handle_orphan(struct handle_kind *kind, const struct tr_arena *arena,
                   void (*let_go)(void *object));

/* What a handle stands for, or NULL. */
static inline void *handle_known(const void *given)
{
    struct handle *handle = handle_address(given);

    /* relaxed: the owner of a valid handle got it after this was written. */
    return __builtin_expect(
               handle && atomic_load_explicit(&handle->now, memory_order_relaxed) ==
                             (uint64_t)(uintptr_t)given,
               1)
               ? handle
               : NULL;
}

/* The handle of an object. */
static inline void *handle_of(const void *object)
{
    return (void *)(uintptr_t)((const struct handle *)object)->last;
}

/* TR_EINVAL, with why @p given, which handle_known() does not know, is not a @p what. */
int handle_fail(const void *given, const char *step, const char *what);

/* As in error.h: the analyzer can't know that it fails. */
#if defined __clang_analyzer__ && !defined TR_SRC_HANDLE_C
#define handle_fail(...) ((handle_fail)(__VA_ARGS__), TR_EINVAL)
#endif

#endif
