/* SPDX-License-Identifier: MIT */
/* arena_options.h - the options of an arena, checked. Each function: 0, or a code and its
 * detail. */
#ifndef TR_SRC_ARENA_OPTIONS_H
#define TR_SRC_ARENA_OPTIONS_H

#include <tensoring/arena.h>

#include "ipc/memory/segment.h"

int arena_check_name(const char *name);

/* Checks all but the classes, and puts in the default ones if none are given. */
int arena_check_options(tr_arena_options *options);

/* The caller's classes, smallest first. */
int arena_take_classes(const tr_arena_options *options, struct segment_class *classes);

#endif
