/* SPDX-License-Identifier: MIT */
/* loop.h - `tensoring bridge listen` and `connect`. */
#ifndef TR_BRIDGE_LOOP_H
#define TR_BRIDGE_LOOP_H

#include "options.h"

/* Until a signal ends it: the exit status. */
int loop_main(const struct options *options);

#endif
