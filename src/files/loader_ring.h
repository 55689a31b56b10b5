/* SPDX-License-Identifier: MIT */
/* loader_ring.h - reads by io_uring, many in one call. Where there is none, every call says
 * so and the caller reads by itself. */
#ifndef TR_SRC_LOADER_RING_H
#define TR_SRC_LOADER_RING_H

#include <liburing.h>

#include "src/files/load.h"

struct loader_ring {
    struct loader_ring *next, *previous; /* of all in this process that are open */
    struct io_uring ring;
    uint64_t dev, ino; /* of its file: the number may be another's by now */
    pid_t owner;       /* a forked child makes its own */
    uint32_t who;      /* the participant whose device it is */
    const struct view *view;
    bool open;
    bool refused;    /* do not try again */
    bool registered; /* the slots are, as fixed buffers */
    uint32_t depth;
    uint32_t unsubmitted;
    uint32_t flying; /* reads that have not ended */
    uint32_t batch;  /* reads to hand over together */
    uint32_t first_buffer[MAX_CLASSES];
    uint64_t slots_a_buffer[MAX_CLASSES];
};

/* Set it up if it works here; @p fixed: register the slots, if the limits allow. A ring is a
 * device in the sense of ipc/liveness/device.h, and where it cannot be one, there is no ring. */
void loader_ring_open(struct loader_ring *ring, const struct self *me, uint32_t depth,
                      bool fixed);

/* Waits for reads that are under way. */
void loader_ring_close(struct loader_ring *ring);

/* Queue a read of what is left. False: there is no ring. */
bool loader_ring_read(struct loader_ring *ring, const struct view *view,
                      struct load *load);

/* Whether queued reads should be handed to the kernel before more are. */
bool loader_ring_full(const struct loader_ring *ring);

enum ring_news {
    RING_NOTHING, /* (now) */
    RING_READ,    /* a read has ended */
    RING_BROKEN   /* the kernel takes no reads: see loader_ring_give_up() */
};

/* Hand over what is queued; the next read that has ended. */
enum ring_news loader_ring_next(struct loader_ring *ring, bool wait, struct load **load,
                                int64_t *got);

/* After RING_BROKEN, for each load that was queued: it was not begun. */
void loader_ring_give_up(struct loader_ring *ring, struct load *load);

#endif
