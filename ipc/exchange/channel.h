/* SPDX-License-Identifier: MIT */
/* channel.h - channels by name: the first process that opens one makes it, the others find it.
 *
 *  word: bits 0-1 state | 2-4 kind | 5-13 maker | 14-25 maker's incarnation | 26-63 hash
 *
 * Entries are probed from the hash of the name on. An entry is never reused, so a name has one
 * place: its maker claims the first empty entry by a compare-and-swap that stores the hash. A
 * process that finds an entry of its hash being made waits for it, and takes over if the maker is
 * dead. The word holds the low bits of the maker's incarnation only; so that a later participant
 * is not mistaken for the maker, the reaper marks the entry of a dead maker as abandoned (kind
 * 0). The hash is keyed by a secret of the arena, see hash.h. */
#ifndef TR_IPC_CHANNEL_H
#define TR_IPC_CHANNEL_H

#include "ipc/exchange/ring.h"

enum channel_kind { CHANNEL_QUEUE = 1, CHANNEL_BROADCAST = 2, CHANNEL_BOARD = 3 };
enum channel_state { CHANNEL_EMPTY, CHANNEL_MAKING, CHANNEL_READY };

#define CHANNEL_STATE(word) ((enum channel_state)((word)&3))
#define CHANNEL_KIND(word)  ((uint32_t)((word) >> 2 & 7))

struct channel_spec {
    const char *name; /* at most CHANNEL_NAME - 1 bytes */
    uint32_t kind;
    uint32_t capacity;   /* 0: what it has, or fallback */
    uint32_t fallback;   /* capacity of a new one if none is asked for */
    uint64_t ring_bytes; /* for a new one, of its capacity; 0: 8 a cell */
    uint32_t policy;
    uint32_t max_deliveries;
    uint32_t stamp;
    /* Fill a new ring, whose bytes are 0. May be NULL. */
    void (*build)(const struct view *view, struct channel *channel, uint8_t *ring,
                  uint32_t capacity);
};

/* Find or make. 0; -ENOSPC: no entry is left; -ENOBUFS: no room for the ring; -EAGAIN: its
 * maker lives and is not ready; -EEXIST: of another kind; -EBADMSG. */
int channel_open(struct self *me, const struct channel_spec *spec, uint32_t *index);

/* What a new one needs of the region of rings. */
uint64_t channel_needs(const struct channel_spec *spec);

/* For the reaper: if participant @p who was making it, others may make it. */
void channel_abandon(const struct view *view, uint32_t index, uint32_t who, uint32_t inc);

/* A checked view of the ring of a queue. 0, -EBADMSG. */
int channel_ring(const struct view *view, uint32_t index, struct ring *ring);

/* Where the ring's bytes are, checked to lie in the region of rings. NULL: they do not. */
uint8_t *channel_bytes(const struct view *view, uint32_t index, uint64_t *bytes);

/* State and kind of an entry. */
uint64_t channel_word(const struct view *view, uint32_t index);

/* Whether it was shut down. */
static inline bool channel_is_closed(const struct channel *channel)
{
    /* E3: shutdown changes it, then wakes. */
    return shm_load(&channel->closed, E3) != 0;
}

/* Its name, 0-terminated whatever is there. */
void channel_name(const struct view *view, uint32_t index, char name[CHANNEL_NAME]);

#endif
