/* SPDX-License-Identifier: MIT */
#include "support.h"

static void counts_slots_by_state(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_message *held, *received;
    tr_queue *queue;
    tr_stats stats;
    (void)state;

    assert_ok(tr_queue_open(arena, "q", NULL, &queue));
    held = loan_i64(arena, 1, 1);
    for (int64_t i = 0; i < 3; i++)
        assert_ok(tr_queue_send(queue, loan_i64(arena, 1, i), TR_NOWAIT));
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &received));
    stats = stats_of(arena);
    assert_int_equal(stats.slots, 8);
    assert_int_equal(stats.slots_loaned, 1);
    assert_int_equal(stats.slots_queued, 2);
    assert_int_equal(stats.slots_received, 1);
    assert_int_equal(stats.slots_free, 4);
    assert_int_equal(stats.participants, 1);
    assert_int_equal(stats.channels, 1);
    assert_int_equal(stats.joins, 1);
    tr_release(held);
    tr_release(received);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

static void tells_who_holds_what(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_participant_stats who[4];
    tr_message *held = loan_i64(arena, 1, 1);
    size_t count;
    (void)state;

    assert_ok(tr_stats_participants(arena, who, 4, &count));
    assert_int_equal(count, 1);
    assert_int_equal(who[0].pid, getpid());
    assert_int_equal(who[0].uid, geteuid());
    assert_int_equal(who[0].alive, 1);
    assert_int_equal(who[0].loaned, 1);
    assert_int_equal(who[0].held_bytes, 256);
    assert_true(who[0].start_time > 0);
    assert_ok(tr_stats_participants(arena, who, 0, &count));
    assert_int_equal(count, 0);
    tr_release(held);
    tr_arena_close(arena);
}

static void tells_how_deep_channels_are(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_channel_stats channels[4];
    tr_message *message;
    tr_queue *queue;
    size_t count;
    (void)state;

    assert_ok(tr_queue_open(arena, "jobs", NULL, &queue));
    for (int64_t i = 0; i < 5; i++)
        assert_ok(tr_queue_send(queue, loan_i64(arena, 1, i), TR_NOWAIT));
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
    tr_release(message);
    assert_ok(tr_stats_channels(arena, channels, 4, &count));
    assert_int_equal(count, 1);
    assert_string_equal(channels[0].name, "jobs");
    assert_int_equal(channels[0].kind, 1);
    assert_int_equal(channels[0].capacity, 256);
    assert_int_equal(channels[0].sent, 5);
    assert_int_equal(channels[0].received, 1);
    assert_int_equal(channels[0].depth, 4);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

static void takes_structs_of_other_versions(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_stats stats = {.struct_size = offsetof(tr_stats, slots_loaned)};
    tr_arena_info info = {.struct_size = 4};
    (void)state;

    stats.slots_loaned = 99;
    assert_ok(tr_stats_read(arena, &stats));
    assert_int_equal(stats.slots_free, 8);
    assert_int_equal(stats.slots_loaned, 99); /* beyond what the caller knows */
    stats.struct_size = sizeof(stats) + 8;
    assert_int_equal(tr_stats_read(arena, &stats), TR_EINVAL);
    assert_int_equal(tr_arena_info_read(arena, &info), TR_EINVAL);
    tr_arena_close(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_slots_by_state),
        cmocka_unit_test(tells_who_holds_what),
        cmocka_unit_test(tells_how_deep_channels_are),
        cmocka_unit_test(takes_structs_of_other_versions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
