/* SPDX-License-Identifier: MIT */
#include "support.h"

/* One message each, from 0 on. */
static void send_values(tr_queue *queue, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        assert_ok(tr_queue_send(queue, loan_i64(tr_queue_arena(queue), 1, i), TR_NOWAIT));
}

static void counts_slots_by_state(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_message *held, *received;
    tr_queue *queue;
    tr_stats stats;
    (void)state;

    assert_ok(tr_queue_open(arena, "q", NULL, &queue));
    held = loan_i64(arena, 1, 1);
    send_values(queue, 3);
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
    tr_message_release(held);
    tr_message_release(received);
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

    assert_ok(tr_stats_participants(arena, who, sizeof(tr_participant_stats), 4, &count));
    assert_int_equal(count, 1);
    assert_int_equal(who[0].pid, getpid());
    assert_int_equal(who[0].uid, geteuid());
    assert_int_equal(who[0].alive, 1);
    assert_int_equal(who[0].loaned, 1);
    assert_int_equal(who[0].held_bytes, 256);
    assert_true(who[0].start_time > 0);
    assert_ok(tr_stats_participants(arena, who, sizeof(tr_participant_stats), 0, &count));
    assert_int_equal(count, 0);
    tr_message_release(held);
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
    send_values(queue, 5);
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
    tr_message_release(message);
    assert_ok(tr_stats_channels(arena, channels, sizeof(tr_channel_stats), 4, &count));
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

static tr_channel_stats channel_of(tr_arena *arena, const char *name)
{
    tr_channel_stats channels[16];
    size_t count;

    assert_ok(tr_stats_channels(arena, channels, sizeof(tr_channel_stats), 16, &count));
    for (size_t i = 0; i < count; i++)
        if (!strcmp(channels[i].name, name))
            return channels[i];
    fail_msg("there is no channel %s", name);
    return channels[0];
}

/* The loans of one size wait, whatever is free of another. */
static void tells_of_each_size(void **state)
{
    tr_arena *arena = make_arena(3, 2);
    tr_class_stats sizes[4];
    tr_message *large[2], *small, *none;
    size_t count;
    (void)state;

    for (int i = 0; i < 2; i++)
        assert_ok(tr_message_loan_bytes(arena, 1000, TR_NOWAIT, &large[i]));
    assert_ok(tr_message_loan_bytes(arena, 10, TR_NOWAIT, &small));
    assert_ok(tr_stats_classes(arena, sizes, sizeof(tr_class_stats), 4, &count));
    assert_int_equal(count, 2);
    assert_int_equal(sizes[0].slot_bytes, 256);
    assert_int_equal(sizes[0].slots, 3);
    assert_int_equal(sizes[0].free, 2);
    assert_int_equal(sizes[0].loaned, 1);
    assert_int_equal(sizes[1].slot_bytes, 65536);
    assert_int_equal(sizes[1].slots, 2);
    assert_int_equal(sizes[1].free, 0);
    assert_int_equal(sizes[1].loaned, 2);
    assert_int_equal(sizes[1].waiting, 0);
    tr_arena_set_spin(arena, 0);
    assert_int_equal(tr_message_loan_bytes(arena, 1000, 1000, &none), TR_ETIMEDOUT);
    assert_ok(tr_stats_classes(arena, sizes, sizeof(tr_class_stats), 1, &count));
    assert_int_equal(count, 1);
    assert_ok(tr_stats_classes(arena, sizes, sizeof(tr_class_stats), 4, &count));
    assert_int_equal(sizes[0].waiting, 0);
    assert_int_equal(sizes[1].waiting, 1);
    tr_message_release(small);
    tr_message_release(large[0]);
    tr_message_release(large[1]);
    tr_arena_close(arena);
}

static void tells_who_holds_up_a_broadcast(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_broadcast_options options = TR_BROADCAST_OPTIONS_INIT;
    tr_subscription_options blocks = TR_SUBSCRIPTION_OPTIONS_INIT;
    tr_subscription *first, *second;
    tr_broadcast *broadcast;
    tr_channel_stats stats;
    tr_message *message;
    (void)state;

    options.capacity = 3;
    blocks.lag = TR_LAG_BLOCK;
    assert_ok(tr_broadcast_open(arena, "news", &options, &broadcast));
    assert_ok(tr_subscription_open(broadcast, NULL, &first)); /* it waits for nobody */
    assert_ok(tr_subscription_open(broadcast, &blocks, &second));
    assert_int_equal(channel_of(arena, "news").behind, 0);
    for (int64_t i = 0; i < 4; i++)
        assert_ok(tr_broadcast_publish(broadcast, loan_i64(arena, 1, i), TR_NOWAIT));
    message = loan_i64(arena, 1, 4);
    assert_int_equal(tr_broadcast_publish(broadcast, message, TR_NOWAIT), TR_EAGAIN);
    tr_message_release(message);
    stats = channel_of(arena, "news");
    assert_int_equal(stats.behind, stats.capacity);
    assert_int_equal(stats.laggard, 0);
    assert_ok(tr_subscription_receive(second, TR_NOWAIT, &message));
    tr_message_release(message);
    assert_int_equal(channel_of(arena, "news").behind, stats.capacity - 1);
    tr_subscription_close(first);
    tr_subscription_close(second);
    tr_broadcast_close(broadcast);
    tr_arena_close(arena);
}

static void takes_structs_of_other_versions(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_stats stats = {.struct_size = offsetof(tr_stats, slots_loaned)};
    tr_arena_info info = {.struct_size = 4};
    tr_reap_report report = {.struct_size = offsetof(tr_reap_report, redelivered),
                             .freed = 99,
                             .redelivered = 99};
    (void)state;

    stats.slots_loaned = 99;
    assert_ok(tr_stats_get(arena, &stats));
    assert_int_equal(stats.slots_free, 8);
    assert_int_equal(stats.slots_loaned, 99); /* beyond what the caller knows */
    stats.struct_size = sizeof(stats) + 8;
    assert_int_equal(tr_stats_get(arena, &stats), TR_EINVAL);
    assert_int_equal(tr_arena_info_get(arena, &info), TR_EINVAL);
    assert_ok(tr_arena_reap(arena, &report));
    assert_int_equal(report.struct_size, offsetof(tr_reap_report, redelivered));
    assert_int_equal(report.freed, 0);
    assert_int_equal(report.redelivered, 99);
    tr_arena_close(arena);
}

/* Elements of arrays lie as close as the caller's header has it. */
static void fills_arrays_of_older_callers(void **state)
{
    enum { OLD = 24, ROOM = 3 }; /* bytes of an element that the caller knows */
    tr_arena *arena = make_arena(8, 0);
    unsigned char old[ROOM][OLD], guard[OLD];
    tr_channel_stats channels[ROOM];
    tr_participant_stats person;
    tr_class_stats size;
    tr_queue *queue[2];
    size_t count;
    (void)state;

    assert_ok(tr_queue_open(arena, "first", NULL, &queue[0]));
    assert_ok(tr_queue_open(arena, "second", NULL, &queue[1]));
    assert_ok(tr_stats_channels(arena, channels, sizeof(channels[0]), ROOM, &count));
    assert_int_equal(count, 2);
    memset(old, 0xab, sizeof(old));
    memset(guard, 0xab, sizeof(guard));
    assert_ok(tr_stats_channels(arena, (tr_channel_stats *)old, OLD, ROOM, &count));
    assert_int_equal(count, 2);
    assert_memory_equal(old[0], &channels[0], OLD);
    assert_memory_equal(old[1], &channels[1], OLD);
    assert_memory_equal(old[2], guard, OLD);
    assert_ok(tr_stats_participants(arena, &person, sizeof(person), 1, &count));
    assert_ok(tr_stats_participants(arena, (tr_participant_stats *)old, OLD, 1, &count));
    assert_memory_equal(old[0], &person, OLD);
    assert_memory_equal(old[1], &channels[1], OLD);
    assert_ok(tr_stats_classes(arena, &size, sizeof(size), 1, &count));
    assert_ok(tr_stats_classes(arena, (tr_class_stats *)old, OLD, 1, &count));
    assert_memory_equal(old[0], &size, OLD);
    assert_memory_equal(old[1], &channels[1], OLD);
    tr_queue_close(queue[0]);
    tr_queue_close(queue[1]);
    tr_arena_close(arena);
}

static uint32_t sum_of(const tr_stats *stats)
{
    return stats->slots_free + stats->slots_loaned + stats->slots_queued +
           stats->slots_orphaned + stats->slots_received + stats->slots_kept +
           stats->slots_board + stats->slots_pinned + stats->slots_retired;
}

static tr_board *open_board(tr_arena *arena)
{
    tr_board_options options = TR_BOARD_OPTIONS_INIT;
    tr_board *board;

    options.capacity = 8;
    assert_ok(tr_board_open(arena, "b", &options, &board));
    return board;
}

static void put(tr_arena *arena, tr_board *board, const char *key)
{
    assert_ok(tr_board_put(board, key, loan_i64(arena, 1, 1), NULL));
}

/* One of each kind: each slot is counted in one place. */
static void every_slot_is_somewhere(void **state)
{
    tr_arena *arena = make_arena(16, 0);
    tr_message *held, *received, *old, *published;
    tr_broadcast *broadcast;
    tr_board *board;
    tr_queue *queue;
    tr_stats stats;
    (void)state;

    assert_ok(tr_queue_open(arena, "q", NULL, &queue));
    board = open_board(arena);
    assert_ok(tr_broadcast_open(arena, "news", NULL, &broadcast));
    held = loan_i64(arena, 1, 1);
    send_values(queue, 3);
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &received));
    put(arena, board, "one");
    put(arena, board, "two");
    assert_ok(tr_board_get(board, "one", &old, NULL));
    put(arena, board, "one"); /* its old value is read still */
    put(arena, board, "two"); /* and this one by nobody */
    published = loan_i64(arena, 1, 1);
    assert_ok(tr_broadcast_publish(broadcast, published, TR_NOWAIT));
    stats = stats_of(arena);
    assert_int_equal(stats.slots_loaned, 1);
    assert_int_equal(stats.slots_queued, 2);
    assert_int_equal(stats.slots_received, 1);
    assert_int_equal(stats.slots_board, 2);
    assert_int_equal(stats.slots_pinned, 1);
    assert_int_equal(stats.slots_retired, 1);
    assert_int_equal(stats.slots_kept, 1);
    assert_int_equal(stats.slots_shared, 5);
    assert_int_equal(sum_of(&stats), 16);
    tr_message_release(old);
    tr_message_release(held);
    tr_message_release(received);
    stats = stats_of(arena);
    assert_int_equal(stats.slots_loaned + stats.slots_received + stats.slots_pinned, 0);
    assert_int_equal(sum_of(&stats), 16);
    tr_broadcast_close(broadcast);
    tr_board_close(board);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

static void boards_count_keys(void **state)
{
    tr_arena *arena = make_arena(16, 0);
    tr_channel_stats stats;
    tr_board *board;
    (void)state;

    board = open_board(arena);
    put(arena, board, "one");
    put(arena, board, "one");
    put(arena, board, "two");
    assert_ok(tr_board_delete(board, "two", TR_BOARD_ANY_VERSION));
    stats = channel_of(arena, "b");
    assert_int_equal(stats.depth, 1);
    assert_int_equal(stats.sent, 4);
    assert_int_equal(stats.received, 0);
    assert_int_equal(stats.capacity, 8);
    tr_board_close(board);
    tr_arena_close(arena);
}

static void orphans_are_depth(void **state)
{
    tr_arena *arena = make_arena(16, 0);
    tr_channel_stats stats;
    tr_message *message;
    tr_queue *queue;
    pid_t pid;
    (void)state;

    assert_ok(tr_queue_open(arena, "q", NULL, &queue));
    send_values(queue, 5);
    pid = fork();
    if (pid == 0) {
        for (int i = 0; i < 3; i++)
            if (tr_queue_receive(queue, TR_NOWAIT, &message))
                _exit(1);
        _exit(0);
    }
    assert_int_equal(status_of(pid), 0);
    assert_ok(tr_arena_reap(arena, NULL));
    stats = channel_of(arena, "q");
    assert_int_equal(stats.orphans, 3);
    assert_int_equal(stats.depth, 5);
    assert_int_equal(stats_of(arena).slots_orphaned, 3);
    assert_int_equal(stats_of(arena).slots_queued, 2);
    for (int i = 0; i < 5; i++) {
        assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
        tr_message_release(message);
    }
    assert_int_equal(channel_of(arena, "q").depth, 0);
    assert_int_equal(channel_of(arena, "q").orphans, 0);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

static void tells_what_a_process_holds(void **state)
{
    tr_arena *arena = make_arena(16, 0);
    tr_queue_options options = TR_QUEUE_OPTIONS_INIT;
    tr_participant_stats who[4];
    tr_message *message, *value;
    tr_queue *queue, *stamped;
    tr_board *board;
    char comm[16] = "";
    size_t count;
    FILE *file = fopen("/proc/self/comm", "re");
    (void)state;

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%15s", comm), 1);
    fclose(file);
    options.stamp = 1;
    assert_ok(tr_queue_open(arena, "plain", NULL, &queue));
    assert_ok(tr_queue_open(arena, "stamped", &options, &stamped));
    board = open_board(arena);
    put(arena, board, "one");
    assert_ok(tr_board_get(board, "one", &value, NULL));
    assert_ok(tr_queue_send(stamped, loan_i64(arena, 1, 1), TR_NOWAIT));
    assert_ok(tr_stats_participants(arena, who, sizeof(tr_participant_stats), 4, &count));
    assert_int_equal(who[0].pinned, 1);
    assert_int_equal(who[0].pinned_bytes, 256);
    assert_int_equal(who[0].held_bytes, 0);
    assert_int_equal(who[0].oldest_ns, 0);
    assert_string_equal(who[0].channel, "");
    assert_string_equal(who[0].command, comm);
    assert_int_equal(who[0].state, 'R');
    assert_int_equal(who[0].foreign, 0);
    assert_true(who[0].pid_ns > 0);
    assert_true(who[0].joined_ns > 0);
    assert_ok(tr_queue_receive(stamped, TR_NOWAIT, &message));
    assert_ok(tr_stats_participants(arena, who, sizeof(tr_participant_stats), 4, &count));
    assert_int_equal(who[0].received, 1);
    assert_string_equal(who[0].channel, "stamped");
    assert_true(who[0].oldest_ns > 0 && who[0].oldest_ns <= who[0].joined_ns);
    tr_message_release(message);
    tr_message_release(value);
    tr_board_close(board);
    tr_queue_close(stamped);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_slots_by_state),
        cmocka_unit_test(tells_who_holds_what),
        cmocka_unit_test(tells_how_deep_channels_are),
        cmocka_unit_test(tells_of_each_size),
        cmocka_unit_test(tells_who_holds_up_a_broadcast),
        cmocka_unit_test(takes_structs_of_other_versions),
        cmocka_unit_test(fills_arrays_of_older_callers),
        cmocka_unit_test(every_slot_is_somewhere),
        cmocka_unit_test(boards_count_keys),
        cmocka_unit_test(orphans_are_depth),
        cmocka_unit_test(tells_what_a_process_holds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
