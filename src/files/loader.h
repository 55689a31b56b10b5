/* SPDX-License-Identifier: MIT */
/* loader.h - many files into slots, by io_uring or by reads. */
#ifndef TR_SRC_LOADER_H
#define TR_SRC_LOADER_H

#include <tensoring/loader.h>

#include "src/arena/arena.h"

#define LOADER_DEPTH 1024

/* The arena goes. */
void loader_orphan(const struct tr_arena *arena);

#endif
