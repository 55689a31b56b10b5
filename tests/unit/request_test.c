/* SPDX-License-Identifier: MIT */
#include "request_scene.h"

static void replies_in_place_or_anew(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_queue(arena, TR_QUEUE_REDELIVER);
    tr_message *request, *reply;
    uint64_t ticket;
    (void)state;

    for (int64_t i = 0; i < 20; i++) {
        ticket = ask(queue, i);
        assert_int_equal(tr_request_wait(arena, ticket, TR_NOWAIT, &reply), TR_EAGAIN);
        assert_null(reply);
        request = take(queue, i);
        if (i % 2) {
            *(int64_t *)tr_message_tensor(request, 0)->data = 100 + i;
            assert_ok(tr_request_reply(request, NULL));
        } else {
            assert_ok(tr_request_reply(request, loan_i64(arena, 2, 100 + i)));
        }
        assert_int_equal(answer_to(arena, ticket), 100 + i);
        assert_int_equal(tr_request_wait(arena, ticket, TR_NOWAIT, &reply), TR_EINVAL);
    }
    end(arena, queue, 8);
}

static void replies_come_in_any_order(void **state)
{
    tr_arena *arena = make_arena(16, 0);
    tr_queue *queue = open_queue(arena, TR_QUEUE_REDELIVER);
    tr_message *requests[4], *reply;
    uint64_t tickets[4], ended;
    (void)state;

    for (int i = 0; i < 4; i++)
        tickets[i] = ask(queue, i);
    for (int i = 0; i < 4; i++)
        requests[i] = take(queue, i);
    for (int i = 3; i >= 0; i--)
        assert_ok(tr_request_reply(requests[i], loan_i64(arena, 1, 10 * i)));
    assert_int_equal(answer_to(arena, tickets[1]), 10);
    for (int i = 0; i < 3; i++) {
        assert_ok(tr_request_next(arena, TR_NOWAIT, &ended, &reply));
        for (int k = 0; k < 4; k++)
            if (ended == tickets[k])
                assert_int_equal(first_i64(reply), 10 * k);
        tr_message_release(reply);
    }
    assert_int_equal(tr_request_next(arena, TR_NOWAIT, &ended, &reply), TR_EAGAIN);
    end(arena, queue, 16);
}

static void errors_carry_code_and_text(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_queue(arena, TR_QUEUE_REDELIVER);
    tr_message *request, *reply;
    uint64_t ticket = ask(queue, 1);
    char text[600];
    (void)state;

    request = take(queue, 1);
    assert_int_equal(tr_request_fail(request, 0, "nothing"), TR_EINVAL);
    assert_ok(tr_request_fail(request, -42, "no such model"));
    assert_int_equal(tr_request_wait(arena, ticket, TR_NOWAIT, &reply), TR_EREMOTE);
    assert_int_equal(tr_error_remote_code(), -42);
    assert_string_equal(tr_error_detail(), "no such model");

    memset(text, 'x', sizeof(text)); /* cut off */
    text[599] = 0;
    ticket = ask(queue, 2);
    assert_ok(tr_request_fail(take(queue, 2), 7, text));
    assert_int_equal(tr_request_wait(arena, ticket, TR_NOWAIT, &reply), TR_EREMOTE);
    assert_int_equal(strlen(tr_error_detail()), 256); /* the slot */

    ticket = ask(queue, 3);
    tr_message_release(take(queue, 3)); /* a server that forgets */
    assert_int_equal(tr_request_wait(arena, ticket, TR_NOWAIT, &reply), TR_EREMOTE);
    assert_int_equal(tr_error_remote_code(), TR_ECANCELED);
    end(arena, queue, 8);
}

static void late_replies_are_dropped(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_queue(arena, TR_QUEUE_REDELIVER);
    tr_message *request, *reply;
    uint64_t given_up = ask(queue, 1), ticket;
    (void)state;

    request = take(queue, 1);
    assert_ok(tr_request_cancel(arena, given_up));
    assert_int_equal(tr_request_cancel(arena, given_up), TR_EINVAL);
    ticket = ask(queue, 2);
    assert_ok(tr_request_reply(request, NULL));
    assert_int_equal(tr_request_wait(arena, ticket, TR_NOWAIT, &reply), TR_EAGAIN);
    assert_int_equal(stats_of(arena).stale_replies, 1);
    assert_ok(tr_request_reply(take(queue, 2), NULL));
    assert_int_equal(answer_to(arena, ticket), 2);

    /* one that nobody has received is taken back */
    ticket = ask(queue, 3);
    assert_int_equal(stats_of(arena).slots_queued, 1);
    assert_ok(tr_request_cancel(arena, ticket));
    assert_int_equal(stats_of(arena).slots_queued, 0);
    assert_int_equal(tr_queue_receive(queue, TR_NOWAIT, &request), TR_EAGAIN);
    end(arena, queue, 8);
}

/* A request whose deadline has come, in the hand of its server. */
static tr_message *overdue(tr_queue *queue, uint64_t *ticket)
{
    tr_message *request;

    assert_ok(
        tr_request_send(queue, loan_i64(tr_queue_arena(queue), 4, 1), 1, 1, 0, ticket));
    request = take(queue, 1);
    while (tr_request_remaining_ns(request) > 0)
        ;
    return request;
}

/* An error is a reply, too, and so is letting go. */
static void late_errors_are_dropped(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_queue(arena, TR_QUEUE_REDELIVER);
    tr_message *reply;
    uint64_t ticket, ended;
    (void)state;

    assert_ok(tr_request_fail(overdue(queue, &ticket), 7, "too late"));
    assert_int_equal(tr_request_next(arena, LONG, &ended, &reply), TR_ETIMEDOUT);
    assert_true(ended == ticket);
    tr_message_release(overdue(queue, &ticket));
    assert_int_equal(tr_request_next(arena, LONG, &ended, &reply), TR_ETIMEDOUT);
    assert_true(ended == ticket);
    assert_int_equal(stats_of(arena).stale_replies, 2);
    end(arena, queue, 8);
}

static void nobody_serves(void **state)
{
    tr_arena *arena = make_arena(16, 0);
    tr_queue *queue = open_queue(arena, TR_QUEUE_REDELIVER);
    tr_message *reply;
    (void)state;

    assert_int_equal(tr_request_call(queue, loan_i64(arena, 1, 1), 1000000, &reply),
                     TR_ETIMEDOUT);
    assert_null(reply);
    assert_detail("nobody had received it");
    assert_detail("; 0 wait in queue \"ask\""); /* it was taken back */
    assert_detail("nobody has any in hand");
    for (int i = 0; i < 8; i++)
        assert_ok(tr_queue_send(queue, loan_i64(arena, 1, i), TR_NOWAIT));
    assert_int_equal(tr_request_call(queue, loan_i64(arena, 1, 1), 1000000, &reply),
                     TR_ETIMEDOUT);
    assert_detail("8 wait in queue \"ask\"");
    assert_int_equal(tr_request_call(queue, loan_i64(arena, 1, 1), TR_NOWAIT, &reply),
                     TR_EAGAIN);
    tr_queue_shutdown(queue);
    reply = loan_i64(arena, 1, 1);
    {
        tr_message *none;

        assert_int_equal(tr_request_call(queue, reply, LONG, &none), TR_ECLOSED);
    }
    tr_message_release(reply); /* still ours */
    end(arena, queue, 8);
}

static void deadlines_travel(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_queue(arena, TR_QUEUE_REDELIVER);
    tr_message *request;
    tr_header header = TR_HEADER_INIT;
    uint64_t ticket;
    (void)state;

    assert_ok(tr_request_send(queue, loan_i64(arena, 1, 1), LONG, LONG, 0, &ticket));
    request = take(queue, 1);
    assert_true(tr_request_remaining_ns(request) > LONG / 2);
    assert_true(tr_request_remaining_ns(request) <= LONG);
    assert_ok(tr_message_header_get(request, &header));
    header.correlation_id = 99;
    header.deadline_ns = 0; /* not the server's to change */
    header.user[3] = 4;
    assert_ok(tr_message_header_set(request, &header));
    assert_true(tr_request_remaining_ns(request) > 0);
    assert_ok(tr_request_reply(request, NULL));
    assert_int_equal(answer_to(arena, ticket), 1);
    assert_ok(tr_request_send(queue, loan_i64(arena, 1, 3), TR_FOREVER, TR_FOREVER, 0,
                              &ticket));
    request = take(queue, 3);
    assert_int_equal(tr_request_remaining_ns(request), TR_FOREVER);
    assert_ok(tr_request_reply(request, NULL));
    assert_int_equal(answer_to(arena, ticket), 3);
    end(arena, queue, 8);
}

static void reuses_the_slot(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_queue(arena, TR_QUEUE_REDELIVER);
    int64_t shape[] = {2, 3}, large = 1000;
    tr_tensor_spec specs[] = {
        {.dtype = {TR_DTYPE_FLOAT, 32, 1}, .ndim = 2, .shape = shape, .name = "scores"},
        {.dtype = {TR_DTYPE_FLOAT, 64, 1}, .ndim = 1, .shape = &large}};
    uint64_t ticket = ask(queue, 1);
    tr_message *request = take(queue, 1), *reply;
    (void)state;

    assert_int_equal(tr_request_reuse(request, &specs[1], 1), TR_EMSGSIZE);
    assert_ok(tr_request_reuse(request, specs, 1));
    ((float *)tr_message_tensor(request, 0)->data)[5] = 2.5f;
    assert_ok(tr_request_reply(request, request));
    assert_ok(tr_request_wait(arena, ticket, TR_NOWAIT, &reply));
    assert_non_null(tr_message_find(reply, "scores"));
    assert_true(((float *)tr_message_tensor(reply, 0)->data)[5] == 2.5f);
    tr_message_release(reply);
    end(arena, queue, 8);
}

static void only_requests_are_answered(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_queue(arena, TR_QUEUE_REDELIVER);
    tr_message *message = loan_i64(arena, 1, 1), *none;
    tr_board *board;
    uint64_t ticket;
    (void)state;

    assert_int_equal(tr_request_reply(message, NULL), TR_EINVAL);
    assert_ok(tr_queue_send(queue, message, TR_NOWAIT));
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
    assert_int_equal(tr_request_reply(message, NULL), TR_EINVAL);
    assert_int_equal(tr_request_fail(message, 1, "no"), TR_EINVAL);
    tr_message_release(message);

    /* what somebody waits for can't go where nobody answers */
    ticket = ask(queue, 2);
    message = take(queue, 2);
    assert_ok(tr_board_open(arena, "board", NULL, &board));
    assert_int_equal(tr_board_put(board, "k", message, NULL), TR_EINVAL);
    assert_int_equal(tr_request_call(queue, message, TR_NOWAIT, &none), TR_EINVAL);
    /* but a queue may have another server */
    assert_ok(tr_queue_send(queue, message, TR_NOWAIT));
    assert_ok(tr_request_reply(take(queue, 2), NULL));
    assert_int_equal(answer_to(arena, ticket), 2);
    tr_board_close(board);
    end(arena, queue, 8);
}

static void begun_by_ticket(void **state)
{
    tr_arena *arena = make_arena(16, 0);
    tr_queue *queue = open_queue(arena, TR_QUEUE_REDELIVER);
    tr_message *request, *more = loan_i64(arena, 1, 9), *reply;
    uint64_t mine, other, ticket;
    (void)state;

    assert_int_equal(tr_request_send(queue, more, TR_NOWAIT, LONG, 2, &mine), TR_EINVAL);
    assert_ok(tr_request_send(queue, loan_i64(arena, 1, 0), TR_NOWAIT, LONG,
                              TR_REQUEST_BY_TICKET, &mine));
    other = ask(queue, 1);
    for (int64_t i = 0; i < 2; i++) {
        request = take(queue, i);
        assert_true(tr_request_remaining_ns(request) > LONG / 2);
        assert_ok(tr_request_reply(request, NULL));
    }
    assert_ok(tr_request_next(arena, TR_NOWAIT, &ticket, &reply));
    assert_int_equal(ticket, other);
    tr_message_release(reply);
    assert_int_equal(tr_request_next(arena, TR_NOWAIT, &ticket, &reply), TR_EAGAIN);
    assert_int_equal(answer_to(arena, mine), 0);

    for (int64_t i = 0; i < 8; i++)
        ask(queue, i);
    assert_int_equal(tr_request_send(queue, more, TR_NOWAIT, LONG, 0, &mine), TR_EAGAIN);
    tr_message_release(more); /* it stayed ours */
    for (int64_t i = 0; i < 8; i++)
        tr_message_release(take(queue, i));
    for (int64_t i = 0; i < 8; i++)
        assert_int_equal(tr_request_next(arena, TR_NOWAIT, &ticket, &reply), TR_EREMOTE);
    end(arena, queue, 16);
}

/* Threads of one process ask, some together through one inbox; others serve. */
#define CLIENTS 4
#define SERVERS 2
#define ASKED   1500

struct party {
    tr_arena *arena;
    tr_queue *queue;
    int index;
    int failed;
};

static int64_t loan_value(tr_arena *arena, int64_t value, tr_message **message)
{
    int64_t count = 4;
    tr_tensor_spec spec = {.dtype = {TR_DTYPE_INT, 64, 1}, .ndim = 1, .shape = &count};
    int result = tr_message_loan(arena, &spec, 1, LONG, message);

    if (result == 0)
        *(int64_t *)tr_message_tensor(*message, 0)->data = value;
    return result;
}

static void *run_client(void *context)
{
    struct party *party = context;

    for (int64_t i = 0; i < ASKED && !party->failed; i++) {
        int64_t value = party->index * ASKED + i;
        tr_message *message, *reply;
        uint64_t ticket;

        if (loan_value(party->arena, value, &message))
            party->failed = 1;
        else if (i % 3 == 0) {
            if (tr_request_call(party->queue, message, LONG, &reply))
                party->failed = 2;
        } else if (tr_request_send(party->queue, message, LONG, LONG, 0, &ticket)) {
            party->failed = 3;
        } else if (i % 3 == 1) {
            if (tr_request_cancel(party->arena, ticket))
                party->failed = 4;
            continue;
        } else if (tr_request_wait(party->arena, ticket, LONG, &reply)) {
            party->failed = 5;
        }
        if (!party->failed && first_i64(reply) != -value)
            party->failed = 6;
        if (!party->failed)
            tr_message_release(reply);
    }
    return NULL;
}

static void *run_server(void *context)
{
    struct party *party = context;

    for (int64_t i = 0;; i++) {
        tr_message *request, *reply = NULL;
        int result = tr_queue_receive(party->queue, LONG, &request);

        if (result == TR_ECLOSED)
            return NULL;
        if (result == 0 && i % 2 && loan_value(party->arena, -first_i64(request), &reply))
            result = -1;
        if (result == 0 && !reply)
            *(int64_t *)tr_message_tensor(request, 0)->data *= -1;
        if (result == 0)
            result = tr_request_reply(request, reply);
        if (result) {
            party->failed = 7;
            return NULL;
        }
    }
}

static void threads_ask_and_serve(void **state)
{
    tr_arena *arena = make_arena(64, 0);
    tr_queue *queue = open_queue(arena, TR_QUEUE_REDELIVER);
    struct party parties[CLIENTS + SERVERS];
    pthread_t threads[CLIENTS + SERVERS];
    tr_message *none;
    uint64_t ticket;
    (void)state;

    for (int i = 0; i < CLIENTS + SERVERS; i++) {
        parties[i] = (struct party){.arena = arena, .queue = queue, .index = i};
        assert_int_equal(pthread_create(&threads[i], NULL,
                                        i < CLIENTS ? run_client : run_server,
                                        &parties[i]),
                         0);
    }
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(threads[i], NULL);
    tr_queue_shutdown(queue);
    for (int i = CLIENTS; i < CLIENTS + SERVERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < CLIENTS + SERVERS; i++)
        assert_int_equal(parties[i].failed, 0);
    /* what came for those that were given up is drained */
    assert_int_equal(tr_request_next(arena, TR_NOWAIT, &ticket, &none), TR_EAGAIN);
    end(arena, queue, 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_in_place_or_anew),
        cmocka_unit_test(replies_come_in_any_order),
        cmocka_unit_test(errors_carry_code_and_text),
        cmocka_unit_test(late_replies_are_dropped),
        cmocka_unit_test(late_errors_are_dropped),
        cmocka_unit_test(nobody_serves),
        cmocka_unit_test(deadlines_travel),
        cmocka_unit_test(begun_by_ticket),
        cmocka_unit_test(reuses_the_slot),
        cmocka_unit_test(only_requests_are_answered),
        cmocka_unit_test(threads_ask_and_serve),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
