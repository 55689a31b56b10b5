/* SPDX-License-Identifier: MIT */
/* board.h - a table of keys; each names a shared slot, and a version that only grows.
 *
 *  word: bit 0 claimed | bit 1 ready | bits 2-6 words of the key - 1 | bits 7-63 hash
 *  cell: bits 0-20 slot + 1, 0: no value | bits 21-63 version, modulo 2^43
 *  base: a version that it had
 *
 *  put   cell: (version, old) -> (version + 1, new); the old slot retires
 *  get   pin what the cell names
 *
 * Keys are probed from their hash on, and never leave. A writer that needs a new one claims
 * the first entry that is not claimed, with hash and length; writes the key, each word by a
 * compare-and-swap from 0; says that it is ready; and looks whether it is its key. So a
 * process that finds a claimed entry of the same hash and length finishes it, and waits for
 * nobody. Two keys of one hash and length, written at once, could make a third out of both:
 * then neither owns it, and both go on to other entries. The length must be the same, for a
 * shorter key would be whole before the longer one has written its last words behind it.
 *
 * The hash is keyed by a secret of the arena, see hash.h.
 *
 * A version has 64 bits. The cell has room for 43 of them; the others follow from the base,
 * which is never above the version, and never more than 2^40 + 1 below it: a process that
 * would put a version that is further away first changes the base, by compare-and-swap, to
 * the version that it read together with it. One that was stopped meanwhile fails: the base
 * has moved. */
#ifndef TR_IPC_BOARD_H
#define TR_IPC_BOARD_H

#include "ipc/exchange/channel.h"
#include "ipc/exchange/shared.h"

#define BOARD_ANY  UINT64_MAX          /* for board_put(): any version */
#define BOARD_NEAR (UINT64_C(1) << 40) /* how far the base may be behind */

struct board {
    const struct view *view;
    struct channel *channel;
    struct board_key *keys;
    uint32_t index; /* of the channel */
    uint32_t count; /* of keys, a power of 2 */
};

/* A key as a table has it. */
struct board_name {
    uint64_t words[BOARD_KEY / 8];
    uint64_t hash; /* in the table that it was looked for last */
    uint32_t used; /* words that are not 0 */
};

/* At most BOARD_KEY - 1 bytes, not empty. */
void board_name(const char *key, size_t length, struct board_name *name);

/* What to ask channel_open() for. */
void board_channel_spec(const char *name, uint32_t keys, struct channel_spec *spec);

/* A checked view of it. 0, -EBADMSG. */
int board_view(const struct view *view, uint32_t index, struct board *out);

/* Its word in the table, without the ready bit. */
uint64_t board_word(const struct board *board, struct board_name *name);

/* The entry of a key, or NULL: there is none. */
struct board_key *board_find(const struct board *board, struct board_name *name);

/* The same, made if it is not there. NULL: the table is full. Lock-free. */
struct board_key *board_claim(const struct board *board, struct board_name *name);

/* Give the key a new value; if @p version is not BOARD_ANY, only if it has that version. 0,
 * with the new version; -ESTALE, with the version that it has, and the slot is held as it
 * was. Lock-free. */
int board_put(struct board *board, struct self *me, struct board_key *key, uint32_t slot,
              uint64_t *version);

/* Take the value away, as board_put(). 0; -ENOENT: there was none; -ESTALE. */
int board_delete(struct board *board, struct board_key *key, uint64_t *version);

struct board_value {
    struct pin pin;
    uint64_t cell; /* 0-20: 0 if there is no value, then nothing is pinned */
    uint64_t version;
};

/* Pin the value. 0; -ENOENT, with the version; -ENOBUFS: no pin is left; -EBADMSG. */
int board_get(struct board *board, struct self *me, struct board_key *key,
              struct board_value *value);

/* The wake word for changes of the key; shared with other keys. */
_Atomic uint32_t *board_group(const struct board *board, const struct board_key *key);

/* Whether the key still has that value: for snapshots of many. */
bool board_current(const struct board_key *key, const struct board_value *value);

/* The version of a key, and whether it has a value. */
uint64_t board_key_version(const struct board_key *key, bool *there);

/* The next entry from *at on that has a value. False: there is none. */
bool board_next(const struct board *board, uint32_t *at, char key[BOARD_KEY],
                uint64_t *version);

/* Whether the cell of key @p position names @p slot. */
bool board_names(const struct view *view, uint32_t index, uint64_t position,
                 uint32_t slot);

#endif
