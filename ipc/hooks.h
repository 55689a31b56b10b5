/* SPDX-License-Identifier: MIT */
/* hooks.h - what a lower layer needs from a higher one, as a table: the layers depend on each
 * other in one direction. Tests replace it: so "this participant is dead" needs no luck. */
#ifndef TR_IPC_HOOKS_H
#define TR_IPC_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

struct shortage;
struct view;

struct hooks {
    /* Make the descriptor of a participant readable, as its entry says how. False: there is
     * none, or it can't be told. */
    bool (*ring)(const struct view *view, uint32_t participant);
    /* For a claimed entry. True: certainly dead. False: maybe alive. */
    bool (*dead)(const struct view *view, uint32_t participant);
    /* Whether a device may still write for a dead participant; see device.h. */
    bool (*busy)(const struct view *view, uint32_t participant, uint32_t incarnation);
    /* Memory for pages of the arena's file, and back: see backing.h. */
    int (*reserve)(const struct view *view, uint64_t off, uint64_t bytes,
                   struct shortage *shortage);
    int (*punch)(const struct view *view, uint64_t off, uint64_t bytes);
};

extern const struct hooks
    hooks_real;                   /* of notify.h, participant.h, device.h, backing.h */
extern const struct hooks *hooks; /* in use; changed by tests alone */

#endif
