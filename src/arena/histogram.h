/* SPDX-License-Identifier: MIT */
/* histogram.h - the histograms of a queue as its users read them. */
#ifndef TR_SRC_HISTOGRAM_H
#define TR_SRC_HISTOGRAM_H

#include <tensoring/histogram.h>

#include "ipc/view.h"

/* Read one by a participant's view, or by the copy that a look has made. 0, TR_ENOENT,
 * TR_EINVAL. */
int histogram_read(const struct view *view, const char *channel, uint32_t kind,
                   tr_histogram *histogram);

#endif
