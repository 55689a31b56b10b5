/* SPDX-License-Identifier: MIT */
/* mirror.h - which versions of a board's keys the other side has. Each key has at most one version
 * on its way; when that is confirmed, the newest goes next, and what came between is left out. */
#ifndef TR_BRIDGE_MIRROR_H
#define TR_BRIDGE_MIRROR_H

#include <tensoring/board.h>

#define MIRROR_LOOK_NS (INT64_C(250) * 1000000) /* how often for keys that are new */

struct mirrored {
    char *key;
    tr_board_watch *watch; /* NULL: there is none, the key is looked at now and then */
    uint64_t confirmed;    /* version that the other side has */
    uint64_t offered;      /* on its way; TR_BOARD_NO_VERSION */
    bool ready;            /* it may have a newer one */
    bool watched;          /* it is in the wait set */
};

struct mirror {
    struct mirrored *keys;
    uint32_t count, room;
    uint32_t turn; /* the key that was offered last */
    uint32_t hint; /* where the next key that the board tells of should be */
    int64_t looked_ns;
};

/* Look for keys that are new or deleted, if that is due. */
void mirror_look(struct mirror *mirror, tr_board *board, int64_t now);

/* The other side has a value of @p key, maybe from an earlier link. If the key was deleted here
 * since, that will be offered. */
void mirror_there(struct mirror *mirror, tr_board *board, const char *key);

/* The key to offer next, of at least one: keys that change all the time keep no other back. */
uint32_t mirror_turn(struct mirror *mirror);

/* Whether key @p i has something to offer; then the message, or NULL: it was deleted.
 * 0, TR_EAGAIN, TR_EPINS, ... */
int mirror_next(struct mirror *mirror, uint32_t i, tr_board *board, tr_message **out);

/* It is not on its way: it may be offered again. */
void mirror_drop(struct mirror *mirror, uint32_t i);

/* The version of key @p i that was on its way is there. */
void mirror_confirm(struct mirror *mirror, uint32_t i);

/* Let the wait set tell of newer versions of the keys that have nothing on their way: key i by
 * @p token + i. */
void mirror_watch(struct mirror *mirror, tr_board *board, tr_waitset *waitset,
                  uint64_t token);
void mirror_woken(struct mirror *mirror, uint32_t i);
void mirror_close(struct mirror *mirror, tr_waitset *waitset, uint64_t token);

#endif
