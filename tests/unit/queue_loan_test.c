/* SPDX-License-Identifier: MIT */
/* Loans for a channel: a wait for a free slot ends when it is shut down. */
#include <pthread.h>
#include <sched.h>

#include "queue_scene.h"

static const int64_t count = 4;
static const tr_tensor_spec spec = {
    .dtype = {TR_DTYPE_INT, 64, 1}, .ndim = 1, .shape = &count};

struct waiter {
    tr_queue *queue;
    tr_broadcast *broadcast;
    int result;
    char detail[256];
};

static void *wait_for_slot(void *context)
{
    struct waiter *waiter = context;
    tr_message *message;

    waiter->result = waiter->queue
                         ? tr_queue_loan(waiter->queue, &spec, 1, TR_FOREVER, &message)
                         : tr_broadcast_loan(waiter->broadcast, &spec, 1, TR_FOREVER,
                                             &message);
    strncpy(waiter->detail, tr_error_detail(), sizeof(waiter->detail) - 1);
    return NULL;
}

static bool is_waiting(tr_arena *arena)
{
    tr_class_stats class[2];
    size_t n;

    assert_ok(tr_stats_classes(arena, class, sizeof(class[0]), 2, &n));
    return class[0].waiting;
}

static tr_arena *make(uint32_t flags)
{
    tr_slot_class classes[] = {{4096, 1}};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_arena *arena;

    options.classes = classes;
    options.class_count = 1;
    options.flags = flags;
    options.memory_bytes = flags & TR_ARENA_ELASTIC ? 1 << 20 : 0;
    assert_ok(tr_arena_create(NULL, &options, &arena));
    return arena;
}

static void loans_as_any_other(void **state)
{
    tr_arena *arena = make(0);
    tr_queue *queue = open_queue(arena, "q", 4);
    tr_message *message, *other;
    (void)state;

    assert_ok(tr_queue_loan(queue, &spec, 1, TR_FOREVER, &message));
    assert_int_equal(tr_message_tensor(message, 0)->nbytes, 32);
    assert_int_equal(tr_queue_loan(queue, &spec, 1, TR_NOWAIT, &other), TR_EAGAIN);
    assert_int_equal(tr_queue_loan(queue, &spec, 1, 1000, &other), TR_ETIMEDOUT);
    assert_detail("in use");
    assert_ok(tr_queue_send(queue, message, TR_NOWAIT));
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
    assert_false(tr_queue_is_closed(queue));
    tr_queue_shutdown(queue);
    assert_true(tr_queue_is_closed(queue));
    assert_int_equal(tr_queue_loan(queue, &spec, 1, TR_NOWAIT, &other), TR_ECLOSED);
    assert_int_equal(tr_queue_loan(queue, &spec, 1, TR_FOREVER, &other), TR_ECLOSED);
    assert_detail("queue \"q\" is closed");
    tr_message_release(message);
    assert_ok(tr_queue_loan(queue, &spec, 1, TR_NOWAIT, &other)); /* there is one */
    tr_message_release(other);
    assert_false(tr_queue_is_closed(NULL));
    tr_queue_close(queue);
    tr_arena_close(arena);
}

/* The shutdown wakes the one that waits, and nobody frees a slot. */
static void ends_at(tr_arena *arena, struct waiter *waiter)
{
    tr_message *held;
    pthread_t thread;

    assert_ok(tr_message_loan(arena, &spec, 1, TR_NOWAIT, &held));
    tr_arena_set_spin(arena, 0);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_slot, waiter), 0);
    while (!is_waiting(arena))
        sched_yield();
    if (waiter->queue)
        tr_queue_shutdown(waiter->queue);
    else
        tr_broadcast_shutdown(waiter->broadcast);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(waiter->result, TR_ECLOSED);
    assert_non_null(strstr(waiter->detail, "is closed"));
    tr_message_release(held);
}

static void ends_with_a_queue(void **state)
{
    static const uint32_t flags[] = {0, TR_ARENA_LAZY, TR_ARENA_ELASTIC};
    (void)state;

    for (size_t i = 0; i < 3; i++) {
        tr_arena *arena = make(flags[i]);
        struct waiter waiter = {.queue = open_queue(arena, "q", 4)};

        ends_at(arena, &waiter);
        tr_queue_close(waiter.queue);
        tr_arena_close(arena);
    }
}

static void ends_with_a_broadcast(void **state)
{
    tr_arena *arena = make(0);
    struct waiter waiter = {0};
    (void)state;

    assert_ok(tr_broadcast_open(arena, "news", NULL, &waiter.broadcast));
    assert_false(tr_broadcast_is_closed(waiter.broadcast));
    ends_at(arena, &waiter);
    assert_true(tr_broadcast_is_closed(waiter.broadcast));
    tr_broadcast_close(waiter.broadcast);
    tr_arena_close(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loans_as_any_other),
        cmocka_unit_test(ends_with_a_queue),
        cmocka_unit_test(ends_with_a_broadcast),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
