/* SPDX-License-Identifier: MIT */
#include "mirror.h"

#include <stdlib.h>
#include <string.h>

/* A board tells of its keys in the same order each time, so this is found at once. */
static struct mirrored *find(struct mirror *mirror, const char *key)
{
    for (uint32_t i = 0; i < mirror->count; i++) {
        uint32_t at = (mirror->hint + i) % mirror->count;

        if (strcmp(mirror->keys[at].key, key) == 0) {
            mirror->hint = at + 1;
            return &mirror->keys[at];
        }
    }
    return NULL;
}

static void add(struct mirror *mirror, const char *key)
{
    uint32_t room = mirror->room ? 2 * mirror->room : 16;
    char *copy = strdup(key);

    if (copy && mirror->count == mirror->room) {
        struct mirrored *keys = realloc(mirror->keys, room * sizeof(*keys));

        if (!keys) {
            free(copy);
            return;
        }
        mirror->keys = keys;
        mirror->room = room;
    }
    if (!copy)
        return;
    mirror->keys[mirror->count++] = (struct mirrored){.key = copy, .ready = true};
}

void mirror_look(struct mirror *mirror, tr_board *board, int64_t now)
{
    char key[TR_MAX_KEY_BYTES + 1];
    uint32_t cursor = 0;

    if (now - mirror->looked_ns < MIRROR_LOOK_NS)
        return;
    mirror->looked_ns = now;
    for (uint32_t i = 0; i < mirror->count; i++) {
        struct mirrored *one = &mirror->keys[i];

        if (tr_board_version(board, one->key) > one->confirmed)
            one->ready = true;
    }
    while (tr_board_next(board, &cursor, key, NULL) == 0)
        if (!find(mirror, key))
            add(mirror, key);
}

/* Whether it had a value that was deleted. */
static bool was_deleted(tr_board *board, const char *key)
{
    tr_message *message;

    if (tr_board_version(board, key) == TR_BOARD_NO_VERSION)
        return false; /* it is of the other side alone */
    if (tr_board_get(board, key, &message, NULL) < 0)
        return true; /* or it cannot be read now: then the mirror looks again */
    tr_message_release(message);
    return false;
}

void mirror_there(struct mirror *mirror, tr_board *board, const char *key)
{
    if (was_deleted(board, key) && !find(mirror, key))
        add(mirror, key);
}

uint32_t mirror_turn(struct mirror *mirror)
{
    mirror->turn = (mirror->turn + 1) % mirror->count;
    return mirror->turn;
}

int mirror_next(struct mirror *mirror, uint32_t i, tr_board *board, tr_message **out)
{
    struct mirrored *one = &mirror->keys[i];
    uint64_t version = TR_BOARD_NO_VERSION;
    int result;

    *out = NULL;
    if (!one->ready || one->offered)
        return TR_EAGAIN;
    result = tr_board_get(board, one->key, out, &version);
    if (result < 0 && result != TR_ENOENT)
        return result;
    one->ready = false;
    if (version <= one->confirmed) {
        tr_message_release(*out);
        *out = NULL;
        return TR_EAGAIN;
    }
    one->offered = version;
    return 0;
}

void mirror_drop(struct mirror *mirror, uint32_t i)
{
    mirror->keys[i].offered = TR_BOARD_NO_VERSION;
    mirror->keys[i].ready = true;
}

void mirror_confirm(struct mirror *mirror, uint32_t i)
{
    mirror->keys[i].confirmed = mirror->keys[i].offered;
    mirror->keys[i].offered = TR_BOARD_NO_VERSION;
    mirror->keys[i].ready = true;
}

/* A watch of versions newer than those that were offered. It is made when it is needed, and again
 * after each: what a watch has got cannot be told from what it has not. False: the set is full,
 * and mirror_look() finds what is new. */
static bool watch_key(struct mirrored *one, tr_board *board, tr_waitset *waitset,
                      uint64_t its_token)
{
    if (tr_board_watch_open(board, one->key, one->confirmed, &one->watch) < 0)
        return false;
    one->watched = tr_waitset_add_watch(waitset, one->watch, its_token) == 0;
    if (one->watched)
        return true;
    tr_board_watch_close(one->watch);
    one->watch = NULL;
    return false;
}

static void unwatch_key(struct mirrored *one, tr_waitset *waitset, uint64_t its_token)
{
    if (tr_waitset_remove(waitset, its_token) < 0)
        return;
    tr_board_watch_close(one->watch);
    one->watch = NULL;
    one->watched = false;
}

void mirror_watch(struct mirror *mirror, tr_board *board, tr_waitset *waitset,
                  uint64_t token)
{
    bool room = true;

    for (uint32_t i = 0; i < mirror->count; i++) {
        struct mirrored *one = &mirror->keys[i];
        bool wanted = !one->ready && !one->offered;

        if (wanted && !one->watched && room)
            room = watch_key(one, board, waitset, token + i);
        else if (!wanted && one->watched)
            unwatch_key(one, waitset, token + i);
    }
}

void mirror_woken(struct mirror *mirror, uint32_t i)
{
    mirror->keys[i].ready = true;
}

void mirror_close(struct mirror *mirror, tr_waitset *waitset, uint64_t token)
{
    for (uint32_t i = 0; i < mirror->count; i++) {
        if (mirror->keys[i].watched)
            unwatch_key(&mirror->keys[i], waitset, token + i);
        free(mirror->keys[i].key);
    }
    free(mirror->keys);
    *mirror = (struct mirror){0};
}
