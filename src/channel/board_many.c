/* SPDX-License-Identifier: MIT */
/* board_many.c - several keys as they were at one instant.
 *
 * All are pinned, then all are looked at again. If none has changed, each had its value from
 * its pin to this look, so all had it when the last was pinned. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/error.h"
#include "src/channel/board.h"
#include "src/message/message.h"
#include "src/message/message_open.h"

#define TRIES 1000
#define SMALL 64 /* keys that need no memory */

struct item {
    struct board_key *entry; /* NULL: the key is not there */
    struct board_value value;
    bool held;
};

struct snapshot {
    tr_board *board;
    struct item *items;
    size_t n;
};

static void let_go(struct snapshot *snapshot, struct item *item)
{
    if (item->held)
        shared_unpin(&snapshot->board->arena->self, &item->value.pin);
    item->held = false;
}

/* 0, also if there is no value. */
static int hold(struct snapshot *snapshot, struct item *item)
{
    int result = board_get(&snapshot->board->table, &snapshot->board->arena->self,
                           item->entry, &item->value);

    item->held = result == 0;
    return result == -ENOENT ? 0 : result;
}

static int find(struct snapshot *snapshot, const char *const keys[])
{
    tr_board *board = snapshot->board;

    for (size_t i = 0; i < snapshot->n; i++) {
        size_t length = keys[i] ? strlen(keys[i]) : 0;
        struct board_name name;
        int result;

        if (length == 0 || length > TR_MAX_KEY_BYTES)
            return tr_fail(length ? TR_ENAMETOOLONG : TR_EINVAL,
                           "board \"%s\": key %zu has %zu bytes, allowed are 1 to %d",
                           board->name, i, length, TR_MAX_KEY_BYTES);
        board_name(keys[i], length, &name);
        /* A missing key is made: it could be put before the others are held. */
        result = board_entry(board, keys[i], &name, &snapshot->items[i].entry);
        snapshot->items[i].held = false;
        if (result < 0)
            return result;
    }
    return 0;
}

/* 0, or why not; on error nothing is held. */
static int hold_all(struct snapshot *snapshot)
{
    int result = 0;
    size_t i;

    for (i = 0; i < snapshot->n && result == 0; i++)
        result = hold(snapshot, &snapshot->items[i]);
    for (int tries = 0; tries < TRIES && result == 0; tries++) {
        size_t changed = 0;

        for (i = 0; i < snapshot->n && result == 0; i++) {
            struct item *item = &snapshot->items[i];

            if (board_current(item->entry, &item->value))
                continue;
            changed++;
            let_go(snapshot, item);
            result = hold(snapshot, item);
        }
        if (result == 0 && changed == 0)
            return 0;
    }
    for (i = 0; i < snapshot->n; i++)
        let_go(snapshot, &snapshot->items[i]);
    return result < 0 ? result : -EAGAIN;
}

static int explain(tr_board *board, int result)
{
    if (result == -ENOBUFS)
        return message_no_pins(board->arena, "get many");
    if (result == -EAGAIN)
        return tr_fail(TR_EAGAIN, "get many: writers were faster %d times", TRIES);
    return tr_fail(TR_ECORRUPT, "get many: board \"%s\" is corrupted", board->name);
}

static int open_all(struct snapshot *snapshot, tr_message *out[], uint64_t versions[])
{
    tr_arena *arena = snapshot->board->arena;
    int result = 0;

    for (size_t i = 0; i < snapshot->n; i++) {
        struct item *item = &snapshot->items[i];

        out[i] = NULL;
        if (versions)
            versions[i] = item->value.version;
        if (!item->held)
            continue;
        if (result < 0)
            let_go(snapshot, item);
        else
            result = message_open_pinned(arena, &item->value.pin, item->value.version,
                                         &out[i]);
    }
    for (size_t i = 0; i < snapshot->n && result < 0; i++) {
        (void)tr_message_release(out[i]);
        out[i] = NULL;
    }
    return result;
}

int tr_board_get_many(tr_board *given, const char *const keys[], size_t n,
                      tr_message *out[], uint64_t versions[])
{
    struct tr_board *board = board_known(given);
    struct item small[SMALL];
    struct snapshot snapshot = {.board = board, .items = small, .n = n};
    int result = board ? arena_enter(board->arena)
                       : handle_fail(given, "get many", "board");

    if (result == 0 && n && (!keys || !out))
        result = null_fail("get many", keys ? "out" : "keys");
    for (size_t i = 0; i < n && result == 0; i++)
        if (!keys[i])
            result = tr_fail(TR_EINVAL, "get many: keys[%zu] is NULL", i);
    if (result < 0)
        return result;
    arena_check_liveness(board->arena);
    if (n > SMALL)
        snapshot.items = calloc(n, sizeof(struct item));
    if (!snapshot.items)
        return tr_fail(TR_ENOMEM, "get many: no memory for %zu keys", n);
    result = find(&snapshot, keys);
    if (result == 0) {
        result = hold_all(&snapshot);
        result = result < 0 ? explain(board, result) : open_all(&snapshot, out, versions);
    }
    if (snapshot.items != small)
        free(snapshot.items);
    return result;
}
