/* SPDX-License-Identifier: MIT */
/* watch.c - following one key. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/error.h"
#include "src/channel/board.h"

static struct handle_kind watches = {.bytes = sizeof(struct tr_board_watch)};

void watch_orphan(const struct tr_arena *arena)
{
    handle_orphan(&watches, arena, NULL);
}

int tr_board_watch_open(tr_board *given, const char *key, uint64_t newer_than,
                        tr_board_watch **out)
{
    struct board_name name;
    struct board_key *entry = NULL;
    struct tr_board_watch *watch;
    struct tr_board *board;
    int result = board_enter(given, "watch", key, &board, &name);

    if (result == 0 && !out)
        result = null_fail("watch", "out");
    if (result == 0)
        result = board_entry(board, key, &name, &entry);
    if (result < 0)
        return result;
    watch = handle_new(&watches);
    if (!watch)
        return tr_fail(TR_ENOMEM, "no memory for the handle of a watch");
    watch->board = *board;
    watch->entry = entry;
    atomic_init(&watch->seen, newer_than);
    memcpy(watch->key, key, strlen(key));
    watch->handle.arena = board->arena;
    *out = handle_of(watch);
    return 0;
}

void tr_board_watch_close(tr_board_watch *given)
{
    struct tr_board_watch *watch = handle_retire(given);

    if (watch)
        handle_free(watch);
}

static int watch_next(struct tr_board_watch *watch, int64_t timeout_ns, tr_message **out,
                      uint64_t *version)
{
    for (;;) {
        uint64_t seen = atomic_load(&watch->seen), now = 0;
        tr_message *message = NULL;
        int result = arena_enter(watch->board.arena);

        if (result == 0)
            result = board_wait_entry(&watch->board, watch->key, watch->entry, seen,
                                      timeout_ns, &message, &now);
        if (result < 0)
            return result;
        if (atomic_compare_exchange_strong(&watch->seen, &seen, now)) {
            *out = message;
            if (version)
                *version = now;
            return 0;
        }
        (void)tr_message_release(message); /* another thread was faster */
    }
}

int tr_board_watch_next(tr_board_watch *given, int64_t timeout_ns, tr_message **out,
                        uint64_t *version)
{
    struct tr_board_watch *watch = watch_known(given);
    int result = watch ? timeout_check("watch next", timeout_ns)
                       : handle_fail(given, "watch next", "watch");

    if (result == 0 && !out)
        result = null_fail("watch next", "out");
    return result < 0 ? result : watch_next(watch, timeout_ns, out, version);
}
