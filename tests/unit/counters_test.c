/* SPDX-License-Identifier: MIT */
/* counters_test.c - counters that wrap are set near their ends, and used by public calls. */
#include "support.h"

#include <signal.h>
#include <sys/mman.h>

#include "src/arena/arena.h"
#include "src/channel/board.h"
#include "src/channel/broadcast.h"
#include "src/channel/queue.h"

/* As queue @p queue is after that many turns: empty, slot 0 was there last. */
static void set_turns(tr_queue *queue, uint64_t turns)
{
    struct ring *ring = &queue_known(queue)->ring;

    for (uint32_t i = 0; i < ring->capacity; i++)
        atomic_store(&ring->cells[i], turns << 21);
    atomic_store(&ring->channel->head, turns * ring->capacity);
    atomic_store(&ring->channel->tail, turns * ring->capacity);
    atomic_store(&ring->passed, 0);
}

static void set_laps(tr_broadcast *broadcast, uint64_t laps)
{
    struct broadcast *ring = &broadcast_known(broadcast)->ring;

    for (uint32_t i = 0; i < ring->count; i++)
        atomic_store(&ring->cells[i], laps << 22);
    atomic_store(&ring->channel->head, laps << ring->shift);
    atomic_store(&ring->channel->tail, laps << ring->shift);
}

static tr_queue *open_queue(tr_arena *arena, uint32_t capacity)
{
    tr_queue_options options = TR_QUEUE_OPTIONS_INIT;
    tr_queue *queue;
    char name[16];

    options.capacity = capacity;
    snprintf(name, sizeof(name), "q%u", capacity);
    assert_ok(tr_queue_open(arena, name, &options, &queue));
    return queue;
}

static uint64_t sequence_of(const tr_message *message)
{
    tr_header header = TR_HEADER_INIT;

    assert_ok(tr_message_header_get(message, &header));
    return header.sequence;
}

/* Fill it, see that no more goes in, and empty it: in order, with numbers that rise. */
static void fill_and_drain(tr_arena *arena, tr_queue *queue, uint64_t first)
{
    uint32_t capacity = tr_queue_capacity(queue);
    tr_message *message;

    for (uint32_t i = 0; i < capacity; i++)
        assert_ok(tr_queue_send(queue, loan_i64(arena, 1, i), TR_NOWAIT));
    message = loan_i64(arena, 1, -1);
    assert_int_equal(tr_queue_send(queue, message, TR_NOWAIT), TR_EAGAIN);
    tr_message_release(message);
    assert_int_equal(tr_queue_depth(queue), capacity);
    for (uint32_t i = 0; i < capacity; i++) {
        assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
        assert_int_equal(first_i64(message), i);
        assert_true(sequence_of(message) == first + i);
        tr_message_release(message);
    }
    assert_int_equal(tr_queue_receive(queue, TR_NOWAIT, &message), TR_EAGAIN);
}

static void turns_of_a_queue(void **state)
{
    static const uint32_t capacities[] = {1, 2, 3, 7};
    static const uint64_t ends[] = {UINT64_C(1) << 42, UINT64_C(1) << 43,
                                    UINT64_C(1) << 44, UINT64_C(5) << 43};
    tr_arena *arena = make_arena(16, 0);
    (void)state;

    for (size_t c = 0; c < sizeof(capacities) / sizeof(capacities[0]); c++) {
        tr_queue *queue = open_queue(arena, capacities[c]);

        for (size_t e = 0; e < sizeof(ends) / sizeof(ends[0]); e++) {
            set_turns(queue, ends[e] - 3);
            for (uint64_t turn = ends[e] - 3; turn < ends[e] + 3; turn++)
                fill_and_drain(arena, queue, turn * capacities[c]);
        }
        tr_queue_close(queue);
    }
    tr_arena_close(arena);
}

/* One that was stopped sets a hint back by more turns than a cell can tell. */
static void hints_of_the_stopped(void **state)
{
    static const uint64_t back[] = {1, UINT64_C(1) << 41, (UINT64_C(1) << 42) + 5,
                                    (UINT64_C(1) << 43) - 5};
    tr_arena *arena = make_arena(16, 0);
    tr_message *message;
    (void)state;

    for (uint32_t capacity = 1; capacity < 4; capacity++) {
        tr_queue *queue = open_queue(arena, capacity);
        struct channel *channel = queue_known(queue)->ring.channel;

        for (size_t b = 0; b < sizeof(back) / sizeof(back[0]); b++) {
            uint64_t turns = (UINT64_C(1) << 43) + 1;

            set_turns(queue, turns);
            for (uint32_t i = 0; i < 3 * capacity; i++) {
                assert_ok(tr_queue_send(queue, loan_i64(arena, 1, i), TR_NOWAIT));
                if (i == capacity)
                    atomic_store(&channel->tail, (turns - back[b]) * capacity);
                assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
                assert_int_equal(first_i64(message), i);
                tr_message_release(message);
                if (i == 2 * capacity - 1)
                    atomic_store(&channel->head, (turns - back[b]) * capacity);
            }
            for (uint32_t i = 0; i < capacity; i++)
                assert_ok(tr_queue_send(queue, loan_i64(arena, 1, i), TR_NOWAIT));
            message = loan_i64(arena, 1, -1);
            assert_int_equal(tr_queue_send(queue, message, TR_NOWAIT), TR_EAGAIN);
            tr_message_release(message);
            for (uint32_t i = 0; i < capacity; i++) {
                assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
                tr_message_release(message);
            }
        }
        tr_queue_close(queue);
    }
    tr_arena_close(arena);
}

static void laps_of_a_broadcast(void **state)
{
    static const uint64_t ends[] = {UINT64_C(1) << 41, UINT64_C(1) << 42,
                                    UINT64_C(1) << 43, UINT64_C(3) << 42};
    tr_arena *arena = make_arena(16, 0);
    (void)state;

    for (uint32_t capacity = 1; capacity < 8; capacity += 3) {
        tr_broadcast_options options = TR_BROADCAST_OPTIONS_INIT;
        tr_broadcast *broadcast;
        char name[16];

        options.capacity = capacity;
        snprintf(name, sizeof(name), "b%u", capacity);
        assert_ok(tr_broadcast_open(arena, name, &options, &broadcast));
        for (size_t e = 0; e < sizeof(ends) / sizeof(ends[0]); e++) {
            tr_subscription *subscription;
            tr_message *message;

            set_laps(broadcast, ends[e] - 3);
            assert_ok(tr_subscription_open(broadcast, NULL, &subscription));
            for (int64_t i = 0; i < 6 * (int64_t)broadcast_known(broadcast)->ring.count;
                 i++) {
                assert_ok(
                    tr_broadcast_publish(broadcast, loan_i64(arena, 1, i), TR_NOWAIT));
                assert_ok(tr_subscription_receive(subscription, TR_NOWAIT, &message));
                assert_int_equal(first_i64(message), i);
                tr_message_release(message);
            }
            tr_subscription_close(subscription);
        }
        tr_broadcast_close(broadcast);
    }
    tr_arena_close(arena);
}

/* A subscriber that was stopped for longer than a cell can tell is told what it missed. */
static void a_subscriber_that_slept_for_laps(void **state)
{
    static const uint64_t laps[] = {5, (UINT64_C(1) << 41) + 5, (UINT64_C(1) << 42) - 5,
                                    (UINT64_C(1) << 42) + 5};
    tr_arena *arena = make_arena(16, 0);
    tr_broadcast_options options = TR_BROADCAST_OPTIONS_INIT;
    tr_subscription_options lag = TR_SUBSCRIPTION_OPTIONS_INIT;
    (void)state;

    options.capacity = 3;
    lag.lag = TR_LAG_DROP_OLDEST;
    for (size_t i = 0; i < sizeof(laps) / sizeof(laps[0]); i++) {
        tr_broadcast *broadcast;
        tr_subscription *subscription;
        tr_message *message;
        char name[16];

        snprintf(name, sizeof(name), "b%zu", i);
        assert_ok(tr_broadcast_open(arena, name, &options, &broadcast));
        assert_ok(tr_subscription_open(broadcast, &lag, &subscription));
        set_laps(broadcast, laps[i]);
        assert_ok(tr_broadcast_publish(broadcast, loan_i64(arena, 1, 17), TR_NOWAIT));
        assert_int_equal(tr_subscription_receive(subscription, TR_NOWAIT, &message),
                         TR_ELAGGED);
        assert_ok(tr_subscription_receive(subscription, TR_NOWAIT, &message));
        assert_int_equal(first_i64(message), 17);
        tr_message_release(message);
        assert_true(tr_subscription_missed(subscription) == laps[i] * 4);
        tr_subscription_close(subscription);
        tr_broadcast_close(broadcast);
    }
    tr_arena_close(arena);
}

static void subscribe_and_die(tr_arena *arena, uint32_t *who)
{
    tr_broadcast *broadcast;
    tr_subscription *subscription;

    assert_ok(tr_broadcast_open(arena, "news", NULL, &broadcast));
    assert_ok(tr_subscription_open(broadcast, NULL, &subscription));
    *who = arena_known(arena)->self.who;
    raise(SIGKILL);
}

/* The incarnation of a dead subscriber comes back: its place must not. */
static void the_incarnation_of_a_dead_subscriber(void **state)
{
    tr_arena *arena = make_arena(256, 0);
    uint32_t *who = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                         -1, 0);
    struct participant *entry;
    tr_broadcast *broadcast;
    uint64_t word;
    pid_t child;
    (void)state;

    assert_ok(tr_broadcast_open(arena, "news", NULL, &broadcast));
    child = fork();
    if (child == 0) {
        subscribe_and_die(arena, who);
        _exit(1);
    }
    (void)status_of(child);
    entry = view_participant(&arena_known(arena)->view, *who);
    word = atomic_load(&entry->word);
    assert_ok(tr_arena_reap(arena, NULL));
    atomic_store(&entry->word, word); /* 2^32 joins later */
    assert_int_equal(tr_broadcast_subscribers(broadcast), 0);
    for (int64_t i = 0; i < 200; i++)
        assert_ok(tr_broadcast_publish(broadcast, loan_i64(arena, 1, i), TR_NOWAIT));
    tr_broadcast_close(broadcast);
    tr_arena_close(arena);
    munmap(who, 4096);
}

/* As key "k" is after that many versions, the last of which took its value away. */
static void set_version(tr_board *board, uint64_t version)
{
    struct board_name name;
    struct board_key *entry;

    board_name("k", 1, &name);
    entry = board_claim(&board_known(board)->table, &name);
    assert_non_null(entry);
    atomic_store(&entry->base, version < BOARD_NEAR ? 0 : version - BOARD_NEAR + 1);
    atomic_store(&entry->cell, version << 21);
}

/* Every call that takes or gives a version. */
static void put_next(tr_arena *arena, tr_board *board, tr_board_watch *watch,
                     uint64_t before)
{
    const char *const keys[] = {"k"};
    tr_message *message, *many[1];
    uint64_t version, versions[1];
    char key[TR_MAX_KEY_BYTES + 1];
    uint32_t cursor = 0;

    message = loan_i64(arena, 1, 5);
    if (before > UINT64_C(1) << 43)
        assert_int_equal(
            tr_board_put_if(board, "k", message, before - (UINT64_C(1) << 43), &version),
            TR_ESTALE);
    assert_ok(tr_board_put_if(board, "k", message, before, &version));
    assert_true(version == before + 1);
    assert_true(tr_board_version(board, "k") == before + 1);
    assert_ok(tr_board_get(board, "k", &message, &version));
    assert_true(version == before + 1);
    (void)tr_message_release(message);
    assert_ok(tr_board_wait(board, "k", before, TR_NOWAIT, &message, &version));
    assert_true(version == before + 1);
    (void)tr_message_release(message);
    assert_int_equal(tr_board_wait(board, "k", before + 1, TR_NOWAIT, &message, NULL),
                     TR_EAGAIN);
    assert_ok(tr_board_watch_next(watch, TR_NOWAIT, &message, &version));
    assert_true(version == before + 1);
    (void)tr_message_release(message);
    assert_ok(tr_board_get_many(board, keys, 1, many, versions));
    assert_true(versions[0] == before + 1);
    (void)tr_message_release(many[0]);
    assert_ok(tr_board_next(board, &cursor, key, &version));
    assert_true(version == before + 1);
}

static void versions_of_a_key(void **state)
{
    static const uint64_t ends[] = {UINT64_C(1) << 40, UINT64_C(1) << 43,
                                    UINT64_C(3) << 43, UINT64_C(1) << 50};
    tr_arena *arena = make_arena(16, 0);
    tr_board *board;
    (void)state;

    assert_ok(tr_board_open(arena, "b", NULL, &board));
    for (size_t e = 0; e < sizeof(ends) / sizeof(ends[0]); e++) {
        tr_board_watch *watch;

        set_version(board, ends[e] - 3);
        assert_ok(tr_board_watch_open(board, "k", ends[e] - 3, &watch));
        for (uint64_t before = ends[e] - 3; before < ends[e] + 3; before++)
            put_next(arena, board, watch, before);
        assert_int_equal(tr_board_delete(board, "k", ends[e]), TR_ESTALE);
        assert_ok(tr_board_delete(board, "k", ends[e] + 3));
        assert_true(tr_board_version(board, "k") == ends[e] + 4);
        tr_board_watch_close(watch);
    }
    tr_board_close(board);
    tr_arena_close(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns_of_a_queue),
        cmocka_unit_test(hints_of_the_stopped),
        cmocka_unit_test(laps_of_a_broadcast),
        cmocka_unit_test(a_subscriber_that_slept_for_laps),
        cmocka_unit_test(the_incarnation_of_a_dead_subscriber),
        cmocka_unit_test(versions_of_a_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
