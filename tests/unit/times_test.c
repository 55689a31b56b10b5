/* SPDX-License-Identifier: MIT */
/* Timeouts as long as they can be, for each call that waits: it does wait, and no time that it
 * computes has passed already. The kernel of the test ends every sleep by a signal. */
#include "support.h"

#include <errno.h>

#include "ipc/kernel/os.h"
#include "src/arena/arena.h"

static struct os_calls fake;
static tr_arena *arena;
static tr_queue *queue;
static tr_message *held[4];
static int sleeps, past;

/* Time stands still: on a machine that is slow enough, the end of a short sleep would have
 * passed before it begins. */
static int64_t the_time;

static int64_t still(void)
{
    return the_time;
}

static void note(int64_t until_ns)
{
    sleeps++;
    past += until_ns <= the_time;
}

static int interrupted(const _Atomic uint32_t *word, uint32_t seen, int64_t until_ns)
{
    (void)word, (void)seen;
    note(until_ns);
    return -EINTR;
}

static int interrupted_many(const struct os_word *words, uint32_t count, int64_t until_ns)
{
    (void)words, (void)count;
    note(until_ns);
    return -EINTR;
}

static int set_up(void **state)
{
    tr_queue_options options = TR_QUEUE_OPTIONS_INIT;
    (void)state;

    arena = make_arena(4, 0);
    options.capacity = 1;
    assert_ok(tr_queue_open(arena, "q", &options, &queue));
    tr_arena_set_interruptible(arena, true);
    tr_arena_set_spin(arena, 0);
    the_time = os_kernel.now_ns();
    fake = os_kernel;
    fake.now_ns = still;
    fake.futex_wait = interrupted;
    fake.futex_waitv = interrupted_many;
    os = &fake;
    sleeps = past = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    os = &os_kernel;
    tr_queue_close(queue);
    tr_arena_close(arena);
    return 0;
}

static const int64_t longest[] = {INT64_MAX, INT64_MAX - 1, INT64_MAX / 2 + 1,
                                  INT64_MAX / 1000};
enum { LONGEST = sizeof(longest) / sizeof(longest[0]) };

/* Each call has slept, once, until some time in the future. */
#define expect_sleep(call)                \
    do {                                  \
        int before_ = sleeps;             \
        assert_int_equal(call, TR_EINTR); \
        assert_true(sleeps > before_);    \
        assert_int_equal(past, 0);        \
    } while (0)

static void queues_and_loans(void **state)
{
    tr_message *message;
    (void)state;

    for (int i = 0; i < LONGEST; i++) {
        expect_sleep(tr_queue_receive(queue, longest[i], &message));
        message = loan_i64(arena, 1, 0);
        assert_ok(tr_queue_send(queue, loan_i64(arena, 1, 0), TR_NOWAIT));
        expect_sleep(tr_queue_send(queue, message, longest[i]));
        for (int s = 0; s < 2; s++)
            held[s] = loan_i64(arena, 1, 0);
        expect_sleep(tr_message_loan_bytes(arena, 8, longest[i], &held[2]));
        for (int s = 0; s < 2; s++)
            tr_message_release(held[s]);
        tr_message_release(message);
        assert_ok(tr_queue_receive(queue, longest[i], &message));
        tr_message_release(message);
    }
}

static void broadcasts_and_boards(void **state)
{
    tr_broadcast *broadcast;
    tr_subscription *subscription;
    tr_board *board;
    tr_message *message;
    uint64_t version;
    (void)state;

    assert_ok(tr_broadcast_open(arena, "news", NULL, &broadcast));
    assert_ok(tr_subscription_open(broadcast, NULL, &subscription));
    assert_ok(tr_board_open(arena, "board", NULL, &board));
    for (int i = 0; i < LONGEST; i++) {
        expect_sleep(tr_subscription_receive(subscription, longest[i], &message));
        expect_sleep(tr_board_wait(board, "key", 0, longest[i], &message, &version));
    }
    tr_board_close(board);
    tr_subscription_close(subscription);
    tr_broadcast_close(broadcast);
}

static void requests(void **state)
{
    tr_message *message, *reply;
    uint64_t ticket;
    (void)state;

    for (int i = 0; i < LONGEST; i++) {
        tr_header header = TR_HEADER_INIT;

        assert_ok(tr_request_send(queue, loan_i64(arena, 1, 0), longest[i], longest[i], 0,
                                  &ticket));
        expect_sleep(tr_request_wait(arena, ticket, longest[i], &reply));
        expect_sleep(tr_request_next(arena, longest[i], &ticket, &reply));
        assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
        assert_ok(tr_message_header_get(message, &header));
        assert_true(header.deadline_ns == 0 || header.deadline_ns > os->now_ns());
        assert_ok(tr_request_reply(message, loan_i64(arena, 1, 7)));
        assert_ok(tr_request_next(arena, longest[i], &ticket, &reply));
        assert_int_equal(first_i64(reply), 7);
        tr_message_release(reply);
    }
}

static void wait_sets(void **state)
{
    tr_waitset *set;
    tr_event event;
    size_t count;
    (void)state;

    assert_ok(tr_waitset_open(arena, &set));
    assert_ok(tr_waitset_add_queue(set, queue, TR_WAIT_READABLE, 1));
    for (int i = 0; i < LONGEST; i++)
        expect_sleep(tr_waitset_wait(set, &event, 1, longest[i], &count));
    tr_waitset_close(set);
}

#define SCENE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(queues_and_loans),
        SCENE(broadcasts_and_boards),
        SCENE(requests),
        SCENE(wait_sets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
