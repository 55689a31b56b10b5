/* SPDX-License-Identifier: MIT */
#include "ipc/exchange/shared.h"

#include <errno.h>

#include "ipc/event.h"
#include "ipc/exchange/owned.h"
#include "ipc/exchange/records.h"
#include "ipc/mutant.h"
#include "ipc/path.h"
#include "ipc/signal/wake.h"

/* Retired slots of at least this size are looked after at once, so that the next loan finds
 * a payload that still is in a cache; smaller ones when somebody needs memory. */
#define EAGER_BYTES 16384
#define BATCH       64

/* What all pins of a slot have in common. */
static uint64_t pin_of_slot(uint32_t slot, uint32_t generation)
{
    return (uint64_t)generation << 32 | (slot + 1);
}

static uint64_t pin_word(const struct self *me, uint32_t slot, uint32_t generation)
{
    return pin_of_slot(slot, generation) | PIN_INC(me->inc);
}

/* A free pin of ours takes @p value. The threads of a process compete for them. */
static int take_pin(struct self *me, uint64_t value, uint32_t *index)
{
    _Atomic uint64_t *pins = view_pins(me->view, me->who);
    uint32_t count = me->view->geo.pin_count;
    /* relaxed: local hint. */
    uint32_t at = atomic_load_explicit(&me->free_pin, memory_order_relaxed);

    for (uint32_t i = 0; i < count; i++, at++) {
        uint64_t none = 0;

        at = at < count ? at : 0;
        /* relaxed: a guess. E9: before the second look at the cell. */
        if (shm_load(&pins[at], memory_order_relaxed) == 0 &&
            (MUTANT(PIN_STORED) ? (shm_store(&pins[at], value, E9), true)
                                : shm_cas(&pins[at], &none, value, E9))) {
            /* relaxed: local hint. */
            atomic_store_explicit(&me->free_pin, at + 1, memory_order_relaxed);
            *index = at;
            return 0;
        }
    }
    return -ENOBUFS;
}

int shared_pin(struct self *me, _Atomic uint64_t *cell, uint64_t seen, uint32_t slot,
               struct pin *pin)
{
    uint64_t word;
    int result;

    if (slot >= me->view->geo.slot_count) {
        view_count(me->view, COUNT_CORRUPT, 1);
        event_tell(me->view, EVENT_CORRUPT, 1, "a cell names slot %u, the arena has %u",
                   slot, me->view->geo.slot_count);
        return -EBADMSG;
    }
    /* E11 acquire: pairs with shared_begin(). */
    word = shm_load(&view_record(me->view, slot)->owner, E11_TAKE);
    pin->slot = slot;
    pin->generation = SLOT_GENERATION(word);
    pin->sender = SLOT_WHO(word);
    result = take_pin(me, pin_word(me, slot, pin->generation), &pin->index);
    if (result < 0)
        return result;
    /* E9: after the pin. */
    if (!MUTANT(PIN_BLIND) && shm_load(cell, E9) != seen)
        result = -EAGAIN;
    else if (SLOT_STATE(word) != SLOT_SHARED && SLOT_STATE(word) != SLOT_PUTTING)
        result = -EBADMSG;
    if (result < 0)
        shared_unpin(me, pin);
    return result;
}

bool shared_unpin(struct self *me, const struct pin *given)
{
    const struct view *view = me->view;
    struct pin pin =
        *given; /* once it is free, another thread may take it, and write there */
    uint64_t word = pin_word(me, pin.slot, pin.generation);

    /* E10 release: pairs with read_pins(). Without it our last reads could see what the next
     * owner of the slot writes. E3: before the look for sleepers. */
    if (!shm_cas(&view_pins(view, me->who)[pin.index], &word, 0, E10_UNPIN))
        return false;
    /* relaxed: local hint. */
    atomic_store_explicit(&me->free_pin, pin.index, memory_order_relaxed);
    /* E9: after the unpinning. A participant that retired the slot before this saw our pin, and
     * left the slot to us; one that does so after it scans the pins after it, too. */
    word = shm_load(&view_record(view, pin.slot)->owner, E9);
    if (SLOT_STATE(word) == SLOT_RETIRED && SLOT_GENERATION(word) == pin.generation)
        shared_free(view, pin.slot, word);
    else /* it may be the last reader that a broadcast's message waited for */
        wake_loaner(view, view_class_of(view, pin.slot));
    return true;
}

PATH_ACROSS void shared_begin(struct self *me, uint32_t slot, struct putting *putting)
{
    struct slot_record *record = view_record(me->view, slot);

    ASSERT_HELD(me, record);
    putting->slot = slot;
    /* relaxed: the slot is ours. */
    putting->held = shm_load(&record->owner, memory_order_relaxed);
    putting->word = slot_word(SLOT_PUTTING, me->who, me->inc,
                              SLOT_DELIVERIES(putting->held),
                              SLOT_GENERATION(putting->held) + 1);
    putting->came = slot_came(putting->held);
    /* relaxed: before the word. */
    shm_store(slot_location_word(record, SLOT_GENERATION(putting->word)),
              LOCATION_NONE | putting->came, memory_order_relaxed);
    /* E11 release: pairs with shared_pin(); publishes record and payload. */
    shm_store(&record->owner, putting->word, E11_FILL);
}

void shared_set_target(struct self *me, const struct putting *putting, uint32_t channel,
                       uint64_t position)
{
    struct slot_record *record = view_record(me->view, putting->slot);

    ASSERT_MINE(me, record, SLOT_PUTTING);
    /* relaxed: before the cell. */
    shm_store(slot_location_word(record, SLOT_GENERATION(putting->word)),
              LOCATION(channel, LOCATION_AT(position)) | putting->came,
              memory_order_relaxed);
}

/* The same use in another state: it still names the participant that put it. */
static uint64_t shared_word(enum slot_state state, uint64_t word)
{
    return (word & ~UINT64_C(7)) | state;
}

void shared_done(struct self *me, const struct putting *putting)
{
    uint64_t seen = putting->word;

    /* E16 release: pairs with sweep_slots(). Without it a reaper could see SHARED and a cell
     * that does not name the slot yet. The one that replaced the cell meanwhile has done this for
     * us. */
    shm_cas(&view_record(me->view, putting->slot)->owner, &seen,
            shared_word(SLOT_SHARED, seen), E16_NAMED);
}

void shared_undo(struct self *me, const struct putting *putting)
{
    struct slot_record *record = view_record(me->view, putting->slot);

    ASSERT_MINE(me, record, SLOT_PUTTING);
    /* relaxed: nobody else has seen it. One store: word and location go back at once. */
    shm_store(&record->owner, slot_back(putting->held, me), memory_order_relaxed);
}

bool shared_complete(const struct view *view, const _Atomic uint64_t *cell, uint64_t seen,
                     uint32_t slot, uint64_t *word)
{
    _Atomic uint64_t *owner = &view_record(view, slot)->owner;
    uint64_t want;

    /* E11 acquire: the word of this use, if the cell still is as it was. */
    *word = shm_load(owner, E11_TAKE);
    if (SLOT_STATE(*word) != SLOT_PUTTING || MUTANT(UNSETTLED))
        return true; /* of an earlier use: then the CAS on the cell fails */
    /* E9: after the word. Otherwise it could be moving into another cell. */
    if (shm_load(cell, E9) != seen)
        return false;
    want = shared_word(SLOT_SHARED, *word);
    /* E16: as in shared_done(). If it fails, another did it. */
    shm_cas(owner, word, want, E16_NAMED);
    *word = want;
    return true;
}

bool shared_retire(const struct view *view, uint32_t slot, uint64_t word, bool now)
{
    uint32_t c = view_class_of(view, slot);
    uint64_t retired = shared_word(SLOT_RETIRED, word);

    /* E9: after the cell was replaced, before the pins are scanned. */
    if (SLOT_STATE(word) != SLOT_SHARED ||
        !shm_cas(&view_record(view, slot)->owner, &word, retired, E9))
        return false;
    /* E3: after the change, the look for sleepers. */
    if (now || view->geo.classes[c].slot_bytes >= EAGER_BYTES ||
        (shm_load(view_freed(view, c), E3) & WAKE_FLAGS))
        return shared_free(view, slot, retired);
    return false;
}

/* What may be freed, of what was found retired. */
struct batch {
    uint32_t count;
    uint32_t slot[BATCH];
    uint64_t word[BATCH];
};

static void strike(struct batch *batch, uint64_t pin)
{
    for (uint32_t i = 0; i < batch->count; i++)
        if (pin_of_slot(batch->slot[i], SLOT_GENERATION(batch->word[i])) ==
            PIN_OF_SLOT(pin)) {
            batch->count--;
            batch->slot[i] = batch->slot[batch->count];
            batch->word[i] = batch->word[batch->count];
            return;
        }
}

/* Remove what somebody reads. Entries that are free do not count: the participant that enters one
 * erases its pins first, and looks at cells after it has entered (E9). */
static void read_pins(const struct view *view, struct batch *batch)
{
    for (uint32_t i = 0; i < view->geo.participant_count && batch->count; i++) {
        _Atomic uint64_t *pins = view_pins(view, i);

        /* E9: after the slots were retired. */
        if (PARTICIPANT_STATE(shm_load(&view_participant(view, i)->word, E9)) !=
            PARTICIPANT_LIVE)
            continue;
        for (uint32_t p = 0; p < view->geo.pin_count; p++) {
            /* E10 acquire: pairs with shared_unpin(). E9: after the slots were retired. */
            uint64_t pin = shm_load(&pins[p], E10_SCAN);

            if (pin && !MUTANT(PINS_IGNORED))
                strike(batch, pin);
        }
    }
}

/* Free what is left. Whether it was any. */
static bool free_batch(const struct view *view, const struct batch *batch)
{
    bool any = false;

    for (uint32_t i = 0; i < batch->count; i++)
        any |= slot_free_from(view, batch->slot[i], batch->word[i]);
    return any;
}

bool shared_free(const struct view *view, uint32_t slot, uint64_t word)
{
    struct batch batch = {.count = 1, .slot = {slot}, .word = {word}};

    read_pins(view, &batch);
    return free_batch(view, &batch);
}

bool shared_free_retired(const struct view *view, uint32_t c, bool *shared)
{
    uint32_t first = view->geo.classes[c].first_slot, count = records_used(view, c);
    struct batch batch;
    bool any = false;

    batch.count = 0;
    for (uint32_t i = 0; i < count; i++) {
        /* E9: retired before the pins are scanned. */
        uint64_t word = shm_load(&view_record(view, first + i)->owner, E9);

        *shared |= SLOT_STATE(word) == SLOT_SHARED;
        if (SLOT_STATE(word) == SLOT_RETIRED) {
            batch.slot[batch.count] = first + i;
            batch.word[batch.count++] = word;
        }
        if (batch.count == BATCH || (i + 1 == count && batch.count)) {
            read_pins(view, &batch);
            any |= free_batch(view, &batch);
            batch.count = 0;
        }
    }
    return any;
}

uint32_t shared_pinned(const struct view *view, uint32_t who, uint32_t c)
{
    _Atomic uint64_t *pins = view_pins(view, who);
    uint32_t count = 0;

    for (uint32_t p = 0; p < view->geo.pin_count; p++) {
        uint32_t slot = PIN_SLOT(shm_get(&pins[p]));

        count += slot < view->geo.slot_count && view_class_of(view, slot) == c;
    }
    return count;
}

bool shared_is_pinned(const struct view *view, uint32_t slot, uint64_t word)
{
    struct batch batch = {.count = 1, .slot = {slot}, .word = {word}};

    read_pins(view, &batch);
    return batch.count == 0;
}

void shared_unpin_all(struct self *me)
{
    _Atomic uint64_t *pins = view_pins(me->view, me->who);

    for (uint32_t p = 0; p < me->view->geo.pin_count; p++) {
        uint64_t word = shm_get(&pins[p]);
        struct pin pin = {
            .index = p, .slot = PIN_SLOT(word), .generation = (uint32_t)(word >> 32)};

        if (word == pin_word(me, pin.slot, pin.generation) &&
            pin.slot < me->view->geo.slot_count)
            (void)shared_unpin(me, &pin);
    }
}

void shared_finish(const struct view *view, uint32_t slot, uint64_t word)
{
    /* E16: as in shared_done(). */
    shm_cas(&view_record(view, slot)->owner, &word, shared_word(SLOT_SHARED, word),
            E16_NAMED);
}
