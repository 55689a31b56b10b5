/* SPDX-License-Identifier: MIT */
/* view.h - one process's mapping of an arena: where it is mapped, and a private, checked
 * copy of the control block. Every index from shared memory is checked against it. */
#ifndef TR_IPC_VIEW_H
#define TR_IPC_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "ipc/kernel/life.h"
#include "ipc/layout.h"
#include "ipc/shm.h"

struct notifier;
struct pidfds;

struct view {
    uint8_t *base;
    const uint8_t *readonly; /* the same bytes, mapped so that a write faults; or base */
    struct control geo;      /* private copy; magic is not used */
    _Atomic uint64_t *counters; /* of our entry; NULL before we have one */
    int lock_fd;       /* of the arena's file, by which locks are looked at; -1 none */
    uint64_t dev, ino; /* of that file */
    uint64_t taken;    /* see number.h */
    const char *name;  /* for reports; NULL or "": none */
    /* How to ring others, see notify.h; NULL: by futex alone. */
    struct notifier *notifier;
    /* Processes that have ended, see pidfds.h; NULL: every one is checked. */
    struct pidfds *pidfds;
};

/* What self.standing becomes when others have taken this process for dead. */
#define SELF_LOST 3u

/* What one participant knows of itself; shared by the threads of a process. */
struct self {
    const struct view *view;
    uint32_t who;
    uint32_t inc;
    struct life life; /* its lock; that of the parent in a child that has not joined */
    _Atomic uint32_t *standing;      /* local: of the handle, see monitor.h; or NULL */
    int64_t spin_ns;                 /* -1 adapts */
    _Atomic uint32_t interrupt;      /* local: waits end with -EINTR on a signal */
    _Atomic int64_t contended_until; /* local: these six: see spin.c */
    _Atomic uint32_t contended;      /* local: */
    _Atomic uint32_t spin_misses;    /* local: spins in vain, one after the other */
    _Atomic uint32_t spin_rest;      /* local: waits that are not to spin */
    _Atomic uint32_t short_sleeps;   /* local: that a spin would have saved, in a row */
    _Atomic uint32_t spin_retries;   /* local: rests that they have ended in vain */
    _Atomic uint32_t idle_slices; /* local: of sleeps, since a wait got what it wanted */
    int64_t (*milli_cpus)(void);  /* what the cgroups grant, -1 all; NULL: not known */
    /* Local: hint, slot this process freed last, + 1. */
    _Atomic uint32_t last_freed[MAX_CLASSES];
    _Atomic uint32_t cursor[MAX_CLASSES]; /* local: hint, where to look for a free slot */
    _Atomic uint32_t stale;    /* local: hint, free slot that gave up its memory */
    _Atomic uint32_t free_pin; /* local: hint, a pin that is free */
};

/* The descriptor of the arena's file, if the number still stands for it; or -1. */
int view_fd(const struct view *view);

static inline struct live *view_live(const struct view *view)
{
    return (struct live *)(void *)(view->base + sizeof(struct control));
}

static inline struct participant *view_participant(const struct view *view, uint32_t i)
{
    return (struct participant *)(void *)(view->base + view->geo.participants_off) + i;
}

static inline _Atomic uint64_t *view_pins(const struct view *view, uint32_t participant)
{
    return (_Atomic uint64_t *)(void *)(view->base + view->geo.pins_off +
                                        (uint64_t)participant * view->geo.pin_stride);
}

static inline struct channel *view_channel(const struct view *view, uint32_t i)
{
    return (struct channel *)(void *)(view->base + view->geo.channels_off) + i;
}

static inline struct slot_record *view_record(const struct view *view, uint32_t slot)
{
    return (struct slot_record *)(void *)(view->base + view->geo.records_off) + slot;
}

/* The class of a slot that is below geo.slot_count. */
static inline uint32_t view_class_of(const struct view *view, uint32_t slot)
{
    uint32_t c = 0;

    while (c + 1 < view->geo.class_count && slot >= view->geo.classes[c + 1].first_slot)
        c++;
    return c;
}

static inline uint64_t view_payload_off(const struct view *view, uint32_t slot)
{
    const struct slot_class *c = &view->geo.classes[view_class_of(view, slot)];

    return c->payload_off + (uint64_t)(slot - c->first_slot) * c->stride;
}

/* Bytes that a slot of an elastic arena has, or may have. */
static inline uint64_t view_memory(const struct view *view, uint32_t slot)
{
    return MEMORY_PAGES(shm_get(&view_record(view, slot)->memory)) * ARENA_PAGE;
}

static inline bool view_elastic(const struct view *view)
{
    return view->geo.features & FEATURE_ELASTIC;
}

/* The wake word of loans that wait for a slot of class @p c. In an elastic arena there is one for
 * all: what they need is memory, and a larger slot does, too. */
static inline _Atomic uint32_t *view_freed(const struct view *view, uint32_t c)
{
    return __builtin_expect(view_elastic(view), 0) ? &view_live(view)->memory
                                                   : &view_live(view)->classes[c].freed;
}

/* Counts in a line of our own, once we have one: both sides of a channel count at the same time. */
static inline void view_count(const struct view *view, enum counter counter, uint64_t n)
{
    _Atomic uint64_t *counters = view->counters ? view->counters
                                                : view_live(view)->counters;

    /* relaxed: a counter orders nothing. */
    atomic_fetch_add_explicit(&counters[counter], n, memory_order_relaxed);
}

#endif
