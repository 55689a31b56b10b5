/* SPDX-License-Identifier: MIT */
#include "src/channel/board.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/path.h"
#include "ipc/wait/wait.h"
#include "src/base/error.h"
#include "src/base/options.h"
#include "src/base/text_check.h"
#include "src/channel/channel.h"
#include "src/channel/hand_over.h"
#include "src/message/message.h"
#include "src/message/message_open.h"

#define FALLBACK_CAPACITY 1024

_Static_assert(TR_MAX_KEY_BYTES + 1 == BOARD_KEY, "one set of limits");

static int open_table(tr_arena *arena, const char *name, uint32_t capacity,
                      struct board *table)
{
    struct channel_spec spec;
    uint32_t index;
    int result;

    board_channel_spec(name, capacity ? capacity : FALLBACK_CAPACITY, &spec);
    result = channel_open_waiting(arena, &spec, &index);
    if (result < 0)
        return result;
    if (board_view(&arena->view, index, table) < 0)
        return channel_broken("board", name);
    if (capacity && table->count != spec.capacity)
        return tr_fail(TR_EINVAL, "board \"%s\" is there with capacity %u, not %u", name,
                       table->count, spec.capacity);
    return 0;
}

static struct handle_kind boards = {.bytes = sizeof(struct tr_board)};

void board_orphan(const struct tr_arena *arena)
{
    handle_orphan(&boards, arena, NULL);
    watch_orphan(arena);
}

int tr_board_open(tr_arena *handle, const char *name, const tr_board_options *given,
                  tr_board **out)
{
    tr_board_options options = TR_BOARD_OPTIONS_INIT;
    struct tr_arena *arena = arena_known(handle);
    struct tr_board *board;
    int result = out ? options_take(&options, sizeof(options), given, "tr_board_options")
                     : null_fail("board open", "out");

    if (result == 0)
        result = channel_name_check(name);
    if (result == 0 && options.capacity > TR_MAX_KEYS)
        result = tr_fail(TR_EINVAL, "board \"%s\": capacity %u, the limit is %u", name,
                         options.capacity, TR_MAX_KEYS);
    if (result == 0)
        result = arena ? arena_enter(arena) : handle_fail(handle, "board open", "arena");
    if (result < 0)
        return result;
    board = handle_new(&boards);
    if (!board)
        return tr_fail(TR_ENOMEM, "no memory for the handle of a board");
    result = open_table(arena, name, options.capacity, &board->table);
    if (result < 0) {
        handle_free(board);
        return result;
    }
    board->handle.arena = board->arena = arena;
    memcpy(board->name, name, strlen(name) + 1);
    *out = handle_of(board);
    return 0;
}

void tr_board_close(tr_board *given)
{
    struct tr_board *board = handle_retire(given);

    if (board)
        handle_free(board);
}

int board_enter(const tr_board *given, const char *step, const char *key,
                struct tr_board **out, struct board_name *name)
{
    struct tr_board *board = *out = board_known(given);
    size_t length = key ? strlen(key) : 0;

    if (__builtin_expect(!board, 0))
        return handle_fail(given, step, "board");
    if (__builtin_expect(!key, 0))
        return null_fail(step, "key");

    if (length == 0)
        return tr_fail(TR_EINVAL, "%s: board \"%s\": a key must not be empty", step,
                       board->name);
    if (length > TR_MAX_KEY_BYTES)
        return tr_fail(TR_ENAMETOOLONG,
                       "board \"%s\": key \"%.20s...\" has %zu bytes, the limit is %d",
                       board->name, key, length, TR_MAX_KEY_BYTES);
    board_name(key, length, name);
    return arena_enter(board->arena);
}

/* It is not there: make it. */
static ASIDE int make_entry(tr_board *board, const char *key, struct board_name *name,
                            struct board_key **entry)
{
    int result = text_check("board", "the key", key);

    if (result < 0)
        return result;
    *entry = board_claim(&board->table, name);
    if (*entry)
        return 0;
    return tr_fail(TR_ENOSPC,
                   "board \"%s\": all %u keys were used; make it with a larger capacity",
                   board->name, board->table.count);
}

PATH_ACROSS int board_entry(tr_board *board, const char *key, struct board_name *name,
                            struct board_key **entry)
{
    *entry = board_find(&board->table, name);
    return LIKELY(*entry != NULL) ? 0 : make_entry(board, key, name, entry);
}

static int put(tr_board *handle, const char *key, tr_message *given, uint64_t expected,
               uint64_t *version)
{
    struct tr_board *board;
    struct message *message = NULL;
    struct board_name name;
    struct board_key *entry = NULL;
    uint64_t now = expected;
    int result = board_enter(handle, "put", key, &board, &name);

    if (result == 0)
        result = message_not_asked(given, "put", &message);
    if (result == 0 && message->arena != board->arena)
        result = hand_over_elsewhere("put", "board", board->name);
    if (result == 0)
        result = board_entry(board, key, &name, &entry);
    if (result != 0)
        return result;
    hand_over_begin(message, given, true);
    result = board_put(&board->table, &board->arena->self, entry, message->slot, &now);
    if (version)
        *version = now;
    if (result < 0) {
        message_keep(message);
        return tr_fail(TR_ESTALE, "put: \"%s\" has version %lu, not %lu", key,
                       (unsigned long)now, (unsigned long)expected);
    }
    return 0;
}

int tr_board_put(tr_board *board, const char *key, tr_message *message, uint64_t *version)
{
    return put(board, key, message, BOARD_ANY, version);
}

int tr_board_put_if(tr_board *board, const char *key, tr_message *message,
                    uint64_t expected, uint64_t *version)
{
    return put(board, key, message, expected, version);
}

static int explain(struct tr_board *board, const char *step, const char *key, int result)
{
    switch (result) {
    case -ENOENT:
        return tr_fail(TR_ENOENT, "%s: board \"%s\" has no \"%s\"", step, board->name,
                       key);
    case -ENOBUFS:
        return message_no_pins(board->arena, step);
    case -EBADMSG:
        return tr_fail(TR_ECORRUPT, "%s: \"%s\" of board \"%s\" is corrupted", step, key,
                       board->name);
    default:
        return tr_fail_wait(result, "%s: nothing newer in \"%s\" of board \"%s\"", step,
                            key, board->name);
    }
}

int tr_board_get(tr_board *given, const char *key, tr_message **out, uint64_t *version)
{
    struct tr_board *board;
    struct board_name name;
    struct board_value value = {.cell = 0};
    struct board_key *entry;
    int result = board_enter(given, "get", key, &board, &name);

    if (__builtin_expect(result == 0 && !out, 0))
        result = null_fail("get", "out");
    if (__builtin_expect(result < 0, 0))
        return result;
    arena_check_liveness(board->arena);
    entry = board_find(&board->table, &name);
    result = entry ? board_get(&board->table, &board->arena->self, entry, &value)
                   : -ENOENT;
    if (version)
        *version = value.version;
    if (__builtin_expect(result < 0, 0))
        return explain(board, "get", key, result);
    return message_open_pinned(board->arena, &value.pin, value.version, out);
}

struct waiting {
    tr_board *board;
    struct board_key *entry;
    uint64_t newer_than;
    struct board_value value;
};

static int try_newer(void *context)
{
    struct waiting *waiting = context;
    bool there;
    int result;

    if (board_key_version(waiting->entry, &there) <= waiting->newer_than || !there)
        return -EAGAIN;
    result = board_get(&waiting->board->table, &waiting->board->arena->self,
                       waiting->entry, &waiting->value);
    return result == -ENOENT ? -EAGAIN : result;
}

int board_wait_entry(tr_board *board, const char *key, struct board_key *entry,
                     uint64_t newer_than, int64_t timeout_ns, tr_message **out,
                     uint64_t *version)
{
    struct waiting waiting = {.board = board, .entry = entry, .newer_than = newer_than};
    int result;

    arena_check_liveness(board->arena);
    result = wait_for(&board->arena->self, board_group(&board->table, entry), try_newer,
                      &waiting, timeout_ns);
    if (result < 0)
        return explain(board, "wait", key, result);
    if (version)
        *version = waiting.value.version;
    return message_open_pinned(board->arena, &waiting.value.pin, waiting.value.version,
                               out);
}

int tr_board_wait(tr_board *given, const char *key, uint64_t newer_than,
                  int64_t timeout_ns, tr_message **out, uint64_t *version)
{
    struct tr_board *board;
    struct board_name name;
    struct board_key *entry = NULL;
    int result = board_enter(given, "wait", key, &board, &name);

    if (result == 0)
        result = out ? timeout_check("wait", timeout_ns) : null_fail("wait", "out");
    if (result == 0)
        result = board_entry(board, key, &name, &entry);
    return result < 0 ? result
                      : board_wait_entry(board, key, entry, newer_than, timeout_ns, out,
                                         version);
}

int tr_board_delete(tr_board *given, const char *key, uint64_t expected)
{
    struct tr_board *board;
    struct board_name name;
    struct board_key *entry = NULL;
    uint64_t now = expected;
    int result = board_enter(given, "delete", key, &board, &name);

    if (result < 0)
        return result;
    entry = board_find(&board->table, &name);
    result = entry ? board_delete(&board->table, entry, &now) : -ENOENT;
    if (result == -ESTALE)
        return tr_fail(TR_ESTALE, "delete: \"%s\" has version %lu, not %lu", key,
                       (unsigned long)now, (unsigned long)expected);
    return result < 0 ? explain(board, "delete", key, result) : 0;
}

uint64_t tr_board_version(tr_board *given, const char *key)
{
    struct tr_board *board;
    struct board_name name;
    struct board_key *entry;
    bool there;

    if (board_enter(given, "version", key, &board, &name) < 0)
        return TR_BOARD_NO_VERSION;
    entry = board_find(&board->table, &name);
    return entry ? board_key_version(entry, &there) : TR_BOARD_NO_VERSION;
}

int tr_board_next(tr_board *given, uint32_t *cursor, char key[TR_MAX_KEY_BYTES + 1],
                  uint64_t *version)
{
    struct tr_board *board = board_known(given);
    uint64_t now = 0;
    int result = board ? arena_enter(board->arena) : handle_fail(given, "next", "board");

    if (result == 0 && (!cursor || !key))
        result = null_fail("next", cursor ? "key" : "cursor");
    if (result < 0)
        return result;
    if (!board_next(&board->table, cursor, key, &now))
        return tr_fail(TR_ENOENT, "next: board \"%s\" has no more keys", board->name);
    if (version)
        *version = now;
    return 0;
}

uint32_t tr_board_capacity(const tr_board *given)
{
    const struct tr_board *board = board_known(given);

    return board ? board->table.count : 0;
}

const char *tr_board_name(const tr_board *given)
{
    const struct tr_board *board = board_known(given);

    return board ? board->name : NULL;
}

tr_arena *tr_board_arena(const tr_board *given)
{
    const struct tr_board *board = board_known(given);

    return board ? handle_of(board->arena) : NULL;
}
