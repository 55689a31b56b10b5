/* SPDX-License-Identifier: MIT */
/* elastic_limit_test.c - loans of an elastic arena that has no memory left for them. */
#include "elastic_scene.h"

#include <pthread.h>

struct waiter {
    tr_arena *arena;
    pthread_t thread;
    int result;
};

static void *wait_for_memory(void *context)
{
    struct waiter *waiter = context;
    tr_message *message;

    waiter->result = tr_message_loan_bytes(waiter->arena, 4 * MIB, TR_FOREVER, &message);
    if (waiter->result == 0)
        (void)tr_message_release(message);
    return NULL;
}

/* A release wakes the loans that wait for memory, in whatever class. */
static void waits_for_memory(void **state)
{
    tr_slot_class classes[] = {{MIB, 64}, {64 * MIB, 64}};
    tr_arena_options options = options_of(classes, 2);
    struct waiter waiter = {.result = -1};
    tr_class_stats stats[2] = {{0}};
    tr_message *held[6];
    size_t n;
    (void)state;

    options.memory_bytes = 8 * MIB;
    options.spin_ns = 0;
    waiter.arena = make(&options);
    for (int i = 0; i < 6; i++)
        held[i] = loan(waiter.arena, MIB);
    assert_int_equal(pthread_create(&waiter.thread, NULL, wait_for_memory, &waiter), 0);
    while (!stats[1].waiting)
        assert_ok(tr_stats_classes(waiter.arena, stats, sizeof(tr_class_stats), 2, &n));
    for (int i = 0; i < 6; i++)
        tr_message_release(held[i]);
    assert_int_equal(pthread_join(waiter.thread, NULL), 0);
    assert_int_equal(waiter.result, 0);
    tr_arena_close(waiter.arena);
}

/* A value that the board has replaced, and that nobody reads, is room. */
static void takes_what_is_retired(void **state)
{
    tr_slot_class class = {8192, 64};
    tr_arena_options options = options_of(&class, 1);
    tr_board *board;
    tr_arena *arena;
    (void)state;

    options.memory_bytes = 4 * ARENA_PAGE;
    arena = make(&options);
    assert_ok(tr_board_open(arena, "b", NULL, &board));
    for (int i = 0; i < 20; i++)
        assert_ok(tr_board_put(board, "key", loan(arena, ARENA_PAGE), NULL));
    tr_board_close(board);
    tr_arena_close(arena);
}

static tr_broadcast *publish(tr_arena *arena, uint64_t bytes, int count,
                             tr_subscription **subscription)
{
    tr_broadcast_options options = TR_BROADCAST_OPTIONS_INIT;
    tr_broadcast *broadcast;

    options.capacity = 15;
    assert_ok(tr_broadcast_open(arena, "b", &options, &broadcast));
    assert_ok(tr_subscription_open(broadcast, NULL, subscription));
    for (int i = 0; i < count; i++)
        assert_ok(tr_broadcast_publish(broadcast, loan(arena, bytes), TR_NOWAIT));
    return broadcast;
}

/* A larger slot comes before the loss of a message. */
static void loses_nothing_for_a_small_slot(void **state)
{
    tr_slot_class classes[] = {{ARENA_PAGE, 4}, {MIB, 8}};
    tr_arena_options options = options_of(classes, 2);
    tr_arena *arena = make(&options);
    tr_subscription *subscription;
    tr_broadcast *broadcast = publish(arena, 100, 12, &subscription);
    tr_message *message;
    (void)state;

    for (int i = 0; i < 12; i++) {
        assert_ok(tr_subscription_receive(subscription, TR_NOWAIT, &message));
        tr_message_release(message);
    }
    assert_int_equal(tr_subscription_missed(subscription), 0);
    tr_subscription_close(subscription);
    tr_broadcast_close(broadcast);
    tr_arena_close(arena);
}

/* A slow subscriber blocks no loan, also of a message larger than those it lags behind. Only as
 * many are dropped as needed. */
static void takes_what_a_broadcast_gives_up(void **state)
{
    tr_slot_class class = {8 * MIB, 32};
    tr_arena_options options = options_of(&class, 1);
    tr_subscription *subscription;
    tr_broadcast *broadcast;
    tr_arena *arena;
    (void)state;

    options.memory_bytes = 8 * MIB;
    arena = make(&options);
    broadcast = publish(arena, MIB, 8, &subscription);
    tr_message_release(loan(arena, 4 * MIB));
    assert_int_equal(stats_of(arena).slots_free, 32 - 4);
    tr_subscription_close(subscription);
    tr_broadcast_close(broadcast);
    tr_arena_close(arena);
}

/* Where a class has no free slot, a larger one does: that costs no memory. */
static void takes_a_larger_slot(void **state)
{
    tr_slot_class classes[] = {{ARENA_PAGE, 1}, {MIB, 1}};
    tr_arena_options options = options_of(classes, 2);
    tr_arena *arena = make(&options);
    tr_message *first = loan(arena, 100), *second = loan(arena, 100), *third = NULL;
    (void)state;

    assert_int_equal(resident(arena), 2 * ARENA_PAGE);
    assert_int_equal(tr_message_loan_bytes(arena, 100, TR_NOWAIT, &third), TR_EAGAIN);
    assert_detail("all slots of 4096 bytes and more are in use; release or copy what is "
                  "held, or create the arena with more; 0 queued");
    tr_message_release(second);
    tr_message_release(loan(arena, 100));
    tr_message_release(first);
    tr_arena_close(arena);
}

/* A queue in an arena whose slots may have four pages. */
static tr_queue *scarce_queue(void)
{
    tr_slot_class class = {MIB, 8};
    tr_arena_options options = options_of(&class, 1);
    tr_queue *queue;

    options.memory_bytes = 4 * ARENA_PAGE;
    assert_ok(tr_queue_open(make(&options), "q", NULL, &queue));
    return queue;
}

/* A request for whose reply there is no memory stays as it was. */
static void keeps_what_can_not_grow(void **state)
{
    int64_t large = 4 * ARENA_PAGE;
    tr_tensor_spec spec = {.dtype = {TR_DTYPE_UINT, 8, 1}, .ndim = 1, .shape = &large};
    tr_queue *queue = scarce_queue();
    tr_arena *arena = tr_queue_arena(queue);
    tr_message *request, *held;
    uint64_t ticket;
    (void)state;

    assert_ok(
        tr_request_send(queue, loan(arena, 100), TR_FOREVER, TR_FOREVER, 0, &ticket));
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &request));
    held = loan(arena, ARENA_PAGE);
    assert_int_equal(tr_request_reuse(request, &spec, 1), TR_ENOSPC);
    assert_int_equal(tr_message_tensor(request, 0)->nbytes, 100);
    assert_int_equal(((uint8_t *)tr_message_tensor(request, 0)->data)[99], 7);
    tr_message_release(held);
    assert_ok(tr_request_reuse(request, &spec, 1));
    assert_int_equal(resident(arena), 4 * ARENA_PAGE);
    tr_message_release(request);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

/* All memory is in use by others than a request of no bytes. */
static tr_message *serve_without_memory(tr_queue *queue, uint64_t *ticket,
                                        tr_message **held)
{
    tr_arena *arena = tr_queue_arena(queue);
    tr_message *message;

    assert_ok(tr_message_loan_bytes(arena, 0, TR_NOWAIT, &message));
    assert_ok(tr_request_send(queue, message, TR_FOREVER, TR_FOREVER, 0, ticket));
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
    *held = loan(arena, 4 * ARENA_PAGE);
    return message;
}

/* An error without room for its text goes without it: else the requester would wait on. */
static void answers_without_memory(void **state)
{
    tr_queue *queue = scarce_queue();
    tr_arena *arena = tr_queue_arena(queue);
    tr_message *request, *held, *reply = NULL;
    uint64_t ticket;
    (void)state;

    request = serve_without_memory(queue, &ticket, &held);
    assert_ok(tr_request_fail(request, 7, "why"));
    assert_int_equal(tr_request_wait(arena, ticket, TR_NOWAIT, &reply), TR_EREMOTE);
    assert_int_equal(tr_error_remote_code(), 7);
    tr_message_release(held);
    request = serve_without_memory(queue, &ticket, &held);
    assert_ok(tr_message_release(request));
    assert_int_equal(tr_request_wait(arena, ticket, TR_NOWAIT, &reply), TR_EREMOTE);
    assert_int_equal(tr_error_remote_code(), TR_ECANCELED);
    tr_message_release(held);
    assert_int_equal(stats_of(arena).slots_free, 8);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

/* A word that somebody has scribbled over says that a slot has more than there is: what lies behind
 * the slot stays. */
static void takes_away_no_more_than_a_slot(void **state)
{
    tr_arena *arena = make_elastic(4 * ARENA_PAGE, 4, 0);
    const struct view *view = &arena_known(arena)->view;
    tr_message *first = loan(arena, ARENA_PAGE), *next = loan(arena, 2 * ARENA_PAGE);
    uint32_t slot = ((struct message *)handle_address(first))->slot;
    uint64_t bytes;
    (void)state;

    assert_true(view_payload_off(view, slot) <
                view_payload_off(view, ((struct message *)handle_address(next))->slot));
    tr_message_release(first);
    shm_put(&view_record(view, slot)->memory,
            MEMORY_OF(MEMORY_MOST_PAGES) | MEMORY_RESIDENT);
    assert_ok(tr_arena_trim(arena, &bytes));
    assert_int_equal(((uint8_t *)tr_message_tensor(next, 0)->data)[0], 7);
    assert_int_equal(bytes, view->geo.classes[0].stride);
    assert_int_equal(resident(arena), 2 * ARENA_PAGE);
    tr_message_release(next);
    tr_arena_close(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_for_memory),
        cmocka_unit_test(takes_what_is_retired),
        cmocka_unit_test(loses_nothing_for_a_small_slot),
        cmocka_unit_test(takes_what_a_broadcast_gives_up),
        cmocka_unit_test(takes_a_larger_slot),
        cmocka_unit_test(keeps_what_can_not_grow),
        cmocka_unit_test(answers_without_memory),
        cmocka_unit_test(takes_away_no_more_than_a_slot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
