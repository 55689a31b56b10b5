/* SPDX-License-Identifier: MIT */
/* Every request has one end, at its deadline if not before; those that were given up cost
 * nothing; and a requester without a reply is told why. */
#include "interrupted.h"
#include "request_end_scene.h"

static void given_up_ones_hold_no_slot(void **state)
{
    tr_arena *arena = make_arena(4, 0);
    tr_queue *queue = open_queue(arena);
    tr_message *requests[4];
    uint64_t tickets[4];
    (void)state;

    for (int i = 0; i < 4; i++)
        tickets[i] = ask(queue, i);
    for (int i = 0; i < 4; i++)
        requests[i] = take(queue);
    for (int i = 0; i < 2; i++) /* answered, then given up */
        assert_ok(tr_request_reply(requests[i], NULL));
    for (int i = 0; i < 4; i++)
        assert_ok(tr_request_cancel(arena, tickets[i]));
    for (int i = 2; i < 4; i++) /* given up, then answered */
        assert_ok(tr_request_reply(requests[i], NULL));
    assert_int_equal(stats_of(arena).stale_replies, 4);
    end(arena, queue, 4);
}

/* A reply that nobody waits for, as a requester leaves it that is stopped while it gives up,
 * or a server that is stopped while it answers. */
static void put_stale(tr_arena *arena, uint64_t ticket)
{
    struct inbox *inbox;
    uint32_t slot;

    assert_ok(inbox_get(arena_known(arena), &inbox));
    assert_int_equal(slot_loan(&arena_known(arena)->self, 0, &slot), 0);
    shm_put(&view_record(&arena_known(arena)->view, slot)->reply_to,
            route_word(inbox->queue->ring.index, ticket));
    assert_int_equal(ring_put(&inbox->queue->ring, &arena_known(arena)->self, slot), 0);
}

static void a_loan_takes_memory_from_stale_replies(void **state)
{
    tr_arena *arena = make_arena(4, 0);
    tr_queue *queue = open_queue(arena);
    uint64_t ticket = ask(queue, 1);
    tr_message *message;
    int status;
    pid_t child;
    (void)state;

    assert_ok(tr_request_cancel(arena, ticket));
    for (int i = 0; i < 4; i++)
        put_stale(arena, ticket);
    assert_int_equal(stats_of(arena).slots_queued, 4);
    child = fork();
    if (child == 0)
        _exit(tr_message_loan_bytes(arena, 8, TR_NOWAIT, &message) != 0);
    status = status_of(child);
    assert_int_equal(status, 0);
    assert_ok(tr_message_loan_bytes(arena, 8, TR_NOWAIT, &message));
    tr_message_release(message);
    assert_ok(tr_arena_reap(arena, NULL));
    end(arena, queue, 4);
}

/* Its ring is full: each reply still arrives at once, and so does each refusal. */
static void a_full_inbox_holds_nobody_up(void **state)
{
    enum { SLOTS = TR_MAX_REQUESTS + 8 };
    tr_arena *arena = make_arena(SLOTS, 0);
    tr_queue *queue = open_queue(arena);
    uint64_t stale = ask(queue, 1), answered = ask(queue, 2), released = ask(queue, 3);
    tr_message *none, *requests[3], *reply;
    struct inbox *inbox;
    (void)state;

    for (int i = 0; i < 3; i++)
        requests[i] = take(queue);
    assert_ok(tr_request_cancel(arena, stale));
    tr_message_release(requests[0]);
    for (int i = 0; i < TR_MAX_REQUESTS; i++)
        put_stale(arena, stale);
    assert_ok(inbox_get(arena_known(arena), &inbox));
    assert_int_equal(ring_writable(&inbox->queue->ring), -EAGAIN);

    assert_ok(tr_request_reply(requests[1], NULL));
    tr_message_release(requests[2]);
    assert_ok(tr_request_wait(arena, answered, TR_NOWAIT, &reply));
    assert_int_equal(first_i64(reply), 2);
    tr_message_release(reply);
    assert_int_equal(tr_request_wait(arena, released, TR_NOWAIT, &reply), TR_EREMOTE);
    assert_int_equal(tr_error_remote_code(), TR_ECANCELED);
    assert_int_equal(tr_request_wait(arena, released, TR_NOWAIT, &none), TR_EINVAL);
    assert_int_equal(tr_request_next(arena, TR_NOWAIT, &stale, &none), TR_EAGAIN);
    end(arena, queue, SLOTS);
}

static void asynchronous_ones_end_at_their_deadline(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_queue(arena);
    uint64_t first = ask_for(queue, 1, SOON, 0), later = ask_for(queue, 2, LONG, 0),
             ended;
    tr_message *reply, *late;
    (void)state;

    assert_int_equal(tr_request_next(arena, LONG, &ended, &reply), TR_ETIMEDOUT);
    assert_int_equal(ended, first);
    assert_null(reply);
    assert_detail("nobody had received it");
    assert_int_equal(tr_request_wait(arena, first, TR_NOWAIT, &reply), TR_EINVAL);
    assert_int_equal(first_i64(late = take(queue)), 2); /* the first was taken back */
    assert_ok(tr_request_reply(late, NULL));
    assert_ok(tr_request_next(arena, TR_NOWAIT, &ended, &reply));
    assert_int_equal(ended, later);
    tr_message_release(reply);

    first = ask_for(queue, 3, TR_NOWAIT, 0); /* its time is over at once */
    late = take(queue);
    assert_int_equal(tr_request_remaining_ns(late), 0);
    assert_ok(tr_request_reply(late, NULL));
    assert_int_equal(stats_of(arena).stale_replies, 1);
    assert_int_equal(tr_request_next(arena, TR_NOWAIT, &ended, &reply), TR_ETIMEDOUT);
    assert_int_equal(ended, first);
    assert_int_equal(tr_request_next(arena, TR_NOWAIT, &ended, &reply), TR_EAGAIN);
    assert_int_equal(ended, 0);
    end(arena, queue, 8);
}

/* The order in which they were begun does not matter. */
static void each_ends_at_its_own_deadline(void **state)
{
    enum { ASKED = 16 };
    tr_arena *arena = make_arena(ASKED, 0);
    tr_queue *queue = open_queue(arena);
    uint64_t tickets[ASKED], ended;
    tr_message *reply;
    (void)state;

    for (int i = 0; i < ASKED; i++)
        tickets[i] = ask_for(queue, i, SOON * (1 + (7 * i) % ASKED) / ASKED, 0);
    for (int i = 0; i < ASKED; i++) {
        int found = 0;

        assert_int_equal(tr_request_next(arena, LONG, &ended, &reply), TR_ETIMEDOUT);
        for (int k = 0; k < ASKED; k++)
            if (tickets[k] == ended) {
                found++;
                tickets[k] = 0;
            }
        assert_int_equal(found, 1);
    }
    end(arena, queue, ASKED);
}

static void those_by_ticket_end_at_their_deadline(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_queue(arena);
    uint64_t ticket = ask_for(queue, 1, LONG, TR_REQUEST_BY_TICKET), other;
    tr_message *reply;
    (void)state;

    assert_int_equal(tr_request_wait(arena, ticket, 1000, &reply), TR_ETIMEDOUT);
    assert_detail("yet");
    assert_ok(tr_request_reply(take(queue), NULL)); /* the ticket stayed good */
    assert_ok(tr_request_wait(arena, ticket, TR_NOWAIT, &reply));
    tr_message_release(reply);

    ticket = ask_for(queue, 2, SOON, TR_REQUEST_BY_TICKET);
    assert_int_equal(tr_request_wait(arena, ticket, LONG, &reply), TR_ETIMEDOUT);
    assert_detail("by its deadline");
    assert_int_equal(tr_request_wait(arena, ticket, LONG, &reply), TR_EINVAL);
    ticket = ask_for(queue, 3, TR_NOWAIT, TR_REQUEST_BY_TICKET);
    assert_int_equal(tr_request_next(arena, TR_NOWAIT, &other, &reply), TR_EAGAIN);
    assert_int_equal(tr_request_wait(arena, ticket, TR_NOWAIT, &reply), TR_ETIMEDOUT);
    assert_int_equal(tr_queue_receive(queue, TR_NOWAIT, &reply), TR_EAGAIN);
    end(arena, queue, 8);
}

/* A reply in time is one, whenever it is fetched; and a server that writes into the request
 * still knows until when. */
static void replies_in_time_are_kept(void **state)
{
    const int64_t two = 2;
    const tr_tensor_spec spec = {
        .dtype = {TR_DTYPE_INT, 64, 1}, .ndim = 1, .shape = &two};
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_queue(arena);
    uint64_t ticket = ask_for(queue, 1, LONG, 0), ended;
    tr_message *request = take(queue), *reply;
    (void)state;

    assert_ok(tr_request_reuse(request, &spec, 1));
    assert_true(tr_request_remaining_ns(request) > 0 &&
                tr_request_remaining_ns(request) <= LONG);
    assert_ok(tr_request_reply(request, NULL));
    assert_ok(tr_request_next(arena, TR_NOWAIT, &ended, &reply));
    assert_int_equal(ended, ticket);
    tr_message_release(reply);
    end(arena, queue, 8);
}

static void wait_sets_wake_for_deadlines(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_queue(arena);
    tr_waitset *set;
    tr_message *reply;
    uint64_t ticket, ended;
    tr_event event;
    size_t count;
    (void)state;

    assert_ok(tr_waitset_open(arena, &set));
    assert_ok(tr_waitset_add_replies(set, 5));
    for (int polled = 0; polled < 2; polled++) {
        struct pollfd poller = {.events = POLLIN};

        if (polled) {
            assert_ok(tr_waitset_fd(set, &poller.fd));
            assert_int_equal(tr_waitset_wait(set, &event, 1, TR_NOWAIT, &count),
                             TR_EAGAIN);
        }
        ticket = ask_for(queue, 1, SOON, 0);
        while (polled) {
            assert_int_equal(poll(&poller, 1, 30000), 1);
            if (tr_waitset_wait(set, &event, 1, TR_NOWAIT, &count) == 0)
                break;
        }
        if (!polled)
            assert_ok(tr_waitset_wait(set, &event, 1, LONG, &count));
        assert_int_equal(event.token, 5);
        assert_int_equal(event.ready, TR_WAIT_READABLE);
        assert_int_equal(tr_request_next(arena, TR_NOWAIT, &ended, &reply), TR_ETIMEDOUT);
        assert_int_equal(ended, ticket);
    }
    tr_waitset_close(set);
    end(arena, queue, 8);
}

static void to_cancel_nothing_takes_nothing(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    (void)state;

    assert_int_equal(tr_request_cancel(arena, 7), TR_EINVAL);
    assert_int_equal(stats_of(arena).channels, 0); /* no inbox for that */
    tr_arena_close(arena);
}

/* A child inherits the set; a reply for the parent lies there. 0: all is well. */
static int waits_for_its_own(tr_arena *arena, tr_queue *queue, tr_waitset *set)
{
    tr_message *reply;
    tr_event event;
    uint64_t ticket, ended;
    size_t count;

    if (tr_waitset_wait(set, &event, 1, TR_NOWAIT, &count) != TR_EAGAIN)
        return 1;
    ticket = ask(queue, 2);
    if (tr_request_reply(take(queue), NULL) != 0)
        return 2;
    if (tr_waitset_wait(set, &event, 1, TR_NOWAIT, &count) != 0 || event.token != 5)
        return 3;
    if (tr_request_next(arena, TR_NOWAIT, &ended, &reply) != 0 || ended != ticket)
        return 4;
    tr_message_release(reply);
    tr_waitset_close(set);
    tr_queue_close(queue);
    tr_arena_close(arena);
    return 0;
}

static void a_childs_set_waits_for_its_own_replies(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_queue(arena);
    tr_waitset *set;
    tr_message *reply;
    uint64_t ticket, ended;
    pid_t child;
    (void)state;

    assert_ok(tr_waitset_open(arena, &set));
    assert_ok(tr_waitset_add_replies(set, 5));
    ticket = ask(queue, 1);
    assert_ok(tr_request_reply(take(queue), NULL));
    child = fork();
    if (child == 0)
        _exit(waits_for_its_own(arena, queue, set));
    assert_int_equal(WEXITSTATUS(status_of(child)), 0);
    assert_ok(tr_request_next(arena, TR_NOWAIT, &ended, &reply));
    assert_int_equal(ended, ticket);
    tr_message_release(reply);
    tr_waitset_close(set);
    end(arena, queue, 8);
}

/* A thread sleeps without a deadline when another asks with one. */
struct listener {
    tr_arena *arena;
    uint64_t ended;
    int code;
};

static void *follow(void *context)
{
    struct listener *listener = context;
    tr_message *reply;

    listener->code = tr_request_next(listener->arena, LONG, &listener->ended, &reply);
    return NULL;
}

static void sleepers_learn_of_new_deadlines(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_queue(arena);
    struct listener listener = {.arena = arena};
    struct inbox *inbox;
    pthread_t thread;
    uint64_t ticket;
    (void)state;

    assert_ok(inbox_get(arena_known(arena), &inbox));
    assert_int_equal(pthread_create(&thread, NULL, follow, &listener), 0);
    while (!(shm_get(&inbox->queue->ring.channel->items) & 1)) /* it sleeps, or will */
        sched_yield();
    ticket = ask_for(queue, 1, SOON, 0);
    pthread_join(thread, NULL);
    assert_int_equal(listener.code, TR_ETIMEDOUT);
    assert_int_equal(listener.ended, ticket);
    end(arena, queue, 8);
}

static tr_arena *asking;
static uint64_t asked;
static bool answered;

static void take_the_reply(void)
{
    tr_message *reply;
    int code = tr_request_wait(asking, asked, TR_NOWAIT, &reply);

    assert_true(code == 0 || code == TR_EAGAIN);
    answered = code == 0;
    if (answered)
        assert_ok(tr_message_release(reply));
}

/* The requester has it before the server's last look at the ticket. */
static void a_reply_that_is_taken_at_once_is_not_stale(void **state)
{
    tr_queue *queue;
    tr_message *request;
    uint32_t taken = 0;
    bool more = true;
    int code;
    (void)state;

    asking = make_arena(4, 0);
    queue = open_queue(asking);
    for (uint32_t step = 1; more; step++) {
        asked = ask(queue, step);
        request = take(queue);
        answered = false;
        more = INTERRUPTED(step, take_the_reply, code = tr_request_reply(request, NULL));
        assert_ok(code);
        taken += answered;
        if (!answered)
            take_the_reply();
    }
    assert_true(taken > 0);
    assert_int_equal(stats_of(asking).stale_replies, 0);
    end(asking, queue, 4);
}

/* What the sender has written into the header is no deadline of a request without one. */
static void a_wait_without_limit_gets_a_late_reply(void **state)
{
    tr_header header = {.struct_size = sizeof(header), .deadline_ns = 1};
    tr_arena *arena = make_arena(4, 0);
    tr_queue *queue = open_queue(arena);
    tr_message *message = loan_i64(arena, 4, 1), *reply;
    uint64_t ticket;
    (void)state;

    assert_ok(tr_message_header_set(message, &header));
    assert_ok(tr_request_send(queue, message, TR_FOREVER, TR_FOREVER, 0, &ticket));
    message = take(queue);
    assert_int_equal(tr_request_remaining_ns(message), TR_FOREVER);
    assert_ok(tr_request_reply(message, NULL));
    assert_ok(tr_request_wait(arena, ticket, TR_NOWAIT, &reply));
    assert_ok(tr_message_release(reply));
    end(arena, queue, 4);
}

static int64_t stopped_ns;

static int64_t stopped_clock(void)
{
    return stopped_ns;
}

static uint64_t ask_and_give_up(tr_arena *arena)
{
    tr_queue *queue = open_queue(arena);
    uint64_t ticket = 0;

    for (int i = 0; i < 5; i++) {
        ticket = ask(queue, i);
        assert_ok(tr_request_cancel(arena, ticket));
    }
    tr_queue_close(queue);
    return ticket;
}

/* An owner of the entry that comes later, and that had more requests than the clock has
 * microseconds. */
static void tickets_go_on_from_owner_to_owner(void **state)
{
    static struct os_calls fake;
    tr_arena *arena = make_arena(8, 0), *other;
    const int fd = arena_known(arena)->view.lock_fd;
    uint64_t last = 0;
    (void)state;

    fake = os_kernel;
    fake.now_ns = stopped_clock;
    stopped_ns = os_kernel.now_ns();
    for (int owner = 0; owner < 3; owner++) {
        uint64_t ticket;

        os = &fake;
        assert_ok(tr_arena_attach_fd(fd, &other));
        assert_int_equal(arena_known(other)->self.who, 1);
        ticket = ask_and_give_up(other);
        tr_arena_close(other);
        os = &os_kernel;
        if (owner > 0) /* tickets have 50 bits, and come again after the last */
            assert_in_range((ticket - last) & ((UINT64_C(1) << 50) - 1), 1,
                            UINT64_C(1) << 49);
        last = ticket;
    }
    tr_arena_close(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(given_up_ones_hold_no_slot),
        cmocka_unit_test(a_loan_takes_memory_from_stale_replies),
        cmocka_unit_test(a_full_inbox_holds_nobody_up),
        cmocka_unit_test(asynchronous_ones_end_at_their_deadline),
        cmocka_unit_test(each_ends_at_its_own_deadline),
        cmocka_unit_test(those_by_ticket_end_at_their_deadline),
        cmocka_unit_test(replies_in_time_are_kept),
        cmocka_unit_test(wait_sets_wake_for_deadlines),
        cmocka_unit_test(a_childs_set_waits_for_its_own_replies),
        cmocka_unit_test(to_cancel_nothing_takes_nothing),
        cmocka_unit_test(sleepers_learn_of_new_deadlines),
        cmocka_unit_test(a_reply_that_is_taken_at_once_is_not_stale),
        cmocka_unit_test(a_wait_without_limit_gets_a_late_reply),
        cmocka_unit_test(tickets_go_on_from_owner_to_owner),
    };

    waitset_slice_ns = INT64_C(3600) * 1000000000;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
