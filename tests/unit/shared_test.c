/* SPDX-License-Identifier: MIT */
/* shared_test.c - pins, retiring and half-done steps; then all of it by many threads. */
#include "tests/unit/broadcast_scene.h"

#include <pthread.h>

#include "ipc/exchange/broadcast.h"
#include "ipc/exchange/reclaim.h"
#include "ipc/exchange/shared_sweep.h"
#include "src/arena/arena.h"
#include "src/channel/broadcast.h"

#define LONG (INT64_C(30) * 1000 * 1000 * 1000) /* ns: it hangs */

/* A slot on its way into cell @p cell, which is the test's own. */
static uint32_t put_into(struct self *me, _Atomic uint64_t *cell, uint64_t value,
                         struct putting *putting)
{
    uint32_t slot;

    assert_int_equal(slot_loan(me, 0, &slot), 0);
    shared_begin(me, slot, putting);
    atomic_store(cell, value);
    return slot;
}

static enum slot_state state_of(const struct view *view, uint32_t slot)
{
    return SLOT_STATE(atomic_load(&view_record(view, slot)->owner));
}

static void a_pin_keeps_a_retired_slot(void **state)
{
    tr_arena *arena = make_arena(4, 0);
    struct self *me = &arena_known(arena)->self;
    struct putting putting;
    struct pin one, two;
    _Atomic uint64_t cell;
    uint64_t word;
    uint32_t slot = put_into(me, &cell, 1, &putting);
    (void)state;

    assert_int_equal(state_of(me->view, slot), SLOT_PUTTING);
    assert_int_equal(shared_pin(me, &cell, 1, slot, &one), 0); /* named: enough */
    shared_done(me, &putting);
    assert_int_equal(state_of(me->view, slot), SLOT_SHARED);
    assert_int_equal(shared_pin(me, &cell, 2, slot, &two), -EAGAIN);
    assert_int_equal(shared_pin(me, &cell, 1, 4, &two), -EBADMSG);
    assert_int_equal(shared_pin(me, &cell, 1, slot, &two), 0);
    assert_true(shared_complete(me->view, &cell, 1, slot, &word));
    atomic_store(&cell, 2);
    assert_false(shared_retire(me->view, slot, word, true));
    assert_int_equal(state_of(me->view, slot), SLOT_RETIRED);
    shared_unpin(me, &one);
    assert_int_equal(state_of(me->view, slot), SLOT_RETIRED);
    assert_int_equal(shared_pin(me, &cell, 1, slot, &one), -EAGAIN);
    shared_unpin(me, &two); /* the last one frees it */
    assert_int_equal(state_of(me->view, slot), SLOT_FREE);
    tr_arena_close(arena);
}

static void a_put_over_a_fresh_cell_finishes_it(void **state)
{
    tr_arena *arena = make_arena(4, 0);
    struct self *me = &arena_known(arena)->self;
    struct putting putting, other;
    _Atomic uint64_t cell;
    uint64_t word;
    uint32_t slot = put_into(me, &cell, 1, &putting);
    (void)state;

    assert_true(shared_complete(me->view, &cell, 1, slot, &word));
    assert_int_equal(state_of(me->view, slot), SLOT_SHARED);
    atomic_store(&cell, 2);
    assert_true(shared_retire(me->view, slot, word, true));
    shared_done(me, &putting); /* late, and harmless */
    assert_int_equal(state_of(me->view, slot), SLOT_FREE);

    /* a slot that is on its way to another cell is left alone */
    slot = put_into(me, &cell, 3, &other);
    assert_false(shared_complete(me->view, &cell, 1, slot, &word));
    assert_int_equal(state_of(me->view, slot), SLOT_PUTTING);
    shared_undo(me, &other);
    assert_int_equal(state_of(me->view, slot), SLOT_LOANED);
    slot_free(me, slot);
    tr_arena_close(arena);
}

/* Every state in which death can leave a broadcast's slot, and what the sweep makes of it. */
static void half_done_steps_are_finished(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_broadcast *broadcast = open_broadcast(arena, 3, 0);
    tr_subscription *subscription = subscribe(broadcast, TR_LAG_BLOCK, 0);
    struct self *me = &arena_known(arena)->self;
    const struct view *view = &arena_known(arena)->view;
    struct broadcast *ring = &broadcast_known(broadcast)->ring;
    struct putting putting;
    uint64_t word;
    uint32_t slot;
    (void)state;

    /* before the cell: as if it were still held */
    assert_int_equal(slot_loan(me, 0, &slot), 0);
    shared_begin(me, slot, &putting);
    shared_set_target(me, &putting, ring->index, 0);
    assert_false(shared_sweep(view, slot, putting.word));
    /* after it: published */
    atomic_store(&ring->cells[0], UINT64_C(1) << 22 | (uint64_t)slot << 1 | 1);
    assert_true(shared_sweep(view, slot, putting.word));
    assert_int_equal(state_of(view, slot), SLOT_SHARED);
    word = atomic_load(&view_record(view, slot)->owner);
    assert_true(shared_sweep(view, slot, word)); /* it stays */
    assert_int_equal(state_of(view, slot), SLOT_SHARED);
    /* a process replaced the cell, and died before it retired the slot */
    atomic_store(&ring->cells[0], UINT64_C(1) << 22);
    assert_false(shared_sweep(view, slot, word));
    assert_int_equal(state_of(view, slot), SLOT_FREE);
    tr_subscription_close(subscription);
    tr_broadcast_close(broadcast);
    tr_arena_close(arena);
}

static void collecting_frees_in_batches(void **state)
{
    tr_arena *arena = make_arena(200, 0);
    struct self *me = &arena_known(arena)->self;
    _Atomic uint64_t cells[200];
    struct pin pins[3];
    (void)state;

    for (uint64_t i = 0; i < 200; i++) {
        struct putting putting;
        uint32_t slot = put_into(me, &cells[i], 1, &putting);
        uint64_t word;

        shared_done(me, &putting);
        if (i % 70 == 0)
            assert_int_equal(shared_pin(me, &cells[i], 1, slot, &pins[i / 70]), 0);
        assert_true(shared_complete(me->view, &cells[i], 1, slot, &word));
        atomic_store(&cells[i], 2);
        assert_false(shared_retire(me->view, slot, word, false));
    }
    assert_int_equal(stats_of(arena).slots_free, 0);
    assert_true(reclaim_shared(me->view, 0, true));
    assert_int_equal(stats_of(arena).slots_free, 197);
    for (int i = 0; i < 3; i++)
        shared_unpin(me, &pins[i]);
    assert_int_equal(stats_of(arena).slots_free, 200);
    tr_arena_close(arena);
}

/* Many publishers, many subscribers of each kind, as threads on one mapping: for each
 * subscriber the values of each publisher grow, and nothing is missed by those that block. */
#define PUBLISHERS 3
#define READERS    6
#define VALUES     3000

struct party {
    tr_arena *arena;
    tr_broadcast *broadcast;
    tr_subscription *subscription;
    int index;
    int64_t got;
    int failed;
};

static void *publish_many(void *context)
{
    struct party *party = context;
    int64_t count = 8;
    tr_tensor_spec spec = {.dtype = {TR_DTYPE_INT, 64, 1}, .ndim = 1, .shape = &count};

    for (int64_t i = 0; i < VALUES; i++) {
        tr_message *message;
        int64_t *data;

        if (tr_message_loan(party->arena, &spec, 1, LONG, &message)) {
            party->failed = 1;
            return NULL;
        }
        data = tr_message_tensor(message, 0)->data;
        for (int64_t k = 0; k < count; k++)
            data[k] = party->index * VALUES + i;
        if (tr_broadcast_publish(party->broadcast, message, LONG)) {
            party->failed = 2;
            return NULL;
        }
    }
    return NULL;
}

static int inspect(const tr_message *message, int64_t *last)
{
    const int64_t *data = tr_message_tensor(message, 0)->data;
    int64_t from = data[0] / VALUES;

    for (int k = 1; k < 8; k++)
        if (data[k] != data[0])
            return 3;
    if (from < 0 || from >= PUBLISHERS || data[0] <= last[from])
        return 4;
    last[from] = data[0];
    return 0;
}

static void *receive_many(void *context)
{
    struct party *party = context;
    int64_t last[PUBLISHERS] = {-1, -1, -1};

    for (;;) {
        tr_message *message;
        int result = tr_subscription_receive(party->subscription, LONG, &message);

        if (result == TR_ECLOSED)
            return NULL;
        if (result == TR_ELAGGED)
            continue;
        if (result)
            party->failed = 5;
        else {
            party->failed = inspect(message, last);
            party->got++;
            tr_message_release(message);
        }
        if (party->failed)
            return NULL;
    }
}

static void threads_agree(uint64_t slots)
{
    tr_arena *arena = make_arena(slots, 0);
    tr_broadcast *broadcast = open_broadcast(arena, 7, 0);
    struct party parties[PUBLISHERS + READERS] = {{0}};
    pthread_t threads[PUBLISHERS + READERS];

    for (int i = 0; i < PUBLISHERS + READERS; i++) {
        parties[i] = (struct party){.arena = arena, .broadcast = broadcast, .index = i};
        if (i >= PUBLISHERS)
            parties[i].subscription = subscribe(
                broadcast, i % 2 ? TR_LAG_BLOCK : TR_LAG_DROP_OLDEST, 0);
    }
    for (int i = 0; i < PUBLISHERS + READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL,
                                        i < PUBLISHERS ? publish_many : receive_many,
                                        &parties[i]),
                         0);
    for (int i = 0; i < PUBLISHERS; i++)
        pthread_join(threads[i], NULL);
    tr_broadcast_shutdown(broadcast);
    for (int i = PUBLISHERS; i < PUBLISHERS + READERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < PUBLISHERS + READERS; i++) {
        assert_int_equal(parties[i].failed, 0);
        if (i < PUBLISHERS)
            continue;
        assert_int_equal((uint64_t)parties[i].got +
                             tr_subscription_missed(parties[i].subscription),
                         PUBLISHERS * VALUES);
        if (i % 2)
            assert_int_equal(parties[i].got, PUBLISHERS * VALUES);
        tr_subscription_close(parties[i].subscription);
    }
    tr_broadcast_close(broadcast);
    tr_arena_close(arena);
}

static void many_threads_with_room(void **state)
{
    (void)state;
    threads_agree(64);
}

static void many_threads_short_of_slots(void **state)
{
    (void)state;
    threads_agree(PUBLISHERS + READERS + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pin_keeps_a_retired_slot),
        cmocka_unit_test(a_put_over_a_fresh_cell_finishes_it),
        cmocka_unit_test(half_done_steps_are_finished),
        cmocka_unit_test(collecting_frees_in_batches),
        cmocka_unit_test(many_threads_with_room),
        cmocka_unit_test(many_threads_short_of_slots),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
