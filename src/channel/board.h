/* SPDX-License-Identifier: MIT */
/* board.h - a handle of a board. */
#ifndef TR_SRC_BOARD_H
#define TR_SRC_BOARD_H

#include <tensoring/board.h>

#include "ipc/exchange/board.h"
#include "src/arena/arena.h"
#include "src/base/options.h"

struct tr_board {
    struct handle handle;
    struct tr_arena *arena;
    struct board table;
    char name[64];
};

struct tr_board_watch {
    struct handle handle;
    struct tr_board board; /* a copy: the user may close the handle */
    struct board_key *entry;
    _Atomic uint64_t seen; /* local: the version got last */
    char key[TR_MAX_KEY_BYTES + 1];
};

static inline struct tr_board *board_known(const tr_board *given)
{
    return handle_known(given);
}

static inline struct tr_board_watch *watch_known(const tr_board_watch *given)
{
    return handle_known(given);
}

/* The arena goes. */
void board_orphan(const struct tr_arena *arena);
void watch_orphan(const struct tr_arena *arena);

/* First thing in every call with a key: what the user gave, the key's name, and whether the
 * arena can be used. */
int board_enter(const tr_board *given, const char *step, const char *key,
                struct tr_board **out, struct board_name *name);

/* Its entry, made if it is not there. 0, TR_ENOSPC. */
int board_entry(tr_board *board, const char *key, struct board_name *name,
                struct board_key **entry);

/* Wait for a value that is newer. 0, or as tr_board_wait(). */
int board_wait_entry(tr_board *board, const char *key, struct board_key *entry,
                     uint64_t newer_than, int64_t timeout_ns, tr_message **out,
                     uint64_t *version);

#endif
