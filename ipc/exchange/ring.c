/* SPDX-License-Identifier: MIT */
#include "ipc/exchange/ring.h"

#include <errno.h>

#include "ipc/event.h"
#include "ipc/exchange/orphan.h"
#include "ipc/exchange/owned.h"
#include "ipc/exchange/records.h"
#include "ipc/mutant.h"
#include "ipc/path.h"
#include "ipc/signal/wake.h"

#define CELL_SLOT(cell) ((uint32_t)((cell)&0xfffff))
#define CELL_SEALED     (UINT64_C(1) << 20)
#define TURN_SHIFT      21
#define TURNS           (UINT64_C(1) << (64 - TURN_SHIFT))

/* How far to fetch ahead of what is being received. */
#define AHEAD 4

static uint64_t cell_of(uint64_t turn, uint32_t slot)
{
    return turn << TURN_SHIFT | slot;
}

/* How many turns @p cell is ahead of @p turn, modulo TURNS. */
static int64_t ahead_of(uint64_t cell, uint64_t turn)
{
    if (MUTANT(TURN_BY_SIZE))
        return (int64_t)(cell >> TURN_SHIFT) - (int64_t)(turn % TURNS);
    return (int64_t)(cell - (turn << TURN_SHIFT)) >> TURN_SHIFT;
}

struct place {
    uint64_t turn;
    uint32_t index;
};

PATH struct place place_of(const struct ring *ring, uint64_t position)
{
    if (LIKELY(ring->shift >= 0))
        return (struct place){(position >> ring->shift) + 1,
                              (uint32_t)(position & (ring->capacity - 1))};
    return (struct place){position / ring->capacity + 1,
                          (uint32_t)(position % ring->capacity)};
}

/* The position of the same cell @p turns later. Before the first there is none: then it is
 * one TURNS later, which every cell takes for the same. */
static uint64_t moved(const struct ring *ring, uint64_t at, int64_t turns)
{
    uint64_t by = (uint64_t)turns * ring->capacity;

    if (turns < 0 && 0 - by > at)
        by += TURNS * ring->capacity;
    return at + by;
}

/* The position near @p hint that is @p at modulo 2^43. */
static uint64_t nearest(uint64_t hint, uint64_t at)
{
    int64_t by = (int64_t)((at - hint) << 21) >> 21;

    return by < 0 && (uint64_t)-by > hint ? LOCATION_AT(at) : hint + (uint64_t)by;
}

/* Both walks end: under contention another thread progressed each time round, and a process that
 * corrupts cells must not keep us in a loop. The caller then waits and tries again. */
static uint64_t patience(const struct ring *ring)
{
    return UINT64_C(4) * ring->capacity + 1024;
}

/* Whether position @p at is not beyond a hole: the one before has been filled. */
PATH bool follows(const struct ring *ring, uint64_t at)
{
    struct place before = place_of(ring, at - 1);

    if (at == 0)
        return true;
    /* relaxed: nothing is read through it, and a cell never goes back. */
    return ahead_of(shm_load(&ring->cells[before.index], memory_order_relaxed),
                    before.turn) >= 0;
}

static uint64_t look(const struct ring *ring, uint32_t index)
{
    /* E8 acquire: pairs with the put. Without it the slot could still look as if it were not
     * queued, and the message would be passed by as taken. E3: this is the look after the
     * announcement. */
    return shm_load(&ring->cells[index], E8_LOOK);
}

void ring_close(struct ring *ring)
{
    /* E3: before the look for sleepers. */
    shm_store(&ring->channel->closed, 1, E3);
    wake_all(ring->view, &ring->channel->items);
    wake_all(ring->view, &ring->channel->room);
    if (!MUTANT(LOANERS_UNTOLD))
        wake_loaners(ring->view);
}

bool ring_is_closed(const struct ring *ring)
{
    /* E3: shutdown changes it, then wakes. */
    return shm_load(&ring->channel->closed, E3) != 0;
}

/* The cell that is filled next was @p seen: whether nothing will ever come there. 0: something
 * came. */
static ASIDE int ended(const struct ring *ring, uint32_t index, uint64_t seen)
{
    if (seen & CELL_SEALED)
        return -ESHUTDOWN;
    if (!ring_is_closed(ring))
        return -EAGAIN;
    /* E8: a sender fills the cell before, and we look again, or finds it sealed. */
    return MUTANT(CLOSE_UNSEALED) ||
                   shm_cas(&ring->cells[index], &seen, seen | CELL_SEALED, E8_PUT)
               ? -ESHUTDOWN
               : 0;
}

static RARE bool no_slot(const struct ring *ring)
{
    view_count(ring->view, COUNT_CORRUPT, 1);
    event_tell(ring->view, EVENT_CORRUPT, 1,
               "channel %u: a cell names a slot that the arena does not have",
               ring->index);
    return false;
}

/* The slot that the cell of position @p at names is still queued there. */
PATH bool unclaimed(const struct ring *ring, uint64_t at, uint64_t cell, uint64_t *word)
{
    uint32_t slot = CELL_SLOT(cell);
    struct slot_record *record;
    uint64_t other;

    if (UNLIKELY(slot >= ring->view->geo.slot_count))
        return no_slot(ring);
    record = view_record(ring->view, slot);
    /* E1 acquire: pairs with ring_put(). Without it the receiver could read record and
     * payload as they were before the sender wrote them, and the location from the slot's
     * previous use. A slot that was queued again since has another generation: the claim
     * compares the whole word. E3: the look of a sender that waits for room. */
    *word = shm_load(&record->owner, E1_TAKE);
    if (SLOT_STATE(*word) != SLOT_QUEUED)
        return false;
    other = slot_location(record, *word) ^ LOCATION(ring->index, LOCATION_AT(at));
    return MUTANT(NO_PLACE) || other << 8 == 0; /* except where it came from */
}

/* Whether the head says that the message before position @p at was claimed. A head that is far
 * off is wrong by whole TURNS, see ring.h, and proves nothing. */
PATH bool behind(const struct ring *ring, uint64_t head, uint64_t at)
{
    return at - head < ring->capacity;
}

static ASIDE bool passed_by_now(struct ring *ring, uint64_t at, uint64_t cell)
{
    /* E14 acquire: pairs with the receiver's store: all before the head were claimed. */
    uint64_t word = shm_load(&ring->channel->head, E14_LOOK);

    /* relaxed: local, and only ever behind. */
    atomic_store_explicit(&ring->passed, word, memory_order_relaxed);
    return behind(ring, word, at) || !unclaimed(ring, at - ring->capacity, cell, &word);
}

/* Whether the message in the cell that position @p at will fill has been claimed. */
PATH bool passed(struct ring *ring, uint64_t at, uint64_t cell)
{
    /* relaxed: local, and only ever behind. */
    return LIKELY(behind(ring, atomic_load_explicit(&ring->passed, memory_order_relaxed),
                         at)) ||
           (cell == 0 && at < ring->capacity) || passed_by_now(ring, at, cell);
}

/* What will be put. */
struct coming {
    _Atomic uint64_t *location; /* of the generation that it will have */
    uint64_t came;              /* see LOCATION_FROM */
    uint32_t slot;
};

PATH void aim(const struct ring *ring, const struct coming *coming, uint64_t position)
{
    /* relaxed: ordered before the word, or the cell, that says that it is there. */
    shm_store(coming->location, LOCATION(ring->index, position) | coming->came,
              memory_order_relaxed);
}

/* One look at position *at. 1: put there. 0: go on at *at. -EAGAIN: full. -ESHUTDOWN. */
PATH int put_at(struct ring *ring, const struct coming *coming, uint64_t *at)
{
    struct place place = place_of(ring, *at);
    uint64_t seen = look(ring, place.index);
    int64_t ahead = ahead_of(seen, place.turn);

    if (UNLIKELY(ahead != -1)) /* filled already; or the hint was past it */
        *at = ahead >= 0 ? moved(ring, *at, ahead) + 1 : moved(ring, *at, ahead + 1);
    else if (UNLIKELY(!follows(ring, *at)))
        --*at;
    else if (UNLIKELY(seen & CELL_SEALED))
        return -ESHUTDOWN;
    else if (!MUTANT(OVERWRITE) && !passed(ring, *at, seen))
        return -EAGAIN;
    else {
        aim(ring, coming, LOCATION_AT(*at));
        /* E8 release: pairs with look(). E3: before the look for sleeping receivers. */
        return shm_cas(&ring->cells[place.index], &seen,
                       cell_of(place.turn, coming->slot), E8_PUT);
    }
    return 0;
}

/* Try from position *at on, until it is put or there is no room. As put_at(). */
static ASIDE int put_beyond(struct ring *ring, const struct coming *coming, uint64_t *at)
{
    for (uint64_t i = patience(ring); i > 0; i--) {
        int result = put_at(ring, coming, at);

        if (result != 0)
            return result;
    }
    return -EAGAIN;
}

PATH_ACROSS int ring_put(struct ring *ring, struct self *me, uint32_t slot)
{
    struct slot_record *record = view_record(ring->view, slot);
    /* relaxed: the slot is ours; the tail is a hint. */
    uint64_t mine = shm_load(&record->owner, memory_order_relaxed);
    uint64_t at = shm_load(&ring->channel->tail, memory_order_relaxed);
    uint64_t queued = MUTANT(SAME_GENERATION) ? slot_held(mine, SLOT_QUEUED, me)
                                              : slot_queued(mine, me);
    struct coming coming = {
        .location = slot_location_word(record, SLOT_GENERATION(queued)),
        .came = slot_came(mine),
        .slot = slot};
    int result;

    ASSERT_HELD(me, record);
    /* If we die before a cell names the slot, the reaper finishes: it knows the
     * channel. */
    aim(ring, &coming, LOCATION_NOWHERE);
    /* E1 release: pairs with unclaimed(); publishes record and payload. A forwarded message
     * is delivered for the first time in its new channel. */
    if (!MUTANT(CELL_FIRST))
        shm_store(&record->owner, queued, E1_PUT);
    result = put_at(ring, &coming, &at);
    if (UNLIKELY(result == 0)) {
        uint64_t from = at;

        result = put_beyond(ring, &coming, &from);
        at = from;
    }
    if (LIKELY(result == 1)) {
        if (MUTANT(CELL_FIRST)) /* E1: too late */
            shm_store(&record->owner, queued, E1_PUT);
        /* relaxed: a hint. */
        shm_store(&ring->channel->tail, at + 1, memory_order_relaxed);
        wake_one(ring->view, &ring->channel->items);
        return 0;
    }
    ASSERT_MINE(me, record, SLOT_QUEUED);
    /* relaxed: still ours. One store: word and location go back at once. */
    shm_store(&record->owner, slot_back(mine, me), memory_order_relaxed);
    return result;
}

/* Messages of dead receivers wait in their slots, not in the ring: nobody had to find room
 * for them. The reaper marks the slot, then the channel; if it dies between, the next reaper
 * marks again. Each mark makes another word, so that a process that found nothing takes away
 * only the mark it saw. */
static RARE int find_orphan(struct ring *ring, struct self *me, uint32_t seen,
                            struct ring_taken *taken)
{
    for (uint32_t i = records_from(ring->view, 0); i < ring->view->geo.slot_count;
         i = records_from(ring->view, i + 1)) {
        struct slot_record *record = view_record(ring->view, i);
        /* E6 acquire: pairs with the reaper's mark. Without it the slot's location could be
         * that of its previous use, and the message another channel's. */
        uint64_t word = shm_load(&record->owner, E6_LOOK), want;

        if (SLOT_STATE(word) != SLOT_ORPHAN ||
            orphan_channel(ring->view, i, word) != ring->index)
            continue;
        want = slot_held(word, SLOT_RECEIVED, me);
        /* E6: pairs with the reaper's mark. */
        if (shm_cas(&record->owner, &word, want, E6_CLAIM)) {
            *taken = (struct ring_taken){
                i, want, ring_sequence(ring, slot_location(record, want))};
            return 0;
        }
    }
    /* E3: unless the channel was marked again, there is none left. */
    shm_cas(&ring->channel->orphans, &seen,
            MUTANT(ORPHANS_FORGOTTEN) ? 0 : seen & ~ORPHANS_THERE, E3);
    return -EAGAIN;
}

PATH int take_orphan(struct ring *ring, struct self *me, struct ring_taken *taken)
{
    /* E3: the reaper's mark, or our look comes first and its wake finds us. */
    uint32_t seen = shm_load(&ring->channel->orphans, E3);

    return UNLIKELY(seen & ORPHANS_THERE) ? find_orphan(ring, me, seen, taken) : -EAGAIN;
}

/* A slot that we are about to claim, read, give back and most likely fill again: fetch its lines,
 * at once and to be written, instead of one after the other, each twice. */
PATH void fetch_record(const struct ring *ring, uint32_t slot)
{
    const struct slot_record *record = view_record(ring->view, slot);

    fetch_to_write(record); /* a fetch of any address is harmless */
    if (UNLIKELY(ring->is_inbox))
        __builtin_prefetch((const void *)&record->location_even);
}

PATH void fetch(const struct ring *ring, uint32_t slot)
{
    fetch_record(ring, slot);
    fetch_to_write(ring->view->base + view_payload_off(ring->view, slot));
}

/* What is received soon: its lines come while there is other work. */
PATH void fetch_ahead(const struct ring *ring, uint64_t at)
{
    struct place place = place_of(ring, at);
    /* relaxed: only a guess. */
    uint64_t cell = shm_get(&ring->cells[place.index]);

    if (ahead_of(cell, place.turn) == 0)
        fetch(ring, CELL_SLOT(cell));
}

/* Position @p at is full: claim it. 1: ours. 0: somebody else's, look further. */
PATH int claim(struct ring *ring, struct self *me, uint64_t at, uint64_t cell,
               struct ring_taken *taken)
{
    uint32_t slot = CELL_SLOT(cell);
    uint64_t word = 0, want;

    fetch_record(ring, slot);
    if (!unclaimed(ring, at, cell, &word))
        return 0;
    want = slot_held(word, SLOT_RECEIVED, me);
    /* E6 release: pairs with the reaper's mark, if we die with it. E3: before the look
     * for sleeping senders. */
    if (!shm_cas(&view_record(ring->view, slot)->owner, &word, want, E6_CLAIM))
        return 0;
    *taken = (struct ring_taken){slot, want, at};
    return 1;
}

/* One look at position *at. 1: taken. 0: go on at *at. -EAGAIN: empty. -ESHUTDOWN. */
PATH int take_at(struct ring *ring, struct self *me, uint64_t *at,
                 struct ring_taken *taken)
{
    struct place place = place_of(ring, *at);
    uint64_t seen = look(ring, place.index);
    int64_t ahead = ahead_of(seen, place.turn);

    if (LIKELY(ahead == 0))
        return claim(ring, me, (*at)++, seen, taken);
    if (ahead !=
        -1) /* filled again: all before that were claimed. Or the head is far off. */
        *at = moved(ring, *at, ahead - 1) + 1;
    else if (!follows(ring, *at))
        --*at;
    else
        return ended(ring, place.index, seen);
    return 0;
}

/* Try from position *at on, until one is taken or none is there. As take_at(). */
static ASIDE int take_beyond(struct ring *ring, struct self *me, uint64_t *at,
                             struct ring_taken *taken)
{
    for (uint64_t i = patience(ring); i > 0; i--) {
        int result = take_at(ring, me, at, taken);

        if (result != 0)
            return result;
    }
    return -EAGAIN;
}

PATH_ACROSS int ring_receive(struct ring *ring, struct self *me, struct ring_taken *taken)
{
    /* relaxed: a hint. */
    uint64_t start = shm_load(&ring->channel->head, memory_order_relaxed), at = start;
    int result = take_orphan(ring, me, taken);

    if (UNLIKELY(result == 0))
        return 0;
    result = take_at(ring, me, &at, taken);
    if (UNLIKELY(result == 0)) {
        uint64_t from = at;

        result = take_beyond(ring, me, &from, taken);
        at = from;
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

int ring_take(struct ring *ring, struct self *me, uint32_t *slot)
{
    struct ring_taken taken = {.slot = 0};
    int result = ring_receive(ring, me, &taken);

    if (result == 0)
        *slot = taken.slot;
    return result;
}

/* As take_at(), but nothing is taken. 1: there is something. */
static int readable_at(struct ring *ring, uint64_t *at)
{
    struct place place = place_of(ring, *at);
    uint64_t seen = look(ring, place.index), word;
    int64_t ahead = ahead_of(seen, place.turn);

    if (ahead == 0) {
        bool there = unclaimed(ring, *at, seen, &word);

        ++*at;
        return there;
    }
    if (ahead != -1)
        *at = moved(ring, *at, ahead - 1) + 1;
    else if (!follows(ring, *at))
        --*at;
    else
        return ended(ring, place.index, seen);
    return 0;
}

int ring_readable(struct ring *ring)
{
    /* relaxed: a hint. */
    uint64_t at = shm_load(&ring->channel->head, memory_order_relaxed);
    int result = 0;

    /* E3: the look after the announcement, here and below. */
    if (shm_load(&ring->channel->orphans, E3) & ORPHANS_THERE)
        return 0;
    for (uint64_t i = patience(ring); i > 0 && result == 0; i--)
        result = readable_at(ring, &at);
    return result == 0 ? -EAGAIN : result == 1 ? 0 : result;
}

/* As put_at(), but nothing is put. 1: there is room. */
static int writable_at(struct ring *ring, uint64_t *at)
{
    struct place place = place_of(ring, *at);
    uint64_t seen = look(ring, place.index);
    int64_t ahead = ahead_of(seen, place.turn);

    if (ahead >= 0)
        *at = moved(ring, *at, ahead) + 1;
    else if (ahead < -1)
        *at = moved(ring, *at, ahead + 1);
    else if (!follows(ring, *at))
        --*at;
    else if (seen & CELL_SEALED)
        return -ESHUTDOWN;
    else
        return passed(ring, *at, seen) ? 1 : -EAGAIN;
    return 0;
}

int ring_writable(struct ring *ring)
{
    /* relaxed: a hint. */
    uint64_t at = shm_load(&ring->channel->tail, memory_order_relaxed);
    int result = 0;

    for (uint64_t i = patience(ring); i > 0 && result == 0; i--)
        result = writable_at(ring, &at);
    return result == 0 ? -EAGAIN : result == 1 ? 0 : result;
}

struct ring_snapshot ring_take_snapshot(const struct ring *ring)
{
    /* relaxed: hints, see ring_unchanged(). */
    struct place place = place_of(ring,
                                  shm_load(&ring->channel->head, memory_order_relaxed));
    const _Atomic uint64_t *cell = &ring->cells[place.index];
    uint64_t seen = shm_get(cell);

    return (struct ring_snapshot){ahead_of(seen, place.turn) < 0 ? cell : NULL, seen};
}

bool ring_unchanged(const struct ring *ring, const struct ring_snapshot *snapshot)
{
    uint64_t cell;

    if (!snapshot->cell)
        return false;
    /* relaxed: a process that sees a change looks again. */
    cell = shm_get(snapshot->cell);
    if (cell == snapshot->seen)
        return true;
    fetch(ring, CELL_SLOT(cell));
    return false;
}

uint64_t ring_sequence(const struct ring *ring, uint64_t location)
{
    uint64_t at = LOCATION_POSITION(location);

    /* relaxed: a hint. */
    return at & LOCATION_NOWHERE
               ? at
               : nearest(shm_load(&ring->channel->head, memory_order_relaxed), at);
}

bool ring_names(const struct ring *ring, uint64_t position, uint32_t slot)
{
    /* relaxed: a hint. */
    uint64_t tail = shm_load(&ring->channel->tail, memory_order_relaxed);
    struct place place = place_of(ring, nearest(tail, position));

    return position < LOCATION_NOWHERE &&
           (look(ring, place.index) & ~CELL_SEALED) == cell_of(place.turn, slot);
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
