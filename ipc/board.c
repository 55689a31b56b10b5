/* SPDX-License-Identifier: MIT */
#include "ipc/board.h"

#include <errno.h>
#include <string.h>

#include "ipc/wake.h"

#define KEY_CLAIMED UINT64_C(1)
#define KEY_READY   UINT64_C(2)
#define KEY_HASH(w) ((w) >> 2)
#define SLOT_MASK   UINT64_C(0x1fffff)
#define NAMED(cell) ((uint32_t)((cell)&SLOT_MASK)) /* slot + 1 */
#define MAX_KEYS    (UINT32_C(1) << 20)
#define GOLDEN      UINT64_C(0x9e3779b97f4a7c15)

/* Words are folded by multiplying and turning: a few cycles each, where a hash by bytes
 * would cost more than all the rest of a get. */
void board_name(const char *key, size_t length, struct board_name *name)
{
    uint64_t hash = length;

    name->used = (uint32_t)(length + 7) / 8;
    name->words[name->used - 1] = 0;
    memcpy(name->words, key, length);
    for (uint32_t i = 0; i < name->used; i++) {
        hash = (hash ^ name->words[i]) * GOLDEN;
        hash ^= hash >> 32;
    }
    name->hash = hash >> 2;
}

int board_view(const struct view *view, uint32_t index, struct board *out)
{
    struct channel *channel = view_channel(view, index);
    uint32_t count = shm_get(&channel->capacity);
    uint64_t bytes;
    uint8_t *ring = channel_bytes(view, index, &bytes);

    if (!ring || count < 1 || count > MAX_KEYS || (count & (count - 1)) ||
        bytes < count * sizeof(struct board_key))
        return -EBADMSG;
    *out = (struct board){.view = view,
                          .channel = channel,
                          .keys = (struct board_key *)(void *)ring,
                          .index = index,
                          .count = count};
    return 0;
}

void board_wish(const char *name, uint32_t keys, struct channel_wish *wish)
{
    uint32_t count = 1;

    while (count < keys)
        count *= 2;
    *wish = (struct channel_wish){.name = name,
                                  .kind = CHANNEL_BOARD,
                                  .capacity = count,
                                  .ring_bytes = count * sizeof(struct board_key)};
}

static bool same_key(const struct board_key *entry, const struct board_name *name)
{
    for (uint32_t i = 0; i < name->used; i++)
        if (shm_get(&entry->key[i]) != name->words[i])
            return false;
    return name->used == BOARD_KEY / 8 || shm_get(&entry->key[name->used]) == 0;
}

static uint64_t word_of(const struct board_name *name)
{
    return name->hash << 2 | KEY_CLAIMED;
}

static struct board_key *probe(const struct board *board, const struct board_name *name,
                               uint32_t i)
{
    return &board->keys[(name->hash + i) & (board->count - 1)];
}

struct board_key *board_find(const struct board *board, const struct board_name *name)
{
    for (uint32_t i = 0; i < board->count; i++) {
        struct board_key *entry = probe(board, name, i);
        /* E12 acquire: pairs with finish(); the key is whole. */
        uint64_t word = shm_load(&entry->word, E12_OPEN);

        if (word == 0)
            return NULL;
        if (word == (word_of(name) | KEY_READY) && same_key(entry, name))
            return entry;
    }
    return NULL;
}

/* Write the key of a claimed entry, perhaps together with others. */
static void finish(struct board_key *entry, const struct board_name *name)
{
    uint64_t claimed = word_of(name);

    for (uint32_t i = 0; i < name->used; i++) {
        uint64_t none = 0;

        /* E12 release: as below; the others' words are passed on, too. */
        shm_cas(&entry->key[i], &none, name->words[i], E12_BOTH);
    }
    /* E12 release: pairs with board_find(). */
    shm_cas(&entry->word, &claimed, claimed | KEY_READY, E12_BOTH);
}

/* The entry's word, ours if it was free. */
static uint64_t claim_word(struct board_key *entry, const struct board_name *name)
{
    /* E12 acquire: pairs with finish(). */
    uint64_t word = shm_load(&entry->word, E12_OPEN);

    if (word != 0)
        return word;
    /* E12: what is claimed has no key yet. */
    if (shm_cas(&entry->word, &word, word_of(name), E12_BOTH))
        return word_of(name);
    /* E12 acquire: as above. A lost compare-and-swap orders nothing, and its key is read. */
    return shm_load(&entry->word, E12_OPEN);
}

struct board_key *board_claim(const struct board *board, const struct board_name *name)
{
    for (uint32_t i = 0; i < board->count; i++) {
        struct board_key *entry = probe(board, name, i);
        uint64_t word = claim_word(entry, name);

        if (KEY_HASH(word) != name->hash)
            continue;
        if (!(word & KEY_READY))
            finish(entry, name);
        if (same_key(entry, name))
            return entry;
    }
    return NULL;
}

static uint64_t next_cell(uint64_t cell, uint32_t named)
{
    return (BOARD_VERSION(cell) + 1) << 21 | named;
}

_Atomic uint32_t *board_group(const struct board *board, const struct board_key *key)
{
    return &board->channel->groups[(size_t)(key - board->keys) % BOARD_GROUPS];
}

static uint64_t look(const struct board_key *key)
{
    /* E11 acquire: pairs with the put. E3: the look after the announcement. */
    return shm_load(&key->cell, E11_TAKE);
}

/* Replace the cell if it still is *seen. @p named: slot + 1, or 0. */
static bool replace(const struct board *board, struct board_key *key, uint64_t *seen,
                    uint32_t named)
{
    uint64_t old = *seen, word = 0;
    uint32_t slot = NAMED(old) - 1;
    bool held = NAMED(old) != 0 && slot < board->view->geo.slot_count;

    if (held && !shared_settle(board->view, &key->cell, old, slot, &word)) {
        *seen = look(key);
        return false;
    }
    /* E11 release: pairs with look(). E9: before the old slot is retired. E3: before the
     * look for sleepers. */
    if (!shm_cas(&key->cell, seen, next_cell(old, named), E11_PUT)) {
        *seen = look(key); /* again: a lost compare-and-swap orders nothing */
        return false;
    }
    if (held)
        shared_retire(board->view, slot, word, false);
    wake_all(board->view, board_group(board, key));
    wake_all(board->view, &board->channel->items);
    return true;
}

int board_put(struct board *board, struct peer *me, struct board_key *key, uint32_t slot,
              uint64_t *version)
{
    uint64_t expected = *version, seen = look(key);
    struct putting putting;

    shared_begin(me, slot, &putting);
    shared_aim(me, &putting, board->index, (uint64_t)(key - board->keys));
    do {
        if (expected != BOARD_ANY && BOARD_VERSION(seen) != expected) {
            *version = BOARD_VERSION(seen);
            shared_undo(me, &putting);
            return -ESTALE;
        }
        *version = BOARD_VERSION(seen) + 1;
    } while (!replace(board, key, &seen, slot + 1));
    shared_done(me, &putting);
    return 0;
}

int board_delete(struct board *board, struct board_key *key, uint64_t *version)
{
    uint64_t expected = *version, seen = look(key);

    do {
        *version = BOARD_VERSION(seen);
        if (expected != BOARD_ANY && BOARD_VERSION(seen) != expected)
            return -ESTALE;
        if (!NAMED(seen))
            return -ENOENT;
        *version = BOARD_VERSION(seen) + 1;
    } while (!replace(board, key, &seen, 0));
    return 0;
}

int board_get(struct board *board, struct peer *me, struct board_key *key,
              struct board_value *value)
{
    int result;

    (void)board;
    do {
        value->cell = look(key);
        if (!NAMED(value->cell))
            return -ENOENT;
        result = shared_pin(me, &key->cell, value->cell, NAMED(value->cell) - 1,
                            &value->pin);
    } while (result == -EAGAIN); /* a writer got on: nobody is stuck */
    return result;
}

bool board_current(const struct board_key *key, const struct board_value *value)
{
    return look(key) == value->cell;
}

uint64_t board_key_version(const struct board_key *key, bool *there)
{
    uint64_t cell = look(key);

    *there = NAMED(cell) != 0;
    return BOARD_VERSION(cell);
}

bool board_next(const struct board *board, uint32_t *at, char key[BOARD_KEY],
                uint64_t *version)
{
    for (; *at < board->count; ++*at) {
        struct board_key *entry = &board->keys[*at];
        uint64_t words[BOARD_KEY / 8], cell;

        /* E12 acquire: pairs with finish(). */
        if (!(shm_load(&entry->word, E12_OPEN) & KEY_READY))
            continue;
        cell = look(entry);
        if (!NAMED(cell))
            continue;
        shm_copy_out(words, entry->key, BOARD_KEY / 8);
        memcpy(key, words, BOARD_KEY);
        key[BOARD_KEY - 1] = 0;
        *version = BOARD_VERSION(cell);
        ++*at;
        return true;
    }
    return false;
}

bool board_names(const struct view *view, uint32_t index, uint64_t position,
                 uint32_t slot)
{
    struct board board;

    return board_view(view, index, &board) == 0 && position < board.count &&
           NAMED(look(&board.keys[position])) == slot + 1;
}
