/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <pthread.h>

#define LONG (INT64_C(30) * 1000 * 1000 * 1000) /* ns: it hangs */

struct world {
    tr_arena *arena;
    tr_broadcast *broadcast;
    tr_subscription *subscription;
    tr_board *board;
    tr_board_watch *watch;
    tr_queue *queue;
    tr_waitset *set;
    tr_message *message; /* for another thread to send */
};

enum { NEWS = 1, KEY, REPLIES };

static struct world make_world(void)
{
    struct world world = {.arena = make_arena(32, 0)};

    assert_ok(tr_broadcast_open(world.arena, "news", NULL, &world.broadcast));
    assert_ok(tr_subscription_open(world.broadcast, NULL, &world.subscription));
    assert_ok(tr_board_open(world.arena, "board", NULL, &world.board));
    assert_ok(tr_board_watch_open(world.board, "key", TR_BOARD_NO_VERSION, &world.watch));
    assert_ok(tr_queue_open(world.arena, "ask", NULL, &world.queue));
    assert_ok(tr_waitset_open(world.arena, &world.set));
    assert_ok(tr_waitset_add_subscription(world.set, world.subscription, NEWS));
    assert_ok(tr_waitset_add_watch(world.set, world.watch, KEY));
    assert_ok(tr_waitset_add_replies(world.set, REPLIES));
    return world;
}

static void end_world(struct world *world)
{
    tr_waitset_close(world->set);
    tr_queue_close(world->queue);
    tr_board_watch_close(world->watch);
    tr_board_watch_close(NULL);
    tr_board_close(world->board);
    tr_subscription_close(world->subscription);
    tr_broadcast_close(world->broadcast);
    tr_arena_close(world->arena);
}

static void assert_ready(struct world *world, uint64_t token, int64_t timeout_ns)
{
    tr_event events[4];
    size_t count = 0;

    assert_ok(tr_waitset_wait(world->set, events, 4, timeout_ns, &count));
    assert_int_equal(count, 1);
    assert_int_equal(events[0].token, token);
    assert_int_equal(events[0].ready, TR_WAIT_READABLE);
}

static void assert_idle(struct world *world)
{
    tr_event events[4];
    size_t count = 0;

    assert_int_equal(tr_waitset_wait(world->set, events, 4, TR_NOWAIT, &count),
                     TR_EAGAIN);
}

static void each_kind_becomes_ready(void **state)
{
    struct world world = make_world();
    tr_message *message;
    uint64_t ticket, ended, version;
    (void)state;

    assert_idle(&world);
    assert_ok(tr_broadcast_publish(world.broadcast, loan_i64(world.arena, 1, 1), 0));
    assert_ready(&world, NEWS, TR_NOWAIT);
    assert_ok(tr_subscription_receive(world.subscription, TR_NOWAIT, &message));
    tr_message_release(message);
    assert_idle(&world);

    assert_ok(tr_board_put(world.board, "other", loan_i64(world.arena, 1, 1), NULL));
    assert_idle(&world);
    for (int64_t i = 1; i < 4; i++)
        assert_ok(tr_board_put(world.board, "key", loan_i64(world.arena, 1, i), NULL));
    assert_ready(&world, KEY, TR_NOWAIT);
    assert_ok(tr_board_watch_next(world.watch, TR_NOWAIT, &message, &version));
    assert_int_equal(version, 3);
    assert_int_equal(first_i64(message), 3);
    tr_message_release(message);
    assert_int_equal(tr_board_watch_next(world.watch, TR_NOWAIT, &message, NULL),
                     TR_EAGAIN);
    assert_idle(&world);

    assert_ok(tr_request_send(world.queue, loan_i64(world.arena, 1, 5), LONG, LONG, 0,
                              &ticket));
    assert_idle(&world);
    assert_ok(tr_queue_receive(world.queue, TR_NOWAIT, &message));
    assert_ok(tr_request_reply(message, NULL));
    assert_ready(&world, REPLIES, TR_NOWAIT);
    assert_ok(tr_request_next(world.arena, TR_NOWAIT, &ended, &message));
    assert_int_equal(ended, ticket);
    tr_message_release(message);
    assert_idle(&world);
    end_world(&world);
}

static void *publish_soon(void *context)
{
    struct world *world = context;

    return tr_broadcast_publish(world->broadcast, world->message, TR_NOWAIT) ? context
                                                                             : NULL;
}

static void *put_soon(void *context)
{
    struct world *world = context;

    return tr_board_put(world->board, "key", world->message, NULL) ? context : NULL;
}

static void sleepers_are_woken(void **state)
{
    struct world world = make_world();
    tr_message *message;
    pthread_t thread;
    void *failed;
    (void)state;

    world.message = loan_i64(world.arena, 1, 1);
    assert_int_equal(pthread_create(&thread, NULL, publish_soon, &world), 0);
    assert_ready(&world, NEWS, LONG);
    pthread_join(thread, &failed);
    assert_null(failed);
    assert_ok(tr_subscription_receive(world.subscription, TR_NOWAIT, &message));
    tr_message_release(message);
    world.message = loan_i64(world.arena, 1, 1);
    assert_int_equal(pthread_create(&thread, NULL, put_soon, &world), 0);
    assert_ready(&world, KEY, LONG);
    pthread_join(thread, &failed);
    assert_null(failed);
    end_world(&world);
}

static void closing_is_told(void **state)
{
    struct world world = make_world();
    tr_event event;
    size_t count;
    (void)state;

    tr_broadcast_shutdown(world.broadcast);
    assert_ok(tr_waitset_wait(world.set, &event, 1, LONG, &count));
    assert_int_equal(event.token, NEWS);
    assert_int_equal(event.ready, TR_WAIT_HUNGUP);
    end_world(&world);
}

static void not_of_another_arena(void **state)
{
    struct world world = make_world();
    tr_arena *other = make_arena(8, 0);
    tr_waitset *set;
    (void)state;

    assert_ok(tr_waitset_open(other, &set));
    assert_int_equal(tr_waitset_add_subscription(set, world.subscription, 1), TR_EINVAL);
    assert_int_equal(tr_waitset_add_watch(set, world.watch, 1), TR_EINVAL);
    tr_waitset_close(set);
    tr_arena_close(other);
    end_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_becomes_ready),
        cmocka_unit_test(sleepers_are_woken),
        cmocka_unit_test(closing_is_told),
        cmocka_unit_test(not_of_another_arena),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
