/* SPDX-License-Identifier: MIT */
/* elastic_records_test.c - slots of elastic arenas cost nothing before they are used. */
#include "elastic_scene.h"

#include <errno.h>
#include <pthread.h>

#include "ipc/hooks.h"

static uint64_t held_by(tr_arena *arena)
{
    tr_arena_info info = TR_ARENA_INFO_INIT;

    assert_ok(tr_arena_info_get(arena, &info));
    return info.resident_bytes;
}

static void look_around(tr_arena *arena)
{
    tr_stats stats = TR_STATS_INIT;
    tr_participant_stats people[8];
    tr_channel_stats channels[4];
    tr_class_stats classes[2];
    tr_look *look;
    size_t n;

    assert_ok(tr_look_open_fd(arena_known(arena)->view.lock_fd, &look));
    assert_ok(tr_look_stats(look, &stats));
    assert_int_equal(stats.slots, 100000);
    assert_int_equal(stats.slots_free, stats_of(arena).slots_free);
    assert_ok(tr_look_classes(look, classes, sizeof(tr_class_stats), 2, &n));
    tr_look_close(look);
    assert_int_equal(classes[0].slots, 30000);
    assert_int_equal(classes[0].free + classes[1].free, stats.slots_free);
    assert_ok(tr_stats_participants(arena, people, sizeof(tr_participant_stats), 8, &n));
    assert_ok(tr_stats_channels(arena, channels, sizeof(tr_channel_stats), 4, &n));
    assert_ok(tr_arena_reap(arena, NULL));
    assert_ok(tr_arena_trim(arena, NULL));
}

/* What no message has used yet: nobody reads it, as that would take memory. */
static void slots_cost_nothing_before_they_are_used(void **state)
{
    tr_slot_class classes[] = {{ARENA_PAGE, 30000}, {4 * ARENA_PAGE, 70000}};
    tr_arena_options options = options_of(classes, 2);
    tr_message *small, *large;
    tr_arena *arena;
    uint64_t idle;
    (void)state;

    options.memory_bytes = UINT64_C(64) * MIB;
    options.ring_bytes = 1 << 16;
    assert_ok(tr_arena_create(NULL, &options, &arena));
    idle = held_by(arena);
    assert_true(idle < 256 << 10);
    look_around(arena);
    assert_int_equal(held_by(arena), idle);
    small = loan(arena, 100);
    large = loan(arena, 2 * ARENA_PAGE);
    assert_int_equal(held_by(arena), idle + 2 * ARENA_PAGE + 3 * ARENA_PAGE);
    assert_int_equal(stats_of(arena).slots_free, 100000 - 2);
    look_around(arena);
    assert_int_equal(held_by(arena), idle + 2 * ARENA_PAGE + 3 * ARENA_PAGE);
    tr_message_release(small);
    tr_message_release(large);
    assert_int_equal(stats_of(arena).slots_free, 100000);
    tr_arena_close(arena);
}

/* Every slot, in two classes that share a page of records. */
static void all_slots_can_be_used(void **state)
{
    tr_slot_class classes[] = {{ARENA_PAGE, 99}, {MIB, 102}};
    tr_arena_options options = options_of(classes, 2);
    tr_message *held[201], *none = NULL;
    tr_arena *arena = make(&options);
    (void)state;

    for (int i = 0; i < 201; i++)
        held[i] = loan(arena, i % 2 ? 2 * ARENA_PAGE : 10);
    assert_int_equal(tr_message_loan_bytes(arena, 10, TR_NOWAIT, &none), TR_EAGAIN);
    assert_int_equal(stats_of(arena).slots_free, 0);
    assert_int_equal(resident(arena), 101 * ARENA_PAGE + 100 * 2 * ARENA_PAGE);
    for (int i = 0; i < 201; i++)
        tr_message_release(held[i]);
    assert_int_equal(stats_of(arena).slots_free, 201);
    tr_arena_close(arena);
}

static uint64_t records_of[2]; /* where they begin and end */

static int reserve_no_records(const struct view *view, uint64_t off, uint64_t bytes,
                              struct shortage *shortage)
{
    if (off < records_of[0] || off >= records_of[1])
        return hooks_real.reserve(view, off, bytes, shortage);
    *shortage = (struct shortage){.limit = SHORTAGE_KERNEL, .asked = bytes};
    return -ENOSPC;
}

/* A loan without memory for its record is refused, and nobody writes to what is not there. */
static void refuses_what_has_no_record(void **state)
{
    tr_slot_class classes[] = {{ARENA_PAGE, 8}, {MIB, 64}};
    tr_arena_options options = options_of(classes, 2);
    struct hooks fake = hooks_real;
    tr_message *held[8], *more = NULL;
    tr_arena *arena = make(&options);
    uint64_t before;
    (void)state;

    records_of[0] = arena_known(arena)->view.geo.records_off;
    records_of[1] = arena_known(arena)->view.geo.payload_off;
    fake.reserve = reserve_no_records;
    for (int i = 0; i < 8; i++)
        held[i] = loan(arena, 10);
    before = held_by(arena);
    hooks = &fake;
    assert_int_equal(tr_message_loan_bytes(arena, 10, TR_FOREVER, &more), TR_ENOSPC);
    tr_message_release(held[7]);
    held[7] = loan(arena, 10); /* one that there is */
    hooks = &hooks_real;
    assert_int_equal(held_by(arena), before);
    held[0] = (tr_message_release(held[0]), loan(arena, 2 * ARENA_PAGE));
    assert_int_equal(resident(arena), 8 * ARENA_PAGE + 2 * ARENA_PAGE);
    for (int i = 0; i < 8; i++)
        tr_message_release(held[i]);
    tr_arena_close(arena);
}

static int reserve_records_in_what_is_free(const struct view *view, uint64_t off,
                                           uint64_t bytes, struct shortage *shortage)
{
    return shm_get(&view_live(view)->reserved_bytes)
               ? reserve_no_records(view, off, bytes, shortage)
               : hooks_real.reserve(view, off, bytes, shortage);
}

/* What free slots keep of the machine's last memory is room for a record. */
static void makes_room_for_a_record(void **state)
{
    tr_slot_class classes[] = {{ARENA_PAGE, 8}, {MIB, 64}};
    tr_arena_options options = options_of(classes, 2);
    struct hooks fake = hooks_real;
    tr_arena *arena = make(&options);
    (void)state;

    records_of[0] = arena_known(arena)->view.geo.records_off;
    records_of[1] = arena_known(arena)->view.geo.payload_off;
    fake.reserve = reserve_records_in_what_is_free;
    tr_message_release(loan(arena, 10));
    hooks = &fake;
    tr_message_release(loan(arena, 2 * ARENA_PAGE));
    hooks = &hooks_real;
    tr_arena_close(arena);
}

struct racer {
    tr_arena *arena;
    pthread_t thread;
    int taken;
};

static void *take_all(void *context)
{
    struct racer *racer = context;
    tr_message *message;

    while (tr_message_loan_bytes(racer->arena, 10, TR_NOWAIT, &message) == 0) {
        memset(tr_message_tensor(message, 0)->data, 1, 10);
        racer->taken++;
    }
    return NULL;
}

/* Each slot goes to one of those that take them into use at once. */
static void many_take_slots_into_use(void **state)
{
    tr_arena *arena = make_elastic(ARENA_PAGE, 2000, 0);
    struct racer racers[4] = {{0}};
    int taken = 0;
    (void)state;

    for (int i = 0; i < 4; i++) {
        racers[i].arena = arena;
        assert_int_equal(pthread_create(&racers[i].thread, NULL, take_all, &racers[i]),
                         0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(racers[i].thread, NULL), 0);
        taken += racers[i].taken;
    }
    assert_int_equal(taken, 2000);
    assert_int_equal(stats_of(arena).slots_loaned, 2000);
    tr_arena_close(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_cost_nothing_before_they_are_used),
        cmocka_unit_test(all_slots_can_be_used),
        cmocka_unit_test(refuses_what_has_no_record),
        cmocka_unit_test(makes_room_for_a_record),
        cmocka_unit_test(many_take_slots_into_use),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
