/* SPDX-License-Identifier: MIT */
/* request_told_test.c - what a requester is told of those that serve, and what is refused. */
#include "request_end_scene.h"

/* A server that says by a pipe that it serves, then does as it is told. */
static pid_t serve(tr_arena *arena, tr_queue *queue, bool take_one)
{
    int said[2];
    char byte;
    pid_t child;

    assert_int_equal(pipe(said), 0);
    child = fork();
    if (child == 0) {
        tr_message *request;
        int code = tr_queue_receive(queue, take_one ? LONG : TR_NOWAIT, &request);

        if (code != (take_one ? 0 : TR_EAGAIN) || write(said[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(said[1]);
    assert_int_equal(read(said[0], &byte, 1), 1);
    close(said[0]);
    (void)arena;
    return child;
}

static void kill_and_bury(pid_t child)
{
    kill(child, SIGKILL);
    assert_true(WIFSIGNALED(status_of(child)));
}

static void a_service_knows_its_servers(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_queue(arena), *other;
    tr_waitset *set;
    pid_t one, two;
    (void)state;

    assert_int_equal(tr_queue_receivers(queue), 0);
    one = serve(arena, queue, false);
    two = serve(arena, queue, false);
    assert_int_equal(tr_queue_receivers(queue), 2);
    kill_and_bury(one);
    assert_int_equal(tr_queue_receivers(queue), 1); /* nobody has reaped */
    assert_ok(tr_arena_reap(arena, NULL));
    assert_int_equal(tr_queue_receivers(queue), 1);
    kill_and_bury(two);
    assert_int_equal(tr_queue_receivers(queue), 0);

    /* a process that waits for it in a set serves it, too */
    assert_ok(tr_queue_open(arena, "other", NULL, &other));
    assert_ok(tr_waitset_open(arena, &set));
    assert_ok(tr_waitset_add_queue(set, queue, TR_WAIT_WRITABLE, 1));
    assert_int_equal(tr_queue_receivers(queue), 0);
    assert_ok(tr_waitset_add_queue(set, queue, TR_WAIT_READABLE, 1));
    assert_int_equal(tr_queue_receivers(queue), 1);
    assert_int_equal(tr_queue_receivers(other), 0);
    tr_waitset_close(set);
    tr_queue_close(other);
    assert_ok(tr_arena_reap(arena, NULL));
    end(arena, queue, 8);
}

static void the_detail_says_who_serves(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_queue(arena);
    tr_message *reply;
    uint64_t ticket;
    pid_t child;
    (void)state;

    assert_int_equal(tr_request_call(queue, loan_i64(arena, 1, 1), 1000000, &reply),
                     TR_ETIMEDOUT);
    assert_detail("nobody had received it");
    assert_detail("nobody serves it");

    ticket = ask_for(queue, 1, LONG, TR_REQUEST_BY_TICKET);
    child = serve(arena, queue, true);
    assert_int_equal(kill(child, SIGSTOP), 0);
    assert_int_equal(waitpid(child, NULL, WUNTRACED), child);
    assert_int_equal(tr_request_call(queue, loan_i64(arena, 1, 1), 1000000, &reply),
                     TR_ETIMEDOUT);
    assert_detail("1 process serves it");
    assert_detail("stopped) has 1 in hand");
    assert_int_equal(tr_request_wait(arena, ticket, 1000, &reply), TR_ETIMEDOUT);
    assert_detail("a server has it, participant 1");
    assert_detail("stopped");
    kill_and_bury(child);
    assert_int_equal(tr_request_wait(arena, ticket, 1000, &reply), TR_ETIMEDOUT);
    assert_detail("nobody serves it");
    assert_ok(tr_request_cancel(arena, ticket));
    assert_ok(tr_arena_reap(arena, NULL)); /* and is not redelivered */
    assert_int_equal(tr_queue_receive(queue, TR_NOWAIT, &reply), TR_EAGAIN);
    end(arena, queue, 8);
}

static void a_full_queue_says_which_processes_have_its_messages(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue_options options = TR_QUEUE_OPTIONS_INIT;
    tr_queue *queue;
    tr_message *message, *none;
    pid_t child;
    (void)state;

    options.capacity = 2;
    assert_ok(tr_queue_open(arena, "few", &options, &queue));
    assert_ok(tr_queue_send(queue, loan_i64(arena, 1, 1), TR_NOWAIT));
    child = serve(arena, queue, true);
    assert_int_equal(kill(child, SIGSTOP), 0);
    assert_int_equal(waitpid(child, NULL, WUNTRACED), child);
    for (int i = 0; i < 2; i++)
        assert_ok(tr_queue_send(queue, loan_i64(arena, 1, i), TR_NOWAIT));
    message = loan_i64(arena, 1, 2);
    assert_int_equal(tr_queue_send(queue, message, 1000), TR_ETIMEDOUT);
    assert_detail("is full, it holds 2 messages; 2 wait in queue");
    assert_detail("1 process serves it, participant 1");
    assert_detail("stopped) has 1 in hand");
    for (int i = 0; i < 4; i++)
        (void)loan_i64(arena, 1, i);
    assert_int_equal(tr_message_loan_bytes(arena, 8, 1000, &none), TR_ETIMEDOUT);
    assert_detail("stopped) holds 1");
    kill_and_bury(child);
    assert_int_equal(tr_queue_send(queue, message, 1000), TR_ETIMEDOUT);
    assert_detail("nobody serves it");
    tr_queue_close(queue);
    tr_arena_close(arena);
}

/* Its server dies, nobody has it in hand: it is taken back from where it waits for another. */
static void what_waits_for_another_server_is_taken_back(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_queue(arena);
    uint64_t ticket = ask(queue, 1);
    tr_message *request;
    (void)state;

    kill_and_bury(serve(arena, queue, true));
    assert_ok(tr_arena_reap(arena, NULL));
    assert_int_equal(stats_of(arena).redelivered, 1);
    assert_ok(tr_request_cancel(arena, ticket));
    assert_int_equal(tr_queue_receive(queue, TR_NOWAIT, &request), TR_EAGAIN);
    end(arena, queue, 8);
}

/* A request that arrives damaged is not served, and its requester is told. */
static void damaged_requests_are_refused(void **state)
{
    static const tr_slot_class class = {256, 8};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_arena *arena;
    tr_queue *queue;
    tr_message *message, *reply;
    uint64_t ticket;
    int64_t *data;
    (void)state;

    options.classes = &class;
    options.class_count = 1;
    options.flags = TR_ARENA_CRC32C;
    assert_ok(tr_arena_create(NULL, &options, &arena));
    queue = open_queue(arena);
    message = loan_i64(arena, 4, 1);
    data = tr_message_tensor(message, 0)->data;
    assert_ok(tr_request_send(queue, message, LONG, LONG, 0, &ticket));
    data[2] = 77;
    assert_int_equal(tr_queue_receive(queue, TR_NOWAIT, &message), TR_ECHECKSUM);
    assert_int_equal(tr_request_wait(arena, ticket, TR_NOWAIT, &reply), TR_EREMOTE);
    assert_int_equal(tr_error_remote_code(), TR_ECHECKSUM);
    end(arena, queue, 8);
}

/* Otherwise its own requester would wait forever. */
static void a_request_answers_no_other(void **state)
{
    tr_arena *arena = make_arena(4, 0);
    tr_queue *queue = open_queue(arena);
    uint64_t tickets[2] = {ask(queue, 1), ask(queue, 2)};
    tr_message *first = take(queue), *second = take(queue), *reply;
    (void)state;

    assert_int_equal(tr_request_reply(first, second), TR_EINVAL);
    assert_ok(tr_request_reply(second, NULL));
    assert_ok(tr_request_reply(first, NULL));
    for (int i = 0; i < 2; i++) {
        assert_ok(tr_request_wait(arena, tickets[i], TR_NOWAIT, &reply));
        assert_int_equal(first_i64(reply), i + 1);
        assert_ok(tr_message_release(reply));
    }
    end(arena, queue, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_service_knows_its_servers),
        cmocka_unit_test(the_detail_says_who_serves),
        cmocka_unit_test(a_full_queue_says_which_processes_have_its_messages),
        cmocka_unit_test(what_waits_for_another_server_is_taken_back),
        cmocka_unit_test(damaged_requests_are_refused),
        cmocka_unit_test(a_request_answers_no_other),
    };

    waitset_slice_ns = INT64_C(3600) * 1000000000;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
