/* SPDX-License-Identifier: MIT */
/* orphan.h - a slot that waits for its next receiver where it is, in no cell of a ring: what a
 * dead receiver held, or a reply for which its inbox had no room. Receivers look for it when
 * the channel says that there may be some. */
#ifndef TR_IPC_ORPHAN_H
#define TR_IPC_ORPHAN_H

#include "ipc/view.h"

/* Channel word orphans: bit 0 = some may be there, bits 1-31 count of marks. */
#define ORPHANS_THERE UINT32_C(1)
#define ORPHANS_MARK  UINT32_C(2)

/* The channel whose receivers a slot that is ORPHAN waits for. */
uint32_t orphan_channel(const struct view *view, uint32_t slot, uint64_t word);

/* Say that a channel may have orphans, and wake. */
void orphan_announce(const struct view *view, struct channel *channel);

#endif
