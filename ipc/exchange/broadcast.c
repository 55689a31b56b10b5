/* SPDX-License-Identifier: MIT */
#include "ipc/exchange/broadcast.h"

#include <errno.h>

#include "ipc/event.h"
#include "ipc/exchange/owned.h"
#include "ipc/exchange/place_word.h"
#include "ipc/mutant.h"
#include "ipc/signal/wake.h"

#define CELL_FULL       UINT64_C(1)
#define CELL_SLOT(cell) ((uint32_t)((cell) >> 1 & 0xfffff))
#define CELL_SEALED     (UINT64_C(1) << 21)
#define LAP_SHIFT       22
#define LAPS            (UINT64_C(1) << (64 - LAP_SHIFT))

/* What becomes of a subscriber that is as far behind as the ring allows. */
struct lag_rule {
    bool blocks; /* publishers wait for it */
    bool ends;   /* else it has missed messages: its subscription ends */
};

/* One for each tr_lag, in their order. */
static const struct lag_rule lag_rules[] = {
    {.blocks = true}, /* TR_LAG_BLOCK */
    {0},              /* TR_LAG_DROP_OLDEST */
    {.ends = true},   /* TR_LAG_EVICT */
};
#define LAG_RULES (sizeof(lag_rules) / sizeof(lag_rules[0]))
_Static_assert(LAG_RULES <= 4, "a policy has two bits in the word of its subscriber");

bool broadcast_lag_exists(uint32_t policy)
{
    return policy < LAG_RULES;
}

/* @p policy may come from a word that another process wrote. */
static struct lag_rule rule_of(uint32_t policy)
{
    return policy < LAG_RULES ? lag_rules[policy] : (struct lag_rule){0};
}

static bool place_blocks(uint64_t word)
{
    return rule_of(PLACE_POLICY(word)).blocks;
}

/* A participant alone writes the word of its place, by plain stores. */
#define ASSERT_PLACE(b, i, me)                                             \
    ASSERT_OURS(PLACE_WHO(shm_get(&(b)->places[i].word)) == (me)->who &&   \
                    PLACE_INC(shm_get(&(b)->places[i].word)) == (me)->inc, \
                "the place of this subscriber")

/* The lap of a position, as a cell has it. */
static uint64_t lap_word(const struct broadcast *b, uint64_t at)
{
    return ((at >> b->shift) + 1) << LAP_SHIFT;
}

static uint64_t cell_of(const struct broadcast *b, uint64_t at, uint32_t slot)
{
    return lap_word(b, at) | (uint64_t)slot << 1 | CELL_FULL;
}

/* How many laps a cell, which is @p seen, is ahead of position @p at, modulo LAPS. */
static int64_t ahead_of(const struct broadcast *b, uint64_t at, uint64_t seen)
{
    if (MUTANT(LAP_BY_SIZE))
        return (int64_t)(seen >> LAP_SHIFT) - (int64_t)(lap_word(b, at) >> LAP_SHIFT);
    return (int64_t)(seen - lap_word(b, at)) >> LAP_SHIFT;
}

static _Atomic uint64_t *cell_at(const struct broadcast *b, uint64_t at)
{
    return &b->cells[at & (b->count - 1)];
}

/* The position of the cell of @p at that is @p laps later. */
static uint64_t moved(const struct broadcast *b, uint64_t at, int64_t laps)
{
    return at + ((uint64_t)laps << b->shift);
}

static uint64_t look(const struct broadcast *b, uint64_t at)
{
    /* E11 acquire: pairs with the put. E3: the look after the announcement. E13: tail and
     * subscribers. */
    return shm_load(cell_at(b, at), E11_TAKE);
}

/* No walk is longer than this: a process that corrupts cells must not keep us in a loop. */
static uint64_t patience(const struct broadcast *b)
{
    return UINT64_C(4) * b->count + 1024;
}

/* What publishers and trimmers must know of the subscribers. */
struct min_cursors {
    uint64_t all;      /* the lowest cursor, or what was given */
    uint64_t blocking; /* of those that block, or what was given */
};

static struct min_cursors min_cursors(const struct broadcast *b, uint64_t tail)
{
    struct min_cursors low = {tail, tail};
    /* E13: before the words. */
    uint64_t used = shm_load(&b->channel->extra[BROADCAST_USED], E13);

    for (uint32_t i = 0; i < used && i < b->place_count; i++) {
        /* E13: after the cell before ours was seen filled. */
        uint64_t word = shm_load(&b->places[i].word, E13), cursor;

        if (PLACE_STATE(word) != PLACE_ACTIVE)
            continue;
        /* E3: the look after the announcement, for publishers that wait. */
        cursor = shm_load(&b->places[i].cursor, E3);
        if (cursor >= low.all && (cursor >= low.blocking || !place_blocks(word)))
            continue;
        if (!place_alive(b->view, word))
            continue;
        if (cursor < low.all)
            low.all = cursor;
        if (cursor < low.blocking && place_blocks(word))
            low.blocking = cursor;
    }
    return low;
}

static bool holds(const struct broadcast *b, uint64_t at, uint64_t seen)
{
    return ahead_of(b, at, seen) == 0 && (seen & CELL_FULL);
}

/* Take the message of @p at out of the ring. Whether its slot became free. */
static bool drop(struct broadcast *b, uint64_t at, uint64_t seen, bool now)
{
    uint32_t slot = CELL_SLOT(seen);
    uint64_t word;

    if (slot >= b->view->geo.slot_count)
        return false;
    /* Twice, because it may be sealed meanwhile. */
    for (int i = 0; i < 2 && holds(b, at, seen); i++) {
        if (shared_complete(b->view, cell_at(b, at), seen, slot, &word) &&
            /* E9: the cell is replaced before the slot is retired. */
            shm_cas(cell_at(b, at), &seen, lap_word(b, at) | (seen & CELL_SEALED), E9))
            return shared_retire(b->view, slot, word, now);
        seen = look(b, at);
    }
    return false;
}

/* About where the ring's messages begin, and never before. */
static uint64_t first_of(const struct broadcast *b, uint64_t tail)
{
    /* relaxed: a hint. */
    uint64_t head = shm_load(&b->channel->head, memory_order_relaxed);

    return head > tail || tail - head > b->count ? tail > b->count ? tail - b->count : 0
                                                 : head;
}

static void trim(struct broadcast *b, uint64_t low, uint64_t tail)
{
    uint64_t limit = tail < b->keep ? 0 : tail - b->keep, at = first_of(b, tail);

    if (limit > low)
        limit = low;
    if (at >= limit)
        return;
    for (; at < limit; at++) {
        uint64_t seen = look(b, at);

        if (holds(b, at, seen))
            drop(b, at, seen, false);
    }
    /* relaxed: a hint. */
    shm_store(&b->channel->head, at, memory_order_relaxed);
}

bool broadcast_give_up(struct broadcast *b, uint32_t c, bool oldest)
{
    uint64_t tail = broadcast_tail(b), limit;
    struct min_cursors low = min_cursors(b, tail);
    bool any = false;
    uint32_t lost = 0;

    limit = oldest ? low.blocking : low.all;
    if (!oldest && limit > (tail < b->keep ? 0 : tail - b->keep))
        limit = tail < b->keep ? 0 : tail - b->keep;
    for (uint64_t at = first_of(b, tail); at < limit && !(any && oldest); at++) {
        uint64_t seen = look(b, at);

        if (holds(b, at, seen) && CELL_SLOT(seen) < b->view->geo.slot_count &&
            view_class_of(b->view, CELL_SLOT(seen)) == c) {
            any |= drop(b, at, seen, true);
            lost += at >= low.all;
        }
    }
    if (lost)
        event_tell(b->view, EVENT_DROP, lost,
                   "broadcast %u: %u messages are given up, since their slots are needed "
                   "and subscribers are slow",
                   b->index, lost);
    return any;
}

bool broadcast_could_give_up(const struct broadcast *b, uint32_t c)
{
    uint64_t tail = broadcast_tail(b), limit = min_cursors(b, tail).blocking;

    for (uint64_t at = first_of(b, tail); at < limit; at++) {
        uint64_t seen = look(b, at), word;
        uint32_t slot = CELL_SLOT(seen);

        if (!holds(b, at, seen) || slot >= b->view->geo.slot_count ||
            view_class_of(b->view, slot) != c)
            continue;
        /* E9: before the pins are scanned. */
        word = shm_load(&view_record(b->view, slot)->owner, E9);
        if (SLOT_STATE(word) == SLOT_SHARED && !shared_is_pinned(b->view, slot, word))
            return true;
    }
    return false;
}

/* Whether *at is the first position not filled, as far as the cells before it tell. Else it
 * is moved nearer. @p seen: its cell. */
static bool at_tail(const struct broadcast *b, uint64_t *at, uint64_t *seen)
{
    int64_t ahead;

    *seen = look(b, *at);
    ahead = ahead_of(b, *at, *seen);
    if (ahead >= 0) {
        *at = moved(b, *at, ahead) + 1;
        return false;
    }
    if (*at > 0 && ahead_of(b, *at - 1, look(b, *at - 1)) < 0) {
        --*at; /* the hint was past it */
        return false;
    }
    return true;
}

void broadcast_close(struct broadcast *b)
{
    /* E3: before the look for sleepers. */
    shm_store(&b->channel->closed, 1, E3);
    wake_all(b->view, &b->channel->items);
    wake_all(b->view, &b->channel->room);
    wake_loaners(b->view);
}

bool broadcast_closed(const struct broadcast *b)
{
    return channel_is_closed(b->channel);
}

/* The cell of the tail, @p at, was @p seen: whether nothing will ever come there. 0: something
 * came, or the cell has changed otherwise. */
static int ended(const struct broadcast *b, uint64_t at, uint64_t seen)
{
    if (seen & CELL_SEALED)
        return -ESHUTDOWN;
    if (!broadcast_closed(b))
        return -EAGAIN;
    /* E11: a publisher fills the cell before, and we look again, or finds it sealed. */
    return MUTANT(NEWS_UNSEALED) ||
                   shm_cas(cell_at(b, at), &seen, seen | CELL_SEALED, E11_PUT)
               ? -ESHUTDOWN
               : 0;
}

int broadcast_writable(const struct broadcast *b)
{
    uint64_t at = broadcast_tail(b);

    if (broadcast_closed(b) || look(b, at) & CELL_SEALED)
        return -ESHUTDOWN;
    return at - min_cursors(b, at).blocking >= b->count ? -EAGAIN : 0;
}

uint64_t broadcast_tail(const struct broadcast *b)
{
    /* relaxed: a hint. */
    uint64_t at = shm_load(&b->channel->tail, memory_order_relaxed), seen;

    for (uint64_t i = patience(b); i > 0 && !at_tail(b, &at, &seen); i--)
        ;
    return at;
}

/* One look at position *at. 1: put there. 0: go on at *at. -EAGAIN: somebody blocks.
 * -ESHUTDOWN. */
static int put_at(struct broadcast *b, struct self *me, const struct putting *putting,
                  uint64_t *at, struct min_cursors *low)
{
    uint64_t seen, word = 0;
    uint32_t old;

    if (!at_tail(b, at, &seen))
        return 0;
    if (seen & CELL_SEALED)
        return -ESHUTDOWN;
    *low = min_cursors(b, *at);
    if (*at - low->blocking >= b->count)
        return -EAGAIN;
    old = CELL_SLOT(seen);
    if ((seen & CELL_FULL) && old < b->view->geo.slot_count &&
        !shared_complete(b->view, cell_at(b, *at), seen, old, &word))
        return 0;
    shared_set_target(me, putting, b->index, *at);
    /* E11 release: pairs with look(). E9: the cell is replaced before the old slot is
     * retired. E3: before the look for sleepers. */
    if (!shm_cas(cell_at(b, *at), &seen, cell_of(b, *at, putting->slot), E11_PUT))
        return 0;
    shared_done(me, putting);
    if ((seen & CELL_FULL) && old < b->view->geo.slot_count)
        shared_retire(b->view, old, word, false);
    return 1;
}

int broadcast_put(struct broadcast *b, struct self *me, uint32_t slot, uint64_t *position)
{
    /* relaxed: a hint. */
    uint64_t start = shm_load(&b->channel->tail, memory_order_relaxed), at = start;
    struct putting putting;
    struct min_cursors low;
    int result = -EAGAIN;

    shared_begin(me, slot, &putting);
    for (uint64_t i = patience(b); i > 0; i--) {
        result = put_at(b, me, &putting, &at, &low);
        if (result != 0)
            break;
        result = -EAGAIN;
    }
    if (result < 0) {
        shared_undo(me, &putting);
        return result;
    }
    /* relaxed: a hint. Not stored: one that was stopped here must not set it back. */
    shm_cas(&b->channel->tail, &start, at + 1, memory_order_relaxed);
    wake_all(b->view, &b->channel->items);
    trim(b, low.all, at + 1);
    wake_loaner(b->view,
                view_class_of(b->view, slot)); /* it may be given up for a loan */
    *position = at;
    return 0;
}

/* A place that is free, or whose owner is dead. */
static int take_place(struct broadcast *b, struct self *me, uint32_t policy,
                      uint32_t *index)
{
    for (uint32_t i = 0; i < b->place_count; i++) {
        /* E13: all that touches a place is in one order. */
        uint64_t word = shm_load(&b->places[i].word, E13);

        if (PLACE_STATE(word) != PLACE_FREE && place_alive(b->view, word))
            continue;
        /* E13: it counts for nobody until it is active. */
        if (shm_cas(&b->places[i].word, &word, place_word(PLACE_TAKEN, policy, me),
                    E13)) {
            *index = i;
            return 0;
        }
    }
    return -ENOSPC;
}

/* Let publishers look at the place. */
static void use_place(struct broadcast *b, uint32_t index)
{
    _Atomic uint64_t *word = &b->channel->extra[BROADCAST_USED];
    /* E13: before active. */
    uint64_t used = shm_load(word, E13);

    /* E13: before active. What a lost compare-and-swap read is not in that order, so a publisher
     * could still miss the place: load it again. */
    while (used <= index && !shm_cas(word, &used, index + 1, E13))
        used = shm_load(word, E13);
}

static uint64_t begin_at(const struct broadcast *b, uint64_t tail, uint32_t last)
{
    uint64_t back = last < b->count ? last : b->count - 1;

    return tail > back ? tail - back : 0;
}

int broadcast_subscribe(struct broadcast *b, struct self *me, uint32_t policy,
                        uint32_t last, struct place *place)
{
    struct subscriber *entry;
    uint64_t at;
    int result = take_place(b, me, policy, &place->index);

    if (result < 0)
        return result;
    entry = &b->places[place->index];
    use_place(b, place->index);
    shm_put(&entry->missed, 0);
    /* E13: before active. */
    at = broadcast_tail(b);
    shm_store(&entry->cursor, begin_at(b, at, last), E13);
    ASSERT_PLACE(b, place->index, me);
    /* E13: registered, then the tail is looked for. */
    shm_store(&entry->word, place_word(PLACE_ACTIVE, policy, me), E13);
    place->policy = policy;
    place->start = MUTANT(TAIL_FIRST) ? at : broadcast_tail(b);
    at = begin_at(b, place->start, last);
    while (at < place->start && !holds(b, at, look(b, at)))
        at++;
    /* E3: before the look for publishers that waited for us meanwhile. */
    shm_store(&entry->cursor, at, E3);
    wake_all(b->view, &b->channel->room);
    return 0;
}

bool broadcast_laggard(const struct broadcast *b, struct laggard *laggard)
{
    uint64_t tail = broadcast_tail(b), low = tail;

    for (uint32_t i = 0; i < b->place_count; i++) {
        /* relaxed: a report. */
        uint64_t word = shm_load(&b->places[i].word, memory_order_relaxed);
        uint64_t cursor = shm_load(&b->places[i].cursor, memory_order_relaxed);

        if (PLACE_STATE(word) == PLACE_ACTIVE && place_blocks(word) && cursor < low &&
            place_alive(b->view, word)) {
            low = cursor;
            *laggard = (struct laggard){PLACE_WHO(word), tail - cursor};
        }
    }
    return low < tail;
}

void broadcast_unsubscribe(struct broadcast *b, const struct self *me,
                           const struct place *place)
{
    (void)me;
    ASSERT_PLACE(b, place->index, me);
    /* E3: before the look for sleepers: it blocks nobody and keeps nothing any more. */
    shm_store(&b->places[place->index].word, PLACE_FREE, E3);
    wake_all(b->view, &b->channel->room);
    for (uint32_t c = 0; c < b->view->geo.class_count; c++)
        wake_all(b->view, view_freed(b->view, c));
}

/* The cell at the cursor no longer has anything for us: go to where there may be something. */
static bool skip(struct broadcast *b, const struct place *place, uint64_t cursor,
                 uint64_t seen, uint64_t *lost)
{
    /* relaxed: a hint, and never ahead. */
    uint64_t tail = shm_load(&b->channel->tail, memory_order_relaxed);
    uint64_t next = cursor + 1, from = cursor;
    int64_t ahead = ahead_of(b, cursor, seen);

    /* The last `count` before the tail may be there. */
    if (tail > b->count && tail - b->count > next)
        next = tail - b->count;
    if (ahead > 0 && moved(b, cursor, ahead) - b->count + 1 > next)
        next = moved(b, cursor, ahead) - b->count + 1;
    /* E3: before the look for publishers. */
    if (!shm_cas(&b->places[place->index].cursor, &cursor, next, E3))
        return false;
    if (from < place->start)
        from = place->start;
    if (next > from)
        *lost += next - from;
    return true;
}

static int tell_missed(struct broadcast *b, struct self *me, const struct place *place,
                       uint64_t lost)
{
    struct subscriber *entry = &b->places[place->index];

    /* relaxed: a count. */
    shm_add(&entry->missed, lost, memory_order_relaxed);
    view_count(b->view, COUNT_LAGGED, lost);
    if (!rule_of(place->policy).ends) {
        event_tell(b->view, EVENT_LAG, lost,
                   "broadcast %u: subscriber %u was too slow and missed %lu messages",
                   b->index, place->index, (unsigned long)lost);
        return -EOVERFLOW;
    }
    view_count(b->view, COUNT_EVICTED, 1);
    ASSERT_PLACE(b, place->index, me);
    /* E13: it counts for nobody any more. */
    shm_store(&entry->word, place_word(PLACE_EVICTED, place->policy, me), E13);
    event_tell(b->view, EVENT_EVICT, lost,
               "broadcast %u: subscriber %u was too slow, missed %lu messages and is out",
               b->index, place->index, (unsigned long)lost);
    return -ENOTCONN;
}

/* One look at the cursor. 1: go on. */
static int take_once(struct broadcast *b, struct self *me, const struct place *place,
                     struct taken *taken, uint64_t *lost)
{
    struct subscriber *entry = &b->places[place->index];
    /* relaxed: the compare-and-swap decides. */
    uint64_t cursor = shm_load(&entry->cursor, memory_order_relaxed);
    uint64_t seen = look(b, cursor);
    int result;

    if (ahead_of(b, cursor, seen) == -1) {
        result = ended(b, cursor, seen);
        return result == 0 ? 1 : result;
    }
    if (!holds(b, cursor, seen)) {
        skip(b, place, cursor, seen, lost);
        return 1;
    }
    if (*lost)
        return -EAGAIN; /* tell that first */
    result = shared_pin(me, cell_at(b, cursor), seen, CELL_SLOT(seen), &taken->pin);
    if (result < 0)
        return result == -EAGAIN ? 1 : result;
    taken->position = cursor;
    /* E3: before the look for publishers. The pin holds what the cursor no longer does. */
    if (shm_cas(&entry->cursor, &cursor, cursor + 1, E3))
        return 0;
    shared_unpin(me, &taken->pin); /* another thread was faster */
    return 1;
}

int broadcast_take(struct broadcast *b, struct self *me, const struct place *place,
                   struct taken *taken)
{
    uint64_t lost = 0;
    int result = 1;

    if (rule_of(place->policy).ends &&
        /* relaxed: only we change it. */
        PLACE_STATE(shm_load(&b->places[place->index].word, memory_order_relaxed)) ==
            PLACE_EVICTED)
        return -ENOTCONN;
    for (uint64_t i = patience(b); i > 0 && result == 1; i--)
        result = take_once(b, me, place, taken, &lost);
    if (lost)
        return tell_missed(b, me, place, lost);
    if (result == 0 && rule_of(place->policy).blocks)
        wake_all(b->view, &b->channel->room);
    return result == 1 ? -EAGAIN : result;
}

uint64_t broadcast_missed(const struct broadcast *b, const struct place *place)
{
    return shm_get(&b->places[place->index].missed);
}

int broadcast_ready(const struct broadcast *b, const struct place *place)
{
    /* relaxed: only we move it. */
    uint64_t cursor = shm_load(&b->places[place->index].cursor, memory_order_relaxed);
    int result = 0;

    for (uint64_t i = patience(b); i > 0 && result == 0; i--) {
        uint64_t seen = look(b, cursor);

        if (ahead_of(b, cursor, seen) != -1)
            return 0;
        result = ended(b, cursor, seen);
    }
    return result;
}

bool broadcast_names(const struct view *view, uint32_t index, uint64_t position,
                     uint32_t slot)
{
    struct broadcast b;
    uint64_t seen;

    if (position >= LOCATION_NOWHERE || broadcast_view(view, index, &b) < 0)
        return false;
    seen = look(&b, position) & ~CELL_SEALED;
    /* The lap as far as the place has it. */
    return (seen ^ cell_of(&b, position, slot)) << (b.shift - 1) == 0;
}
