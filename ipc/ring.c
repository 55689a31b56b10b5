/* SPDX-License-Identifier: MIT */
#include "ipc/ring.h"

#include <errno.h>

#include "ipc/mutant.h"
#include "ipc/owned.h"
#include "ipc/request.h"
#include "ipc/wake.h"

#define CELL_SLOT(cell) ((uint32_t)((cell)&0xfffff))
#define CELL_TURN(cell) ((cell) >> 20)

/* How far to fetch ahead of what is being received. */
#define AHEAD 4

static uint64_t cell_of(uint64_t turn, uint32_t slot)
{
    return turn << 20 | slot;
}

struct place {
    uint64_t turn;
    uint32_t index;
};

static struct place place_of(const struct ring *ring, uint64_t position)
{
    if (ring->shift >= 0)
        return (struct place){(position >> ring->shift) + 1,
                              (uint32_t)(position & (ring->capacity - 1))};
    return (struct place){position / ring->capacity + 1,
                          (uint32_t)(position % ring->capacity)};
}

/* The position that cell @p index has in a turn, 1 or later. */
static uint64_t position_of(const struct ring *ring, uint64_t turn, uint32_t index)
{
    return (turn - 1) * ring->capacity + index;
}

/* Both walks end: under contention somebody else got on each time round, and a peer that
 * scribbles must not make us walk for ever. The caller then waits and tries again. */
static uint64_t patience(const struct ring *ring)
{
    return UINT64_C(4) * ring->capacity + 1024;
}

/* Whether position @p at is not beyond a hole: the one before has been filled. */
static bool follows(const struct ring *ring, uint64_t at)
{
    struct place before = place_of(ring, at - 1);

    if (at == 0)
        return true;
    /* relaxed: nothing is read through it, and a cell never goes back. */
    return CELL_TURN(shm_load(&ring->cells[before.index], memory_order_relaxed)) >=
           before.turn;
}

static uint64_t look(const struct ring *ring, uint32_t index)
{
    /* E8 acquire: pairs with the put. Without it the slot could still look as if it were not
     * queued, and the message would be passed by as taken. E3: this is the look after the
     * announcement. */
    return shm_load(&ring->cells[index], E8_LOOK);
}

/* The slot that the cell of position @p at names is still queued there. */
static bool unclaimed(const struct ring *ring, uint64_t at, uint64_t cell, uint64_t *word)
{
    uint32_t slot = CELL_SLOT(cell);
    struct slot_record *record;

    if (slot >= ring->view->geo.slot_count) {
        view_count(ring->view, COUNT_CORRUPT, 1);
        return false;
    }
    record = view_record(ring->view, slot);
    /* E1 acquire: pairs with ring_put(). Without it the receiver could read record and
     * payload as they were before the sender wrote them, and a place that the slot had in a
     * former life. A slot that was queued again since has another generation: the claim
     * compares the whole word. E3: the look of a sender who waits for room. */
    *word = shm_load(&record->owner, E1_TAKE);
    return SLOT_STATE(*word) == SLOT_QUEUED &&
           (MUTANT(NO_PLACE) || slot_where(record) == WHERE(ring->index, at));
}

/* Whether the message at @p at, which cell @p cell names, has been claimed. */
static bool passed(struct ring *ring, uint64_t at, uint64_t cell)
{
    uint64_t word;

    if (CELL_TURN(cell) == 0)
        return true;
    /* relaxed: local, and only ever behind. */
    if (atomic_load_explicit(&ring->passed, memory_order_relaxed) > at)
        return true;
    /* E14 acquire: pairs with the receiver's store: all before the head were claimed. */
    word = shm_load(&ring->channel->head, E14_LOOK);
    atomic_store_explicit(&ring->passed, word,
                          memory_order_relaxed); /* relaxed: as above */
    return word > at || !unclaimed(ring, at, cell, &word);
}

/* One look at position *at. 1: put there. 0: go on at *at. -EAGAIN: full. */
static int put_at(struct ring *ring, struct slot_record *record, uint32_t slot,
                  uint64_t *at)
{
    struct place place = place_of(ring, *at);
    uint64_t seen = look(ring, place.index);
    uint64_t turn = CELL_TURN(seen);

    if (turn >= place.turn) {
        *at = position_of(ring, turn, place.index) + 1;
    } else if (!follows(ring, *at)) {
        --*at;
    } else if (turn + 1 == place.turn) {
        if (!MUTANT(OVERWRITE) && !passed(ring, *at - ring->capacity, seen))
            return -EAGAIN;
        slot_place(record, WHERE(ring->index, *at));
        /* E8 release: pairs with look(). E3: before the look for sleeping receivers. */
        return shm_cas(&ring->cells[place.index], &seen, cell_of(place.turn, slot),
                       E8_PUT);
    } else { /* the hint was past it */
        *at = position_of(ring, turn + 1, place.index);
    }
    return 0;
}

int ring_put(struct ring *ring, struct peer *me, uint32_t slot)
{
    struct slot_record *record = view_record(ring->view, slot);
    /* relaxed: the slot is ours; the tail is a hint. */
    uint64_t mine = shm_load(&record->owner, memory_order_relaxed);
    uint32_t generation = SLOT_GENERATION(mine) + !MUTANT(SAME_GENERATION);
    /* Where it goes should we find no room, and die: a loan has not been anywhere. */
    uint64_t from = SLOT_STATE(mine) == SLOT_LOANED && !MUTANT(OLD_CHANNEL)
                        ? WHERE_NONE
                        : WHERE(WHERE_CHANNEL(slot_where(record)), WHERE_NOWHERE);
    uint64_t at = shm_load(&ring->channel->tail, memory_order_relaxed);
    int result = -EAGAIN;

    ASSERT_HELD(me, record);
    /* Should we die before a cell names the slot, the reaper finishes: it knows the channel. */
    slot_place(record, WHERE(ring->index, WHERE_NOWHERE));
    /* E1 release: pairs with unclaimed(); publishes record and payload. A forwarded message
     * is delivered for the first time in its new channel. */
    if (!MUTANT(CELL_FIRST))
        shm_store(&record->owner, slot_word(SLOT_QUEUED, me->who, me->inc, 0, generation),
                  E1_PUT);
    for (uint64_t i = patience(ring); i > 0; i--) {
        result = put_at(ring, record, slot, &at);
        if (result != 0)
            break;
        result = -EAGAIN;
    }
    if (result == 1) {
        if (MUTANT(CELL_FIRST)) /* E1: too late */
            shm_store(&record->owner,
                      slot_word(SLOT_QUEUED, me->who, me->inc, 0, generation), E1_PUT);
        /* relaxed: a hint. */
        shm_store(&ring->channel->tail, at + 1, memory_order_relaxed);
        wake_one(ring->view, &ring->channel->items);
        return 0;
    }
    ASSERT_MINE(me, record, SLOT_QUEUED);
    slot_place(record, from);
    /* relaxed: still ours; the generation stays ahead. */
    shm_store(
        &record->owner,
        slot_word(SLOT_STATE(mine), me->who, me->inc, SLOT_DELIVERIES(mine), generation),
        memory_order_relaxed);
    return result;
}

/* Messages of dead receivers wait in their slots, not in the ring: nobody had to find room
 * for them. The reaper marks the slot, then the channel; who dies between is swept again by
 * the next, who marks again. Each mark makes another word, so that who found nothing takes
 * away only the mark it saw. */
static int take_orphan(struct ring *ring, struct peer *me, uint32_t *slot)
{
    /* E3: the reaper's mark, or our look comes first and its wake finds us. */
    uint32_t seen = shm_load(&ring->channel->orphans, E3);

    if (!(seen & ORPHANS_THERE))
        return -EAGAIN;
    for (uint32_t i = 0; i < ring->view->geo.slot_count; i++) {
        struct slot_record *record = view_record(ring->view, i);
        /* E6 acquire: pairs with the reaper's mark. Without it the slot's place could be
         * that of a former life, and the message another channel's. */
        uint64_t word = shm_load(&record->owner, E6_LOOK);

        if (SLOT_STATE(word) != SLOT_ORPHAN ||
            orphan_channel(ring->view, i, word) != ring->index)
            continue;
        /* E6: pairs with the reaper's mark. */
        if (shm_cas(&record->owner, &word, slot_held(word, SLOT_RECEIVED, me),
                    E6_CLAIM)) {
            *slot = i;
            return 0;
        }
    }
    /* E3: unless the channel was marked again, there is none left. */
    shm_cas(&ring->channel->orphans, &seen,
            MUTANT(ORPHANS_FORGOTTEN) ? 0 : seen & ~ORPHANS_THERE, E3);
    return -EAGAIN;
}

/* A slot that we shall claim, read, give back and most likely fill again: fetch its lines,
 * at once and to be written, instead of one after the other and each of them twice. */
static void fetch(const struct ring *ring, uint32_t slot)
{
    const uint8_t *record;

    if (slot >= ring->view->geo.slot_count)
        return;
    record = (const uint8_t *)view_record(ring->view, slot);
    __builtin_prefetch(record, 1);
    __builtin_prefetch(ring->view->base + view_payload_off(ring->view, slot), 1);
}

/* What is received soon: its lines come while there is other work. */
static void fetch_ahead(const struct ring *ring, uint64_t at)
{
    struct place place = place_of(ring, at);
    /* relaxed: only a guess. */
    uint64_t cell = shm_get(&ring->cells[place.index]);

    if (CELL_TURN(cell) == place.turn)
        fetch(ring, CELL_SLOT(cell));
}

/* Position *at is full: claim it. 1: ours. 0: somebody else's, look further. */
static int claim(struct ring *ring, struct peer *me, uint64_t at, uint64_t cell)
{
    uint64_t word;

    fetch(ring, CELL_SLOT(cell));
    /* E6 release: pairs with the reaper's mark, should we die with it. E3: before the look
     * for sleeping senders. */
    return unclaimed(ring, at, cell, &word) &&
           shm_cas(&view_record(ring->view, CELL_SLOT(cell))->owner, &word,
                   slot_held(word, SLOT_RECEIVED, me), E6_CLAIM);
}

/* One look at position *at. 1: taken. 0: go on at *at. -EAGAIN: empty. */
static int take_at(struct ring *ring, struct peer *me, uint64_t *at, uint32_t *slot)
{
    struct place place = place_of(ring, *at);
    uint64_t seen = look(ring, place.index);
    uint64_t turn = CELL_TURN(seen);

    if (turn > place.turn) { /* filled again: all before that were claimed */
        *at = position_of(ring, turn - 1, place.index) + 1;
        return 0;
    }
    if (turn == place.turn) {
        int won = claim(ring, me, *at, seen);

        *slot = CELL_SLOT(seen);
        ++*at;
        return won;
    }
    /* Not filled yet; that the head is ahead of the tail is a peer's doing. */
    if (!follows(ring, *at)) {
        --*at;
        return 0;
    }
    return -EAGAIN;
}

int ring_take(struct ring *ring, struct peer *me, uint32_t *slot)
{
    /* relaxed: a hint. */
    uint64_t start = shm_load(&ring->channel->head, memory_order_relaxed), at = start;
    int result = take_orphan(ring, me, slot);

    if (result == 0)
        return 0;
    for (uint64_t i = patience(ring); i > 0; i--) {
        result = take_at(ring, me, &at, slot);
        if (result != 0)
            break;
        result = -EAGAIN;
    }
    /* E14 release: pairs with passed(); what we claimed or saw claimed comes first. */
    if (at != start)
        shm_store(&ring->channel->head, at, E14_PASS);
    if (result != 1)
        return result;
    wake_one(ring->view, &ring->channel->room);
    fetch_ahead(ring, at + AHEAD - 1);
    return 0;
}

bool ring_readable(struct ring *ring)
{
    /* relaxed: a hint. */
    uint64_t at = shm_load(&ring->channel->head, memory_order_relaxed);

    /* E3: the look after the announcement, here and below. */
    if (shm_load(&ring->channel->orphans, E3) & ORPHANS_THERE)
        return true;
    for (uint64_t i = patience(ring); i > 0; i--) {
        struct place place = place_of(ring, at);
        uint64_t seen = look(ring, place.index), turn = CELL_TURN(seen), word;

        if (turn > place.turn)
            at = position_of(ring, turn - 1, place.index) + 1;
        else if (turn == place.turn && unclaimed(ring, at, seen, &word))
            return true;
        else if (turn == place.turn)
            at++;
        else if (!follows(ring, at))
            at--;
        else
            return false;
    }
    return false;
}

bool ring_writable(struct ring *ring)
{
    /* relaxed: a hint. */
    uint64_t at = shm_load(&ring->channel->tail, memory_order_relaxed);

    for (uint64_t i = patience(ring); i > 0; i--) {
        struct place place = place_of(ring, at);
        uint64_t seen = look(ring, place.index), turn = CELL_TURN(seen);

        if (turn >= place.turn)
            at = position_of(ring, turn, place.index) + 1;
        else if (!follows(ring, at))
            at--;
        else if (turn + 1 == place.turn)
            return passed(ring, at - ring->capacity, seen);
        else
            at = position_of(ring, turn + 1, place.index);
    }
    return false;
}

struct ring_sight ring_look_ahead(const struct ring *ring)
{
    /* relaxed: hints, see ring_still(). */
    struct place place = place_of(ring,
                                  shm_load(&ring->channel->head, memory_order_relaxed));
    const _Atomic uint64_t *cell = &ring->cells[place.index];
    uint64_t seen = shm_get(cell);

    return (struct ring_sight){CELL_TURN(seen) < place.turn ? cell : NULL, seen};
}

bool ring_still(const struct ring *ring, const struct ring_sight *sight)
{
    uint64_t cell;

    if (!sight->cell)
        return false;
    /* relaxed: who sees a change looks again. */
    cell = shm_get(sight->cell);
    if (cell == sight->seen)
        return true;
    fetch(ring, CELL_SLOT(cell));
    return false;
}

bool ring_names(const struct ring *ring, uint64_t position, uint32_t slot)
{
    struct place place = place_of(ring, position);

    return look(ring, place.index) == cell_of(place.turn, slot);
}

void ring_watch(const struct ring *ring)
{
    /* E3: after an orphan's mark. */
    (void)shm_load(&ring->channel->orphans, E3);
    for (uint32_t i = 0; i < ring->capacity; i++)
        (void)look(ring, i);
}

uint64_t ring_depth(const struct ring *ring)
{
    /* relaxed: hints. */
    uint64_t tail = shm_load(&ring->channel->tail, memory_order_relaxed);
    uint64_t head = shm_load(&ring->channel->head, memory_order_relaxed);

    if (tail <= head)
        return 0;
    return tail - head < ring->capacity ? tail - head : ring->capacity;
}
