/* SPDX-License-Identifier: MIT */
#include "ipc/ring.h"

#include <errno.h>

#include "ipc/wake.h"

#define CELL_FULL       UINT64_C(1)
#define CELL_SLOT(cell) ((uint32_t)((cell) >> 1 & 0xfffff))
#define CELL_LAP(cell)  ((cell) >> 21)

static uint64_t cell_empty(uint64_t lap)
{
    return lap << 21;
}

static uint64_t cell_full(uint64_t lap, uint32_t slot)
{
    return lap << 21 | (uint64_t)slot << 1 | CELL_FULL;
}

struct place {
    uint64_t lap;
    uint32_t index;
};

static struct place place_of(const struct ring *ring, uint64_t position)
{
    if (ring->shift >= 0)
        return (struct place){position >> ring->shift,
                              (uint32_t)(position & (ring->capacity - 1))};
    return (struct place){position / ring->capacity,
                          (uint32_t)(position % ring->capacity)};
}

static uint64_t position_of(const struct ring *ring, uint64_t lap, uint32_t index)
{
    return lap * ring->capacity + index;
}

/* Both walks end: under contention somebody else got on each time round, and a peer that
 * scribbles must not make us walk for ever. The caller then waits and tries again. */
static uint64_t patience(const struct ring *ring)
{
    return UINT64_C(4) * ring->capacity + 1024;
}

/* Whether position @p at is not beyond a hole: the one before is filled or consumed. */
static bool follows(const struct ring *ring, uint64_t at)
{
    struct place before = place_of(ring, at - 1);
    uint64_t cell;

    if (at == 0)
        return true;
    /* relaxed: nothing is read through it, and a cell never goes back. */
    cell = shm_load(&ring->cells[before.index], memory_order_relaxed);
    return CELL_LAP(cell) > before.lap ||
           (CELL_LAP(cell) == before.lap && (cell & CELL_FULL));
}

static uint64_t look(const struct ring *ring, uint32_t index)
{
    /* E8 acquire: pairs with the put. Without it the slot could still look as if it were not
     * queued, and the message would be passed by as taken. E3: this is the look after the
     * announcement. */
    return shm_load(&ring->cells[index], E8_LOOK);
}

/* The cell is full and its slot has been claimed: make room. Who is late finds it done. */
static void advance(struct ring *ring, uint32_t index, uint64_t seen)
{
    /* E3: before the look for sleeping senders. */
    if (shm_cas(&ring->cells[index], &seen, cell_empty(CELL_LAP(seen) + 1), E3))
        wake_one(ring->view, &ring->channel->room);
}

/* The slot that a full cell names is still queued there. */
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
     * compares the whole word. */
    *word = shm_load(&record->owner, E1_TAKE);
    return SLOT_STATE(*word) == SLOT_QUEUED &&
           shm_get(&record->where) == WHERE(ring->index, at);
}

/* A full cell of the lap before stands where we want to put: is there really no room? */
static bool settle(struct ring *ring, uint64_t at, uint64_t cell)
{
    uint64_t word;

    if (unclaimed(ring, at, cell, &word))
        return false;
    advance(ring, place_of(ring, at).index, cell);
    return true;
}

/* One look at position *at. 1: put there. 0: go on at *at. -EAGAIN: full. */
static int put_at(struct ring *ring, struct slot_record *record, uint32_t slot,
                  uint64_t *at)
{
    struct place place = place_of(ring, *at);
    uint64_t seen = look(ring, place.index);
    uint64_t lap = CELL_LAP(seen);

    if (lap > place.lap) {
        *at = position_of(ring, lap, place.index);
    } else if (lap == place.lap && (seen & CELL_FULL)) {
        ++*at;
    } else if (!follows(ring, *at)) {
        --*at;
    } else if (lap == place.lap) {
        shm_put(&record->where, WHERE(ring->index, *at));
        /* E8 release: pairs with look(). E3: before the look for sleeping receivers. */
        return shm_cas(&ring->cells[place.index], &seen, cell_full(lap, slot), E8_PUT);
    } else if (lap + 1 == place.lap && (seen & CELL_FULL)) {
        return settle(ring, *at - ring->capacity, seen) ? 0 : -EAGAIN;
    } else {
        *at = position_of(ring, lap, place.index);
    }
    return 0;
}

int ring_put(struct ring *ring, struct peer *me, uint32_t slot)
{
    struct slot_record *record = view_record(ring->view, slot);
    /* relaxed: the slot is ours; the tail is a hint. */
    uint64_t mine = shm_load(&record->owner, memory_order_relaxed);
    uint32_t generation = SLOT_GENERATION(mine) + 1;
    uint64_t from = WHERE(WHERE_CHANNEL(shm_get(&record->where)), WHERE_NOWHERE);
    uint64_t at = shm_load(&ring->channel->tail, memory_order_relaxed);
    int result = -EAGAIN;

    /* Should we die before a cell names the slot, the reaper finishes: it knows the channel. */
    shm_put(&record->where, WHERE(ring->index, WHERE_NOWHERE));
    /* E1 release: pairs with unclaimed(); publishes record and payload. A forwarded message
     * is delivered for the first time in its new channel. */
    shm_store(&record->owner, slot_word(SLOT_QUEUED, me->who, me->inc, 0, generation),
              E1_PUT);
    for (uint64_t i = patience(ring); i > 0; i--) {
        result = put_at(ring, record, slot, &at);
        if (result != 0)
            break;
        result = -EAGAIN;
    }
    if (result == 1) {
        /* relaxed: a hint. */
        shm_store(&ring->channel->tail, at + 1, memory_order_relaxed);
        wake_one(ring->view, &ring->channel->items);
        return 0;
    }
    shm_put(&record->where, from);
    /* relaxed: still ours; the generation stays ahead. */
    shm_store(
        &record->owner,
        slot_word(SLOT_STATE(mine), me->who, me->inc, SLOT_DELIVERIES(mine), generation),
        memory_order_relaxed);
    return result;
}

/* Messages of dead receivers wait in their slots, not in the ring: nobody had to find room
 * for them. The count is never too small: the reaper marks the slot, then counts; who dies
 * between is swept again by the next, who counts again. */
static int take_orphan(struct ring *ring, struct peer *me, uint32_t *slot)
{
    /* E3: the reaper's count, or our look comes first and its wake finds us. */
    uint32_t seen = shm_load(&ring->channel->orphans, E3);

    if (!seen)
        return -EAGAIN;
    for (uint32_t i = 0; i < ring->view->geo.slot_count; i++) {
        struct slot_record *record = view_record(ring->view, i);
        /* E6 acquire by the compare-and-swap; relaxed: a guess until then. */
        uint64_t word = shm_load(&record->owner, memory_order_relaxed);

        if (SLOT_STATE(word) != SLOT_ORPHAN ||
            WHERE_CHANNEL(shm_get(&record->where)) != ring->index)
            continue;
        /* E6: pairs with the reaper's mark. */
        if (shm_cas(&record->owner, &word, slot_held(word, SLOT_RECEIVED, me),
                    E6_CLAIM)) {
            *slot = i;
            return 0;
        }
    }
    /* E3: unless another was counted since, there is none left. */
    shm_cas(&ring->channel->orphans, &seen, 0, E3);
    return -EAGAIN;
}

/* Position *at is full: claim it. 1: ours. 0: somebody else's, look further. */
static int claim(struct ring *ring, struct peer *me, uint64_t at, uint64_t cell)
{
    struct place place = place_of(ring, at);
    uint64_t word;
    int won;

    /* One miss, for writing, instead of one for reading and one for writing. */
    if (CELL_SLOT(cell) < ring->view->geo.slot_count) {
        const uint8_t *record = (const uint8_t *)view_record(ring->view, CELL_SLOT(cell));

        __builtin_prefetch(record, 1);
        __builtin_prefetch(record + LINE / 2, 1);
        __builtin_prefetch(ring->view->base +
                           view_payload_off(ring->view, CELL_SLOT(cell)));
    }
    /* E6 release: pairs with the reaper's mark, should we die with it. */
    won = unclaimed(ring, at, cell, &word) &&
          shm_cas(&view_record(ring->view, CELL_SLOT(cell))->owner, &word,
                  slot_held(word, SLOT_RECEIVED, me), E6_CLAIM);
    advance(ring, place.index, cell);
    return won;
}

/* One look at position *at. 1: taken. 0: go on at *at. -EAGAIN: empty. */
static int take_at(struct ring *ring, struct peer *me, uint64_t *at, uint32_t *slot)
{
    struct place place = place_of(ring, *at);
    uint64_t seen = look(ring, place.index);
    uint64_t lap = CELL_LAP(seen);

    if (lap > place.lap) {
        uint64_t past = position_of(ring, lap - 1, place.index) + 1;

        *at = past > *at ? past : *at + 1;
        return 0;
    }
    if (lap < place.lap) {
        *at = position_of(ring, lap, place.index);
        return 0;
    }
    if (seen & CELL_FULL) {
        int won = claim(ring, me, *at, seen);

        *slot = CELL_SLOT(seen);
        ++*at;
        return won;
    }
    if (*at > 0) {
        struct place before = place_of(ring, *at - 1);
        uint64_t cell = look(ring, before.index);

        if (CELL_LAP(cell) == before.lap) { /* the hint was past it */
            --*at;
            return cell & CELL_FULL ? 0 : -EAGAIN;
        }
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
    /* relaxed: a hint. */
    if (at != start)
        shm_store(&ring->channel->head, at, memory_order_relaxed);
    return result == 1 ? 0 : result;
}

bool ring_names(const struct ring *ring, uint64_t position, uint32_t slot)
{
    struct place place = place_of(ring, position);

    return look(ring, place.index) == cell_full(place.lap, slot);
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
