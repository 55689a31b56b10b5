/* SPDX-License-Identifier: MIT */
/* audit.h - walk a whole arena that nobody is using and account for every slot, cell, pin
 * and entry. */
#ifndef TR_TESTS_AUDIT_H
#define TR_TESTS_AUDIT_H

#include <stdint.h>

#include "ipc/view.h"

struct audit {
    uint32_t free, held, queued, orphans, shared, retired;
    uint32_t pins, living;
    const char *fault; /* NULL: everything is accounted for */
    uint32_t slot;     /* where the fault is */
};

/* Every slot is free, held by a living entry, in the one cell that it says, an orphan that
 * its channel knows of, shared and named, or retired. */
void audit_arena(const struct view *view, struct audit *audit);

#endif
