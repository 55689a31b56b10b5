/* SPDX-License-Identifier: MIT */
/* shared_sweep.h - what the dead were putting into broadcasts and boards, see shared.h. */
#ifndef TR_IPC_SHARED_SWEEP_H
#define TR_IPC_SHARED_SWEEP_H

#include "ipc/view.h"

/* For the reaper: finish half-done steps of the dead. @p word is SHARED, RETIRED, or PUTTING
 * of a dead one. False: it is PUTTING, and was never named. */
bool shared_sweep(const struct view *view, uint32_t slot, uint64_t word);

#endif
