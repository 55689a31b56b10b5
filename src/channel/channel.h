/* SPDX-License-Identifier: MIT */
/* channel.h - opening a channel of any kind, or explaining why not. */
#ifndef TR_SRC_CHANNEL_H
#define TR_SRC_CHANNEL_H

#include "ipc/exchange/channel.h"
#include "src/arena/arena.h"

/* Names that a user may give. 0, TR_EINVAL, TR_ENAMETOOLONG. */
int channel_name_check(const char *name);

/* channel_open(), waiting a moment for its maker; explains a failure. */
int channel_open_waiting(struct tr_arena *arena, const struct channel_spec *spec,
                         uint32_t *index);

/* TR_ECORRUPT: what describes the channel in shared memory is corrupted. */
int channel_broken(const char *kind, const char *name);

#endif
