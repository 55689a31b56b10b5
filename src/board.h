/* SPDX-License-Identifier: MIT */
/* board.h - a handle of a board. */
#ifndef TR_SRC_BOARD_H
#define TR_SRC_BOARD_H

#include <tensoring/board.h>

#include "ipc/board.h"

struct tr_board {
    struct tr_arena *arena;
    struct board table;
    char name[64];
};

#endif
