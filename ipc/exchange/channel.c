/* SPDX-License-Identifier: MIT */
#include "ipc/exchange/channel.h"

#include <errno.h>
#include <string.h>

#include "ipc/exchange/owned.h"
#include "ipc/hash.h"
#include "ipc/hooks.h"
#include "ipc/mutant.h"

#define HASH_SHIFT 26
#define MAX_RING   65536

static uint64_t making(const struct self *me, uint32_t kind, uint64_t hash)
{
    return (uint64_t)CHANNEL_MAKING | (uint64_t)kind << 2 | (uint64_t)me->who << 5 |
           (uint64_t)(me->inc & 0xfff) << 14 | hash << HASH_SHIFT;
}

static uint64_t ready(uint64_t kind, uint64_t hash)
{
    return (uint64_t)CHANNEL_READY | kind << 2 | hash << HASH_SHIFT;
}

/* A name as an entry has it. */
struct channel_name {
    uint64_t words[CHANNEL_NAME / 8];
    uint64_t hash;
};

static void take_name(const struct view *view, const char *text,
                      struct channel_name *name)
{
    size_t length = strlen(text);

    memset(name->words, 0, sizeof(name->words));
    memcpy(name->words, text, length);
    name->hash = hash_words(view->geo.secret, name->words, (uint32_t)(length + 7) / 8) >>
                 HASH_SHIFT;
}

uint64_t channel_word(const struct view *view, uint32_t index)
{
    /* E5 acquire: pairs with publish(). */
    return shm_load(&view_channel(view, index)->word, E5_OPEN);
}

void channel_name(const struct view *view, uint32_t index, char name[CHANNEL_NAME])
{
    uint64_t words[CHANNEL_NAME / 8];

    shm_copy_out(words, view_channel(view, index)->name, CHANNEL_NAME / 8);
    memcpy(name, words, CHANNEL_NAME);
    name[CHANNEL_NAME - 1] = 0;
}

uint8_t *channel_bytes(const struct view *view, uint32_t index, uint64_t *bytes)
{
    struct channel *channel = view_channel(view, index);
    uint64_t off = shm_get(&channel->ring_off), size = shm_get(&channel->ring_bytes);

    if (off % ARENA_LINE || off < view->geo.rings_off || size > view->geo.rings_bytes ||
        off - view->geo.rings_off > view->geo.rings_bytes - size)
        return NULL;
    *bytes = size;
    return view->base + off;
}

int channel_ring(const struct view *view, uint32_t index, struct ring *ring)
{
    struct channel *channel = view_channel(view, index);
    uint32_t capacity = shm_get(&channel->capacity);
    uint64_t bytes;
    uint8_t *cells = channel_bytes(view, index, &bytes);

    if (!cells || capacity < 1 || capacity > MAX_RING || bytes < UINT64_C(8) * capacity)
        return -EBADMSG;
    *ring = (struct ring){
        .view = view,
        .channel = channel,
        .cells = (_Atomic uint64_t *)(void *)cells,
        .index = index,
        .capacity = capacity,
        .words = bytes / 8,
        .shift = capacity & (capacity - 1) ? -1 : __builtin_ctz(capacity),
        .max_deliveries = shm_get(&channel->max_deliveries),
        .redeliver = shm_get(&channel->policy) == 0,
    };
    return 0;
}

static bool fits(const struct view *view, uint64_t used, uint64_t bytes)
{
    return used <= view->geo.rings_bytes && bytes <= view->geo.rings_bytes - used;
}

static uint64_t whole_lines(uint64_t bytes)
{
    return (bytes + ARENA_LINE - 1) / ARENA_LINE * ARENA_LINE;
}

uint64_t channel_needs(const struct channel_spec *spec)
{
    uint32_t capacity = spec->capacity ? spec->capacity : spec->fallback;

    return whole_lines(spec->ring_bytes ? spec->ring_bytes : UINT64_C(8) * capacity);
}

/* Whether there is room for the ring. Checked before the entry is claimed, because an entry is
 * never given back: others have passed it and gone on to later ones. So an opening that finds no
 * room takes nothing. One that loses the last room to another after this check leaves an entry
 * that only its own name can use: at most one for each opening that runs meanwhile. */
static bool has_room(const struct view *view, struct channel *channel,
                     const struct channel_spec *spec)
{
    uint64_t bytes = channel_needs(spec);

    /* relaxed: a guess, see allocate(). */
    return MUTANT(ROOM_UNSEEN) || shm_get(&channel->ring_bytes) >= bytes ||
           fits(view, shm_load(&view_live(view)->rings_used, memory_order_relaxed),
                bytes);
}

/* A piece of the region of rings. What a maker that died had taken stays with its entry. The
 * piece is lost only if the maker dies between the two steps. */
static int allocate(const struct view *view, struct channel *channel, uint64_t bytes)
{
    _Atomic uint64_t *used = &view_live(view)->rings_used;
    /* relaxed: the compare-and-swap decides, the bytes are 0 from the start. */
    uint64_t seen = shm_load(used, memory_order_relaxed);

    if (shm_get(&channel->ring_bytes) >= bytes)
        return 0;
    do {
        if (!fits(view, seen, bytes))
            return -ENOBUFS;
    } while (!shm_cas(used, &seen, seen + bytes,
                      memory_order_relaxed)); /* relaxed: only the sum counts */
    shm_put(&channel->ring_off, view->geo.rings_off + seen);
    shm_put(&channel->ring_bytes, bytes);
    return 0;
}

/* The entry is ours to make. */
static int make(struct self *me, uint32_t index, const struct channel_spec *spec,
                const struct channel_name *name)
{
    struct channel *channel = view_channel(me->view, index);
    uint32_t capacity = spec->capacity ? spec->capacity : spec->fallback;
    uint64_t bytes = 0;
    uint8_t *ring;
    int result = allocate(me->view, channel, channel_needs(spec));

    if (result == 0 && !channel_bytes(me->view, index, &bytes))
        result = -EBADMSG;
    if (result < 0) {
        /* relaxed: nothing was written. The hash stays, so that the probe order does. */
        shm_store(&channel->word, making(me, 0, name->hash), memory_order_relaxed);
        return result;
    }
    ASSERT_OURS(shm_get(&channel->word) == making(me, spec->kind, name->hash),
                "the channel that is being made");
    shm_copy_in(channel->name, name->words, CHANNEL_NAME / 8);
    shm_put(&channel->capacity, capacity);
    shm_put(&channel->policy, spec->policy);
    shm_put(&channel->max_deliveries, spec->max_deliveries);
    shm_put(&channel->stamp, spec->stamp);
    ring = channel_bytes(me->view, index, &bytes);
    memset(ring, 0, bytes); /* a maker that died may have written there */
    if (spec->build)
        spec->build(me->view, channel, ring, capacity);
    /* E5 release: pairs with channel_word(); the entry is whole. */
    shm_store(&channel->word, ready(spec->kind, name->hash), E5_READY);
    return 0;
}

/* Whether the entry can be taken over from its maker: that gave up, or is dead. */
static bool abandoned(const struct view *view, uint64_t word)
{
    uint32_t who = (uint32_t)(word >> 5 & 0x1ff), inc = (uint32_t)(word >> 14 & 0xfff);
    uint64_t entry;

    if (CHANNEL_KIND(word) == 0 || who >= view->geo.participant_count)
        return true;
    /* E4 acquire: as in participant.c; low bits are the state. */
    entry = shm_load(&view_participant(view, who)->word, E4_LOOK);
    return (entry >> 2 & 0xfff) != inc || (entry & 3) == 0 || hooks->dead(view, who);
}

void channel_abandon(const struct view *view, uint32_t index, uint32_t who, uint32_t inc)
{
    uint64_t word = channel_word(view, index);

    if (CHANNEL_STATE(word) == CHANNEL_MAKING && (word >> 5 & 0x1ff) == who &&
        (word >> 14 & 0xfff) == (inc & 0xfff))
        /* E5 release: what the dead one took from the rings is passed on. */
        shm_cas(&view_channel(view, index)->word, &word, word & ~(UINT64_C(7) << 2),
                E5_READY);
}

/* Claim an entry that nobody has, or whose maker is gone, and make it. 1; 0: look again. */
static int claim(struct self *me, uint32_t index, const struct channel_spec *spec,
                 const struct channel_name *name, uint64_t word)
{
    struct channel *channel = view_channel(me->view, index);
    int result;

    if (CHANNEL_STATE(word) == CHANNEL_MAKING && !abandoned(me->view, word))
        return -EAGAIN;
    if (!has_room(me->view, channel, spec))
        return -ENOBUFS;
    /* E5 acquire: what a dead maker took from the rings is read. */
    if (!shm_cas(&channel->word, &word, making(me, spec->kind, name->hash), E5_OPEN))
        return 0;
    result = make(me, index, spec, name);
    return result < 0 ? result : 1;
}

static bool same_name(const struct channel *channel, const struct channel_name *name)
{
    for (uint32_t i = 0; i < CHANNEL_NAME / 8; i++)
        if (shm_get(&channel->name[i]) != name->words[i])
            return false;
    return true;
}

/* One entry of the probe. 1: it is the one. 0: look at the next. */
static int probe(struct self *me, uint32_t index, const struct channel_spec *spec,
                 const struct channel_name *name)
{
    struct channel *channel = view_channel(me->view, index);
    uint64_t word = channel_word(me->view, index);

    while (CHANNEL_STATE(word) == CHANNEL_EMPTY ||
           (CHANNEL_STATE(word) == CHANNEL_MAKING && word >> HASH_SHIFT == name->hash)) {
        int result = claim(me, index, spec, name, word);

        if (result != 0)
            return result;
        word = channel_word(me->view, index);
    }
    if (word >> HASH_SHIFT != name->hash || CHANNEL_STATE(word) != CHANNEL_READY ||
        !same_name(channel, name))
        return 0;
    return CHANNEL_KIND(word) == spec->kind ? 1 : -EEXIST;
}

int channel_open(struct self *me, const struct channel_spec *spec, uint32_t *index)
{
    uint32_t count = me->view->geo.channel_count;
    struct channel_name name;

    take_name(me->view, spec->name, &name);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = (uint32_t)((name.hash + i) % count);
        int found = probe(me, at, spec, &name);

        *index = at;
        if (found)
            return found < 0 ? found : 0;
    }
    return -ENOSPC;
}
