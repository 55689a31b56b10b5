/* SPDX-License-Identifier: MIT */
/* closing_test.c - a shutdown, and receivers that drain, before each step of a send: what was
 * sent is received, and after "closed and empty" nothing is sent. */
#include "interrupted.h"
#include "support.h"

static tr_queue *queue;
static tr_subscription *subscription;
static tr_broadcast *broadcast;
static uint32_t received;

static void drain_queue(void)
{
    tr_message *message;
    int code;

    tr_queue_shutdown(queue);
    while ((code = tr_queue_receive(queue, TR_NOWAIT, &message)) == 0) {
        received++;
        tr_message_release(message);
    }
    assert_int_equal(code, TR_ECLOSED);
}

static void drain_broadcast(void)
{
    tr_message *message;
    int code;

    tr_broadcast_shutdown(broadcast);
    while ((code = tr_subscription_receive(subscription, TR_NOWAIT, &message)) == 0) {
        received++;
        tr_message_release(message);
    }
    assert_int_equal(code, TR_ECLOSED);
}

static tr_arena *begin_queue(uint32_t capacity)
{
    tr_arena *arena = make_arena(4, 0);
    tr_queue_options options = TR_QUEUE_OPTIONS_INIT;

    options.capacity = capacity;
    assert_ok(tr_queue_open(arena, "q", &options, &queue));
    received = 0;
    return arena;
}

/* What was not sent still is the caller's; nothing is left behind. */
static void end_queue(tr_arena *arena, tr_message *message, int code)
{
    if (code != 0) {
        assert_int_equal(code, TR_ECLOSED);
        tr_message_release(message);
    }
    assert_int_equal(received, code == 0);
    if (received)
        assert_int_equal(tr_queue_depth(queue), 0);
    assert_int_equal(stats_of(arena).slots_free, 4);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

static bool close_at(uint32_t step, uint32_t capacity)
{
    tr_arena *arena = begin_queue(capacity);
    tr_message *message = loan_i64(arena, 1, 1);
    int code = 0;
    bool more = INTERRUPTED(step, drain_queue,
                            code = tr_queue_send(queue, message, TR_NOWAIT));

    if (!more)
        drain_queue();
    end_queue(arena, message, code);
    return more;
}

static void closes_at_every_step_of_a_send(void **state)
{
    uint32_t step = 1;
    (void)state;

    while (close_at(step, 1))
        step++;
    assert_in_range(step, 5, 100); /* it does go through all of them */
    for (step = 1; close_at(step, 3);)
        step++;
}

/* A wait set must not say that it is over either, before it is. */
static void open_as(void)
{
    tr_waitset *set;
    tr_event event;
    size_t count;

    tr_queue_shutdown(queue);
    assert_ok(tr_waitset_open(tr_queue_arena(queue), &set));
    assert_ok(tr_waitset_add_queue(set, queue, TR_WAIT_READABLE, 7));
    assert_ok(tr_waitset_wait(set, &event, 1, TR_NOWAIT, &count));
    assert_int_equal(count, 1);
    received = event.ready & TR_WAIT_READABLE ? 1 : 0;
    assert_int_equal(event.ready, received ? TR_WAIT_READABLE : TR_WAIT_HUNGUP);
    tr_waitset_close(set);
}

static bool hang_up_at(uint32_t step)
{
    tr_arena *arena = begin_queue(2);
    tr_message *message = loan_i64(arena, 1, 1), *got;
    int code = 0;
    bool more = INTERRUPTED(step, open_as,
                            code = tr_queue_send(queue, message, TR_NOWAIT));

    if (!more)
        open_as();
    if (received) {
        assert_ok(tr_queue_receive(queue, TR_NOWAIT, &got));
        tr_message_release(got);
    }
    end_queue(arena, message, code);
    return more;
}

static void hangs_up_at_every_step_of_a_send(void **state)
{
    uint32_t step = 1;
    (void)state;

    while (hang_up_at(step))
        step++;
    assert_in_range(step, 5, 100);
}

static bool request_at(uint32_t step)
{
    tr_arena *arena = begin_queue(1);
    tr_message *message = loan_i64(arena, 1, 1);
    uint64_t ticket = 0;
    int code = 0;
    bool more;

    shm_step_hook = NULL;
    more = INTERRUPTED(
        step, drain_queue,
        code = tr_request_send(queue, message, TR_NOWAIT, TR_NOWAIT, 0, &ticket));
    if (!more)
        drain_queue();
    if (code != 0) {
        assert_int_equal(code, TR_ECLOSED);
        tr_message_release(message);
    }
    assert_int_equal(received,
                     code == 0); /* released by a server: answered, never lost */
    tr_queue_close(queue);
    tr_arena_close(arena);
    return more;
}

static void closes_at_every_step_of_a_request(void **state)
{
    uint32_t step = 1;
    (void)state;

    while (request_at(step))
        step++;
    assert_in_range(step, 5, 400);
}

static bool publish_at(uint32_t step, uint32_t capacity)
{
    tr_arena *arena = make_arena(4, 0);
    tr_broadcast_options options = TR_BROADCAST_OPTIONS_INIT;
    tr_message *message;
    int code = 0;
    bool more;

    options.capacity = capacity;
    assert_ok(tr_broadcast_open(arena, "news", &options, &broadcast));
    assert_ok(tr_subscription_open(broadcast, NULL, &subscription));
    message = loan_i64(arena, 1, 1);
    received = 0;
    more = INTERRUPTED(step, drain_broadcast,
                       code = tr_broadcast_publish(broadcast, message, TR_NOWAIT));
    if (!more)
        drain_broadcast();
    if (code != 0) {
        assert_int_equal(code, TR_ECLOSED);
        tr_message_release(message);
    }
    assert_int_equal(received, code == 0);
    tr_subscription_close(subscription);
    tr_broadcast_close(broadcast);
    tr_arena_close(arena);
    return more;
}

static void closes_at_every_step_of_a_publish(void **state)
{
    uint32_t step = 1;
    (void)state;

    while (publish_at(step, 1))
        step++;
    assert_in_range(step, 5, 200);
    for (step = 1; publish_at(step, 3);)
        step++;
}

/* What a cell held of the lap before its seal is still there for a slower subscriber. */
static void a_seal_takes_nothing_away(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_broadcast_options options = TR_BROADCAST_OPTIONS_INIT;
    tr_subscription *slow;
    tr_message *message;
    (void)state;

    options.capacity = 3; /* 4 cells */
    assert_ok(tr_broadcast_open(arena, "news", &options, &broadcast));
    assert_ok(tr_subscription_open(broadcast, NULL, &slow));
    assert_ok(tr_subscription_open(broadcast, NULL, &subscription));
    for (int64_t i = 0; i < 4; i++)
        assert_ok(tr_broadcast_publish(broadcast, loan_i64(arena, 1, i), TR_NOWAIT));
    received = 0;
    drain_broadcast();
    assert_int_equal(received, 4);
    for (int64_t i = 0; i < 4; i++) {
        assert_ok(tr_subscription_receive(slow, TR_NOWAIT, &message));
        assert_int_equal(first_i64(message), i);
        tr_message_release(message);
    }
    assert_int_equal(tr_subscription_receive(slow, TR_NOWAIT, &message), TR_ECLOSED);
    message = loan_i64(arena, 1, 9);
    assert_int_equal(tr_broadcast_publish(broadcast, message, TR_NOWAIT), TR_ECLOSED);
    tr_message_release(message);
    for (int i = 0; i < 8; i++) /* all memory can be had again */
        (void)loan_i64(arena, 1, i);
    tr_subscription_close(slow);
    tr_subscription_close(subscription);
    tr_broadcast_close(broadcast);
    tr_arena_close(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closes_at_every_step_of_a_send),
        cmocka_unit_test(hangs_up_at_every_step_of_a_send),
        cmocka_unit_test(closes_at_every_step_of_a_request),
        cmocka_unit_test(closes_at_every_step_of_a_publish),
        cmocka_unit_test(a_seal_takes_nothing_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
