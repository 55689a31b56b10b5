/* SPDX-License-Identifier: MIT */
/* stats.h - reports about a view: a participant's, or the copy that a look has made. */
#ifndef TR_SRC_STATS_H
#define TR_SRC_STATS_H

#include <tensoring/stats.h>

#include "ipc/view.h"
#include "src/base/options.h"

/* 0, TR_EINVAL. */
int stats_read(const struct view *view, tr_stats *stats);

/* What the control block says of an arena. */
void stats_info(const struct view *view, tr_arena_info *info);

/* What a user gave: room for an answer. 0, TR_EINVAL. */
int stats_info_size(const tr_arena_info *info);

/* Each checks the struct that it fills. 0, TR_EINVAL. */
typedef int stats_list(const struct view *view, const struct rows *rows);
stats_list stats_participants, stats_channels, stats_classes;

/* The channel that a queued, orphaned or received slot lies in or came from, or that has a
 * shared one; geo.channel_count or more: none. */
uint32_t stats_channel_of(const struct view *view, uint32_t slot, uint64_t word);

#endif
