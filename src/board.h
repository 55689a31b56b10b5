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

struct tr_board_watch {
    struct tr_board *board;
    struct board_key *entry;
    _Atomic uint64_t seen; /* local: the version got last */
    char key[TR_MAX_KEY + 1];
};

/* First thing in every call with a key: its name, and whether the arena can be used. */
int board_enter(tr_board *board, const char *key, struct board_name *name);

/* Its entry, made if it is not there. 0, TR_ENOSPC. */
int board_entry(tr_board *board, struct board_name *name, struct board_key **entry);

/* Wait for a value that is newer. 0, or as tr_board_wait(). */
int board_wait_entry(tr_board *board, const char *key, struct board_key *entry,
                     uint64_t newer_than, int64_t timeout_ns, tr_message **out,
                     uint64_t *version);

#endif
