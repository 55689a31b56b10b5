/* SPDX-License-Identifier: MIT */
#include "ipc/exchange/board.h"

#include <errno.h>
#include <string.h>

#include "ipc/hash.h"
#include "ipc/mutant.h"
#include "ipc/signal/wake.h"

#define KEY_CLAIMED   UINT64_C(1)
#define KEY_READY     UINT64_C(2)
#define KEY_HASH      7
#define SLOT_MASK     UINT64_C(0x1fffff)
#define NAMED(cell)   ((uint32_t)((cell)&SLOT_MASK)) /* slot + 1 */
#define VERSION_SHIFT 21
#define VERSIONS      (UINT64_C(1) << (64 - VERSION_SHIFT))
#define MAX_KEYS      (UINT32_C(1) << 20)

void board_name(const char *key, size_t length, struct board_name *name)
{
    name->hash = 0;
    name->used = (uint32_t)(length + 7) / 8;
    name->words[name->used - 1] = 0;
    memcpy(name->words, key, length);
}

uint64_t board_word(const struct board *board, struct board_name *name)
{
    name->hash = hash_words(board->view->geo.secret, name->words, name->used) >> KEY_HASH;
    return name->hash << KEY_HASH | (MUTANT(KEY_MIXED) ? 0 : name->used - 1) << 2 |
           KEY_CLAIMED;
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

void board_channel_spec(const char *name, uint32_t keys, struct channel_spec *spec)
{
    uint32_t count = 1;

    while (count < keys)
        count *= 2;
    *spec = (struct channel_spec){.name = name,
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

static struct board_key *probe(const struct board *board, const struct board_name *name,
                               uint32_t i)
{
    return &board->keys[(name->hash + i) & (board->count - 1)];
}

struct board_key *board_find(const struct board *board, struct board_name *name)
{
    uint64_t ready = board_word(board, name) | KEY_READY;

    for (uint32_t i = 0; i < board->count; i++) {
        struct board_key *entry = probe(board, name, i);
        /* E12 acquire: pairs with finish(); the key is whole. */
        uint64_t word = shm_load(&entry->word, E12_OPEN);

        if (word == 0)
            return NULL;
        if (word == ready && same_key(entry, name))
            return entry;
    }
    return NULL;
}

/* Write the key of an entry that is @p claimed, perhaps together with others. */
static void finish(struct board_key *entry, const struct board_name *name,
                   uint64_t claimed)
{
    for (uint32_t i = 0; i < name->used; i++) {
        uint64_t none = 0;

        /* E12 release: pairs with board_find(); the others' words are passed on, too. */
        shm_cas(&entry->key[i], &none, name->words[i], E12_BOTH);
    }
    /* E12 release: pairs with board_find(). */
    shm_cas(&entry->word, &claimed, claimed | KEY_READY, E12_BOTH);
}

/* The entry's word, ours if it was free. */
static uint64_t claim_word(struct board_key *entry, uint64_t claimed)
{
    /* E12 acquire: pairs with finish(). */
    uint64_t word = shm_load(&entry->word, E12_OPEN);

    if (word != 0)
        return word;
    /* E12: what is claimed has no key yet. */
    if (shm_cas(&entry->word, &word, claimed, E12_BOTH))
        return claimed;
    /* E12 acquire: pairs with finish(). A lost compare-and-swap orders nothing, and its key is
     * read. */
    return shm_load(&entry->word, E12_OPEN);
}

struct board_key *board_claim(const struct board *board, struct board_name *name)
{
    uint64_t claimed = board_word(board, name);

    for (uint32_t i = 0; i < board->count; i++) {
        struct board_key *entry = probe(board, name, i);
        uint64_t word = claim_word(entry, claimed);

        if ((word & ~KEY_READY) != claimed)
            continue;
        if (!(word & KEY_READY))
            finish(entry, name, claimed);
        if (same_key(entry, name))
            return entry;
    }
    return NULL;
}

static uint64_t next_cell(uint64_t version, uint32_t named)
{
    return (version + 1) << VERSION_SHIFT | named;
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

static uint64_t base_of(const struct board_key *key)
{
    /* E11 acquire: pairs with keep_near(), which comes before a put that needs it. */
    return shm_load(&key->base, E11_TAKE);
}

static uint64_t version_of(uint64_t cell, uint64_t base)
{
    return MUTANT(VERSION_SHORT) ? cell >> VERSION_SHIFT
                                 : base + ((cell >> VERSION_SHIFT) - base) % VERSIONS;
}

/* A cell and the base of the same time. */
struct snapshot {
    uint64_t cell, base, version;
};

static struct snapshot see(const struct board_key *key)
{
    struct snapshot snapshot;

    do { /* once, except one time in 2^40 versions */
        snapshot.base = base_of(key);
        snapshot.cell = look(key);
    } while (base_of(key) != snapshot.base);
    snapshot.version = version_of(snapshot.cell, snapshot.base);
    return snapshot;
}

/* Before the key gets the version after the one that was seen. If the swap fails, the base is
 * nearer already. */
static void keep_near(struct board_key *key, const struct snapshot *seen)
{
    uint64_t base = seen->base;

    if (seen->version - base >= BOARD_NEAR)
        shm_cas(&key->base, &base, seen->version, E11_PUT); /* E11: see base_of() */
}

/* Replace the cell if it still is as it was seen. @p named: slot + 1, or 0. */
static bool replace(const struct board *board, struct board_key *key,
                    const struct snapshot *seen, uint32_t named)
{
    uint64_t cell = seen->cell, word = 0;
    uint32_t slot = NAMED(cell) - 1;
    bool held = NAMED(cell) != 0 && slot < board->view->geo.slot_count;

    if (held && !shared_complete(board->view, &key->cell, cell, slot, &word))
        return false;
    keep_near(key, seen);
    /* E11 release: pairs with look(). E9: before the old slot is retired. E3: before the
     * look for sleepers. */
    /* If it fails, see the cell again: a lost compare-and-swap orders nothing. */
    if (!shm_cas(&key->cell, &cell, next_cell(seen->version, named), E11_PUT))
        return false;
    if (held)
        shared_retire(board->view, slot, word, false);
    wake_all(board->view, board_group(board, key));
    wake_all(board->view, &board->channel->items);
    return true;
}

int board_put(struct board *board, struct self *me, struct board_key *key, uint32_t slot,
              uint64_t *version)
{
    uint64_t expected = *version;
    struct putting putting;
    struct snapshot seen;

    shared_begin(me, slot, &putting);
    shared_set_target(me, &putting, board->index, (uint64_t)(key - board->keys));
    do {
        seen = see(key);
        if (expected != BOARD_ANY && seen.version != expected) {
            *version = seen.version;
            shared_undo(me, &putting);
            return -ESTALE;
        }
        *version = seen.version + 1;
    } while (!replace(board, key, &seen, slot + 1));
    shared_done(me, &putting);
    return 0;
}

int board_delete(struct board *board, struct board_key *key, uint64_t *version)
{
    uint64_t expected = *version;
    struct snapshot seen;

    do {
        seen = see(key);
        *version = seen.version;
        if (expected != BOARD_ANY && seen.version != expected)
            return -ESTALE;
        if (!NAMED(seen.cell))
            return -ENOENT;
        *version = seen.version + 1;
    } while (!replace(board, key, &seen, 0));
    return 0;
}

int board_get(struct board *board, struct self *me, struct board_key *key,
              struct board_value *value)
{
    int result;

    (void)board;
    do {
        struct snapshot seen = see(key);

        value->cell = seen.cell;
        value->version = seen.version;
        if (!NAMED(value->cell))
            return -ENOENT;
        result = shared_pin(me, &key->cell, value->cell, NAMED(value->cell) - 1,
                            &value->pin);
    } while (result == -EAGAIN); /* a writer progressed: nobody is stuck */
    return result;
}

bool board_current(const struct board_key *key, const struct board_value *value)
{
    return look(key) == value->cell;
}

uint64_t board_key_version(const struct board_key *key, bool *there)
{
    struct snapshot seen = see(key);

    *there = NAMED(seen.cell) != 0;
    return seen.version;
}

bool board_next(const struct board *board, uint32_t *at, char key[BOARD_KEY],
                uint64_t *version)
{
    for (; *at < board->count; ++*at) {
        struct board_key *entry = &board->keys[*at];
        uint64_t words[BOARD_KEY / 8];
        struct snapshot seen;

        /* E12 acquire: pairs with finish(). */
        if (!(shm_load(&entry->word, E12_OPEN) & KEY_READY))
            continue;
        seen = see(entry);
        if (!NAMED(seen.cell))
            continue;
        shm_copy_out(words, entry->key, BOARD_KEY / 8);
        memcpy(key, words, BOARD_KEY);
        key[BOARD_KEY - 1] = 0;
        *version = seen.version;
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
