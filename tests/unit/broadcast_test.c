/* SPDX-License-Identifier: MIT */
#include "tests/unit/broadcast_scene.h"

#include <signal.h>

#include "src/arena/arena.h"

#define LONG (INT64_C(30) * 1000 * 1000 * 1000) /* ns: it hangs */

static void publish(tr_broadcast *broadcast, int64_t value)
{
    tr_message *message = loan_i64(tr_broadcast_arena(broadcast), 4, value);

    assert_ok(tr_broadcast_publish(broadcast, message, TR_NOWAIT));
}

static int64_t receive(tr_subscription *subscription)
{
    tr_message *message;
    int64_t value;

    assert_ok(tr_subscription_receive(subscription, TR_NOWAIT, &message));
    value = first_i64(message);
    tr_message_release(message);
    return value;
}

static void assert_nothing(tr_subscription *subscription)
{
    tr_message *message;

    assert_int_equal(tr_subscription_receive(subscription, TR_NOWAIT, &message),
                     TR_EAGAIN);
}

static void every_subscriber_gets_every_message(void **state)
{
    tr_arena *arena = make_arena(32, 0);
    tr_broadcast *broadcast = open_broadcast(arena, 7, 0);
    tr_subscription *subscriptions[5];
    (void)state;

    for (int i = 0; i < 5; i++)
        subscriptions[i] = subscribe(broadcast, (tr_lag)(i % 3), 0);
    assert_int_equal(tr_broadcast_subscribers(broadcast), 5);
    for (int64_t value = 0; value < 100; value++) {
        publish(broadcast, value);
        for (int i = 0; i < 5; i++) {
            assert_int_equal(receive(subscriptions[i]), value);
            assert_nothing(subscriptions[i]);
        }
    }
    for (int i = 0; i < 5; i++) {
        assert_int_equal(tr_subscription_missed(subscriptions[i]), 0);
        tr_subscription_close(subscriptions[i]);
    }
    assert_int_equal(tr_broadcast_subscribers(broadcast), 0);
    tr_broadcast_close(broadcast);
    tr_arena_close(arena);
}

static void messages_are_read_only_and_one_copy(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_broadcast *broadcast = open_broadcast(arena, 7, 0);
    tr_subscription *one = subscribe(broadcast, TR_LAG_BLOCK, 0);
    tr_subscription *two = subscribe(broadcast, TR_LAG_BLOCK, 0);
    tr_header header = TR_HEADER_INIT;
    tr_message *a, *b;
    tr_queue *queue;
    (void)state;

    publish(broadcast, 7);
    publish(broadcast, 8);
    assert_ok(tr_subscription_receive(one, TR_NOWAIT, &a));
    assert_ok(tr_subscription_receive(two, TR_NOWAIT, &b));
    assert_ptr_not_equal(a, b);
    assert_ptr_equal(tr_message_tensor(a, 0)->data, tr_message_tensor(b, 0)->data);
    assert_true(tr_message_tensor(a, 0)->flags & TR_TENSOR_READ_ONLY);
    assert_int_equal(tr_tensor_fill(tr_message_tensor(a, 0), &header, NULL), TR_EINVAL);
    assert_int_equal(tr_message_header_set(a, &header), TR_EINVAL);
    tr_message_release(a);
    assert_int_equal(first_i64(b), 7);
    assert_ok(tr_message_header_get(b, &header));
    assert_int_equal(header.sequence, 0);
    assert_int_equal(header.sender, 0);

    /* it can't be sent, nor published once more */
    assert_ok(tr_queue_open(arena, "q", NULL, &queue));
    assert_int_equal(tr_queue_send(queue, b, TR_NOWAIT), TR_EINVAL);
    assert_detail("copy");
    assert_int_equal(tr_broadcast_publish(broadcast, b, TR_NOWAIT), TR_EINVAL);
    tr_message_release(b);
    tr_queue_close(queue);
    tr_subscription_close(one);
    tr_subscription_close(two);
    tr_broadcast_close(broadcast);
    tr_arena_close(arena);
}

static void writing_to_a_shared_message_faults(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_broadcast *broadcast = open_broadcast(arena, 7, 1);
    tr_subscription *late;
    tr_message *message;
    int status;
    pid_t child;
    (void)state;

    publish(broadcast, 7);
    child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        late = subscribe(broadcast, TR_LAG_BLOCK, 1);
        if (tr_subscription_receive(late, TR_NOWAIT, &message))
            _exit(1);
        *(int64_t *)tr_message_tensor(message, 0)->data = 8;
        _exit(2);
    }
    status = status_of(child);
    if (!WIFSIGNALED(status)) /* a sanitizer reports it and exits */
        assert_true(WEXITSTATUS(status) > 2);
    else
        assert_int_equal(WTERMSIG(status), SIGSEGV);
    late = subscribe(broadcast, TR_LAG_BLOCK, 1);
    assert_int_equal(receive(late), 7);
    tr_subscription_close(late);
    tr_broadcast_close(broadcast);
    tr_arena_close(arena);
}

static void late_subscribers_get_the_last_ones(void **state)
{
    tr_arena *arena = make_arena(32, 0);
    tr_broadcast *broadcast = open_broadcast(arena, 7, 3);
    (void)state;

    for (int64_t value = 0; value < 50; value++) {
        publish(broadcast, value);
        for (uint32_t last = 0; last < 9; last++) {
            tr_subscription *late = subscribe(broadcast, (tr_lag)(last % 3), last);
            int64_t first = value + 1 - (last < 3 ? last : 3);

            for (int64_t i = first < 0 ? 0 : first; i <= value; i++)
                assert_int_equal(receive(late), i);
            assert_nothing(late);
            assert_int_equal(tr_subscription_missed(late), 0);
            tr_subscription_close(late);
        }
    }
    tr_broadcast_close(broadcast);
    tr_arena_close(arena);
}

static void a_slow_one_is_told_what_it_missed(void **state)
{
    tr_arena *arena = make_arena(64, 0);
    tr_broadcast *broadcast = open_broadcast(arena, 7, 0);
    tr_subscription *slow = subscribe(broadcast, TR_LAG_DROP_OLDEST, 0);
    tr_message *message;
    uint64_t missed = 0;
    (void)state;

    for (int64_t round = 1; round < 40; round++) {
        int64_t got = 0;

        for (int64_t value = 0; value < round; value++)
            publish(broadcast, value);
        if (round > 8) {
            assert_int_equal(tr_subscription_receive(slow, TR_NOWAIT, &message),
                             TR_ELAGGED);
            missed += (uint64_t)round - 8;
            got = round - 8;
        }
        assert_int_equal(tr_subscription_missed(slow), missed);
        for (; got < round; got++)
            assert_int_equal(receive(slow), got);
        assert_nothing(slow);
    }
    assert_int_equal(stats_of(arena).lagged, missed);
    tr_subscription_close(slow);
    tr_broadcast_close(broadcast);
    tr_arena_close(arena);
}

static void a_slow_one_is_evicted_if_it_wants(void **state)
{
    tr_arena *arena = make_arena(64, 0);
    tr_broadcast *broadcast = open_broadcast(arena, 7, 0);
    tr_subscription *slow = subscribe(broadcast, TR_LAG_EVICT, 0);
    tr_message *message;
    (void)state;

    for (int64_t value = 0; value < 8; value++)
        publish(broadcast, value);
    assert_int_equal(receive(slow), 0);
    for (int64_t value = 8; value < 10; value++)
        publish(broadcast, value);
    for (int i = 0; i < 2; i++)
        assert_int_equal(tr_subscription_receive(slow, TR_NOWAIT, &message), TR_EEVICTED);
    assert_int_equal(tr_broadcast_subscribers(broadcast), 0);
    assert_int_equal(stats_of(arena).evicted, 1);
    tr_subscription_close(slow);
    tr_broadcast_close(broadcast);
    tr_arena_close(arena);
}

static void publishers_wait_for_one_that_blocks(void **state)
{
    tr_arena *arena = make_arena(64, 0);
    tr_broadcast *broadcast = open_broadcast(arena, 7, 0);
    tr_subscription *slow = subscribe(broadcast, TR_LAG_BLOCK, 0);
    tr_message *message;
    (void)state;

    for (int64_t value = 0; value < 8; value++)
        publish(broadcast, value);
    message = loan_i64(arena, 4, 8);
    assert_int_equal(tr_broadcast_publish(broadcast, message, TR_NOWAIT), TR_EAGAIN);
    assert_detail("8 messages behind");
    assert_int_equal(first_i64(message), 8); /* still ours */
    assert_int_equal(receive(slow), 0);
    assert_ok(tr_broadcast_publish(broadcast, message, TR_NOWAIT));
    message = loan_i64(arena, 4, 9);
    assert_int_equal(tr_broadcast_publish(broadcast, message, TR_NOWAIT), TR_EAGAIN);
    tr_subscription_close(slow);
    assert_ok(tr_broadcast_publish(broadcast, message, TR_NOWAIT));
    tr_broadcast_close(broadcast);
    tr_arena_close(arena);
}

static void held_messages_stall_nobody(void **state)
{
    tr_arena *arena = make_arena(10, 0);
    tr_broadcast *broadcast = open_broadcast(arena, 3, 0);
    tr_subscription *holder = subscribe(broadcast, TR_LAG_DROP_OLDEST, 0);
    tr_message *held[5], *loans[5], *none;
    (void)state;

    for (int64_t value = 0; value < 5; value++) {
        publish(broadcast, value);
        assert_ok(tr_subscription_receive(holder, TR_NOWAIT, &held[value]));
    }
    for (int64_t value = 5; value < 500; value++)
        publish(broadcast, value);
    for (int i = 0; i < 5; i++)
        loans[i] = loan_i64(arena, 1, i);
    assert_int_equal(tr_message_loan_bytes(arena, 8, TR_NOWAIT, &none), TR_EAGAIN);
    assert_detail("holds 5 and reads 5");
    for (int i = 0; i < 5; i++)
        tr_message_release(loans[i]);
    for (int64_t value = 0; value < 5; value++) {
        assert_int_equal(first_i64(held[value]), value);
        tr_message_release(held[value]);
    }
    tr_subscription_close(holder);
    tr_broadcast_close(broadcast);
    tr_arena_close(arena);
}

/* Slots that broadcasts keep are free for others: what all have had goes first. */
static void memory_comes_back_when_it_is_needed(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_broadcast *broadcast = open_broadcast(arena, 15, 8);
    tr_subscription *slow = subscribe(broadcast, TR_LAG_DROP_OLDEST, 0);
    tr_message *messages[8], *none;
    int64_t count = 1;
    tr_tensor_spec spec = {.dtype = {TR_DTYPE_INT, 64, 1}, .ndim = 1, .shape = &count};
    (void)state;

    for (int64_t value = 0; value < 20; value++)
        publish(broadcast, value);
    assert_int_equal(tr_subscription_receive(slow, TR_NOWAIT, &none), TR_ELAGGED);
    assert_int_equal(receive(slow), 12);
    for (int i = 0; i < 8; i++)
        messages[i] = loan_i64(arena, 1, i);
    assert_int_equal(tr_message_loan(arena, &spec, 1, TR_NOWAIT, &none), TR_EAGAIN);
    for (int i = 0; i < 8; i++)
        tr_message_release(messages[i]);
    assert_int_equal(tr_subscription_receive(slow, TR_NOWAIT, &none), TR_ELAGGED);
    assert_nothing(slow);
    tr_subscription_close(slow);

    /* but not what one that blocks still wants */
    slow = subscribe(broadcast, TR_LAG_BLOCK, 0);
    for (int64_t value = 0; value < 8; value++)
        publish(broadcast, value);
    assert_int_equal(tr_message_loan(arena, &spec, 1, TR_NOWAIT, &none), TR_EAGAIN);
    assert_int_equal(receive(slow), 0);
    assert_ok(tr_message_loan(arena, &spec, 1, TR_NOWAIT, &none));
    tr_message_release(none);
    tr_subscription_close(slow);
    tr_broadcast_close(broadcast);
    tr_arena_close(arena);
}

static void pins_are_bounded(void **state)
{
    tr_slot_class class = {256, 16};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_arena *arena;
    tr_broadcast *broadcast;
    tr_subscription *subscription;
    tr_message *held[3], *none;
    (void)state;

    options.classes = &class;
    options.class_count = 1;
    options.pins = 3;
    assert_ok(tr_arena_create(NULL, &options, &arena));
    broadcast = open_broadcast(arena, 7, 0);
    subscription = subscribe(broadcast, TR_LAG_BLOCK, 0);
    for (int64_t value = 0; value < 4; value++)
        publish(broadcast, value);
    for (int i = 0; i < 3; i++)
        assert_ok(tr_subscription_receive(subscription, TR_NOWAIT, &held[i]));
    assert_int_equal(tr_subscription_receive(subscription, TR_NOWAIT, &none), TR_EPINS);
    assert_detail("3 shared messages");
    tr_message_release(held[1]);
    assert_int_equal(receive(subscription), 3); /* nothing was lost */
    tr_message_release(held[0]);
    tr_message_release(held[2]);
    tr_subscription_close(subscription);
    tr_broadcast_close(broadcast);
    tr_arena_close(arena);
}

static void the_dead_hold_nobody_up(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_broadcast *broadcast = open_broadcast(arena, 3, 0);
    tr_message *messages[8];
    (void)state;

    for (int round = 0; round < 3; round++) {
        int ready[2];
        char byte;
        pid_t child;

        assert_int_equal(pipe(ready), 0);
        child = fork();
        if (child == 0) {
            tr_message *held;
            tr_subscription *blocking = subscribe(broadcast, TR_LAG_BLOCK, 0);

            if (write(ready[1], "r", 1) != 1 ||
                tr_subscription_receive(blocking, LONG, &held))
                _exit(1);
            kill(getpid(), SIGKILL);
        }
        assert_int_equal(read(ready[0], &byte, 1), 1);
        for (int64_t value = 0; value < 4; value++)
            publish(broadcast, value);
        assert_true(WIFSIGNALED(status_of(child)));
        for (int64_t value = 4; value < 6; value++) /* it wants 1, and is dead */
            assert_ok(tr_broadcast_publish(broadcast, loan_i64(arena, 1, value), LONG));
        assert_int_equal(tr_broadcast_subscribers(broadcast), 0);
        close(ready[0]);
        close(ready[1]);
    }
    assert_ok(tr_arena_reap(arena, NULL));
    for (int i = 0; i < 8; i++)
        messages[i] = loan_i64(arena, 1, i);
    for (int i = 0; i < 8; i++)
        tr_message_release(messages[i]);
    assert_int_equal(stats_of(arena).slots_free, 8);
    tr_broadcast_close(broadcast);
    tr_arena_close(arena);
}

static void children_subscribe_themselves(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_broadcast *broadcast = open_broadcast(arena, 3, 2);
    tr_subscription *ours = subscribe(broadcast, TR_LAG_DROP_OLDEST, 0);
    tr_message *held, *other;
    pid_t child;
    (void)state;

    publish(broadcast, 1);
    publish(broadcast, 2);
    assert_ok(tr_subscription_receive(ours, TR_NOWAIT, &held));
    child = fork();
    if (child == 0) {
        tr_subscription *theirs;

        if (tr_subscription_receive(ours, TR_NOWAIT, &other) != TR_EFORK)
            _exit(1);
        theirs = subscribe(broadcast, TR_LAG_BLOCK, 1);
        if (tr_subscription_receive(theirs, TR_NOWAIT, &other) || other == held)
            _exit(2);
        tr_message_release(held); /* the parent's: nothing happens */
        if (first_i64(other) != 2)
            _exit(3);
        tr_message_release(other);
        tr_subscription_close(ours);
        tr_subscription_close(theirs);
        tr_arena_close(arena);
        _exit(0);
    }
    assert_int_equal(status_of(child), 0);
    assert_int_equal(first_i64(held), 1);
    assert_int_equal(receive(ours), 2);
    tr_message_release(held);
    tr_subscription_close(ours);
    tr_broadcast_close(broadcast);
    tr_arena_close(arena);
}

static void forwards_what_a_queue_gave(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_broadcast *broadcast = open_broadcast(arena, 3, 0);
    tr_subscription *subscription = subscribe(broadcast, TR_LAG_BLOCK, 0);
    tr_queue *queue;
    tr_message *message;
    const void *data;
    (void)state;

    assert_ok(tr_queue_open(arena, "q", NULL, &queue));
    assert_ok(tr_queue_send(queue, loan_i64(arena, 4, 5), TR_NOWAIT));
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
    data = tr_message_tensor(message, 0)->data;
    assert_ok(tr_broadcast_publish(broadcast, message, TR_NOWAIT));
    assert_ok(tr_subscription_receive(subscription, TR_NOWAIT, &message));
    assert_int_equal((const uint8_t *)data - arena_known(arena)->view.base,
                     (const uint8_t *)tr_message_tensor(message, 0)->data -
                         arena_known(arena)->view.readonly);
    assert_int_equal(first_i64(message), 5);
    tr_message_release(message);
    tr_subscription_close(subscription);
    tr_queue_close(queue);
    tr_broadcast_close(broadcast);
    tr_arena_close(arena);
}

static void closing_drains(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_broadcast *broadcast = open_broadcast(arena, 3, 0);
    tr_subscription *subscription = subscribe(broadcast, TR_LAG_BLOCK, 0);
    tr_message *message = loan_i64(arena, 1, 2);
    (void)state;

    publish(broadcast, 1);
    tr_broadcast_shutdown(broadcast);
    assert_int_equal(tr_broadcast_publish(broadcast, message, LONG), TR_ECLOSED);
    tr_message_release(message);
    assert_int_equal(receive(subscription), 1);
    assert_int_equal(tr_subscription_receive(subscription, LONG, &message), TR_ECLOSED);
    tr_subscription_close(subscription);
    tr_broadcast_close(broadcast);
    tr_arena_close(arena);
}

static void options_are_checked(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_broadcast *broadcast = open_broadcast(arena, 5, 0), *again;
    tr_broadcast_options options = TR_BROADCAST_OPTIONS_INIT;
    tr_subscription_options wanted = TR_SUBSCRIPTION_OPTIONS_INIT;
    tr_subscription *subscriptions[2];
    (void)state;

    assert_int_equal(tr_broadcast_capacity(broadcast), 7);
    options.capacity = 8;
    assert_int_equal(tr_broadcast_open(arena, "news", &options, &again), TR_EINVAL);
    options.capacity = TR_MAX_CAPACITY;
    assert_int_equal(tr_broadcast_open(arena, "other", &options, &again), TR_EINVAL);
    options.capacity = 0;
    options.max_subscribers = 257;
    assert_int_equal(tr_broadcast_open(arena, "other", &options, &again), TR_EINVAL);
    options.max_subscribers = 1;
    assert_ok(tr_broadcast_open(arena, "other", &options, &again));
    assert_string_equal(tr_broadcast_name(again), "other");
    assert_ok(tr_subscription_open(again, NULL, &subscriptions[0]));
    assert_int_equal(tr_subscription_open(again, NULL, &subscriptions[1]), TR_ENOSPC);
    tr_subscription_close(subscriptions[0]);
    wanted.lag = UINT32_MAX;
    assert_int_equal(tr_subscription_open(again, &wanted, &subscriptions[1]), TR_EINVAL);
    tr_broadcast_close(again);
    tr_broadcast_close(broadcast);
    tr_broadcast_close(NULL);
    tr_subscription_close(NULL);
    tr_arena_close(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_subscriber_gets_every_message),
        cmocka_unit_test(messages_are_read_only_and_one_copy),
        cmocka_unit_test(writing_to_a_shared_message_faults),
        cmocka_unit_test(late_subscribers_get_the_last_ones),
        cmocka_unit_test(a_slow_one_is_told_what_it_missed),
        cmocka_unit_test(a_slow_one_is_evicted_if_it_wants),
        cmocka_unit_test(publishers_wait_for_one_that_blocks),
        cmocka_unit_test(held_messages_stall_nobody),
        cmocka_unit_test(memory_comes_back_when_it_is_needed),
        cmocka_unit_test(pins_are_bounded),
        cmocka_unit_test(the_dead_hold_nobody_up),
        cmocka_unit_test(children_subscribe_themselves),
        cmocka_unit_test(forwards_what_a_queue_gave),
        cmocka_unit_test(closing_drains),
        cmocka_unit_test(options_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
