/* SPDX-License-Identifier: MIT */
/* request_death_test.c - what becomes of requests when a server, a client or a parent ends. */
#include "request_scene.h"

/* Children serve; the first ones die with a request in hand. */
static void serve(tr_arena *arena, tr_queue *queue, int64_t deaths)
{
    tr_message *request;

    while (tr_queue_receive(queue, LONG, &request) == 0) {
        tr_header header = TR_HEADER_INIT;

        if (tr_message_header_get(request, &header))
            _exit(1);
        if (first_i64(request) < 0 && header.deliveries < deaths)
            kill(getpid(), SIGKILL);
        *(int64_t *)tr_message_tensor(request, 0)->data += 1000;
        if (tr_request_reply(request, NULL))
            _exit(2);
    }
    tr_arena_close(arena);
    _exit(0);
}

static pid_t start_server(tr_arena *arena, tr_queue *queue, int64_t deaths)
{
    pid_t child = fork();

    if (child == 0)
        serve(arena, queue, deaths);
    return child;
}

static void a_dead_servers_request_is_redelivered(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_queue(arena, TR_QUEUE_REDELIVER);
    pid_t one = start_server(arena, queue, 1), two = start_server(arena, queue, 1);
    tr_message *reply;
    int killed = 0;
    (void)state;

    assert_ok(tr_request_call(queue, loan_i64(arena, 1, 5), LONG, &reply));
    assert_int_equal(first_i64(reply), 1005);
    tr_message_release(reply);
    assert_ok(tr_request_call(queue, loan_i64(arena, 1, -5), LONG, &reply));
    assert_int_equal(first_i64(reply), 995);
    tr_message_release(reply);
    tr_queue_shutdown(queue);
    killed += WIFSIGNALED(status_of(one));
    killed += WIFSIGNALED(status_of(two));
    assert_int_equal(killed, 1);
    end(arena, queue, 8);
}

/* No call closes an inbox: somebody has written into memory that is not its own. */
static void a_closed_inbox_is_an_error_that_has_a_code(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_queue(arena, TR_QUEUE_DROP);
    tr_message *reply;
    uint64_t ticket, ended;
    (void)state;

    assert_ok(tr_request_send(queue, loan_i64(arena, 1, 1), LONG, LONG, 0, &ticket));
    tr_queue_shutdown(handle_of(atomic_load(&arena_known(arena)->inbox)->queue));
    assert_int_equal(tr_request_wait(arena, ticket, TR_NOWAIT, &reply), TR_ECORRUPT);
    assert_int_equal(tr_request_wait(arena, ticket, SHORT, &reply), TR_ECORRUPT);
    assert_int_equal(tr_request_next(arena, TR_NOWAIT, &ended, &reply), TR_ECORRUPT);
    assert_int_equal(tr_request_next(arena, SHORT, &ended, &reply), TR_ECORRUPT);
    assert_int_equal(ended, 0);
    assert_int_equal(tr_request_call(queue, loan_i64(arena, 1, 1), SHORT, &reply),
                     TR_ECORRUPT);
    assert_ok(tr_request_cancel(arena, ticket));
    end(arena, queue, 8);
}

static void requesters_are_told_of_a_death(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_queue(arena, TR_QUEUE_DROP);
    pid_t child = start_server(arena, queue, 100);
    tr_message *reply;
    (void)state;

    assert_int_equal(tr_request_call(queue, loan_i64(arena, 1, -5), TR_FOREVER, &reply),
                     TR_EPEERDIED);
    assert_detail("1 server died with it");
    assert_true(WIFSIGNALED(status_of(child)));
    assert_int_equal(stats_of(arena).dropped, 1);
    end(arena, queue, 8);
}

/* A server that has begun to write into the request dies: no other server gets that. */
static void requests_that_were_written_to_are_not_redelivered(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_queue(arena, TR_QUEUE_REDELIVER);
    tr_message *request, *reply;
    uint64_t ticket = ask(queue, 1);
    int64_t shape = 2;
    tr_tensor_spec spec = {.dtype = {TR_DTYPE_INT, 64, 1}, .ndim = 1, .shape = &shape};
    pid_t child = fork();
    (void)state;

    if (child == 0) {
        if (tr_queue_receive(queue, LONG, &request) ||
            tr_request_reuse(request, &spec, 1))
            _exit(1);
        kill(getpid(), SIGKILL);
    }
    assert_true(WIFSIGNALED(status_of(child)));
    assert_ok(tr_arena_reap(arena, NULL));
    assert_int_equal(tr_queue_receive(queue, TR_NOWAIT, &request), TR_EAGAIN);
    assert_int_equal(tr_request_wait(arena, ticket, TR_NOWAIT, &reply), TR_EPEERDIED);
    end(arena, queue, 8);
}

static void replies_to_the_dead_are_thrown_away(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_queue(arena, TR_QUEUE_DROP);
    tr_message *held[3];
    (void)state;

    for (int round = 0; round < 3; round++) {
        pid_t child = fork();
        uint64_t ticket;

        if (child == 0) {
            for (int i = 0; i < 4; i++)
                ask(queue, i);
            kill(getpid(), SIGKILL);
        }
        assert_true(WIFSIGNALED(status_of(child)));
        for (int i = 0; i < 3; i++)
            held[i] = take(queue, i);
        assert_ok(tr_request_reply(held[0], NULL)); /* it lies in the inbox of the dead */
        assert_ok(tr_arena_reap(arena, NULL));
        assert_ok(tr_request_reply(held[1], loan_i64(arena, 1, 1)));
        assert_ok(tr_request_fail(held[2], 1, "too late"));
        assert_ok(tr_request_reply(take(queue, 3), NULL));
        ticket = ask(queue, 7);
        assert_ok(tr_request_reply(take(queue, 7), NULL));
        assert_int_equal(answer_to(arena, ticket), 7);
    }
    end(arena, queue, 8);
}

static void a_childs_tickets_are_its_own(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_queue(arena, TR_QUEUE_REDELIVER);
    uint64_t ticket = ask(queue, 1);
    tr_message *reply;
    pid_t child;
    (void)state;

    child = fork();
    if (child == 0) {
        uint64_t mine;

        if (tr_request_wait(arena, ticket, TR_NOWAIT, &reply) != TR_EINVAL)
            _exit(1);
        if (tr_request_send(queue, loan_i64(arena, 1, 2), LONG, LONG, 0, &mine) ||
            tr_request_wait(arena, mine, LONG, &reply) || first_i64(reply) != 2)
            _exit(2);
        tr_message_release(reply);
        tr_arena_close(arena);
        _exit(0);
    }
    assert_ok(tr_request_reply(take(queue, 1), NULL));
    assert_ok(tr_queue_receive(queue, LONG, &reply));
    assert_ok(tr_request_reply(reply, NULL));
    assert_int_equal(status_of(child), 0);
    assert_int_equal(answer_to(arena, ticket), 1);
    end(arena, queue, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dead_servers_request_is_redelivered),
        cmocka_unit_test(a_closed_inbox_is_an_error_that_has_a_code),
        cmocka_unit_test(requesters_are_told_of_a_death),
        cmocka_unit_test(requests_that_were_written_to_are_not_redelivered),
        cmocka_unit_test(replies_to_the_dead_are_thrown_away),
        cmocka_unit_test(a_childs_tickets_are_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
