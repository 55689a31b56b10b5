/* SPDX-License-Identifier: MIT */
/* life_lost_test.c - a process that others took for dead, and what it held. */
#include "support.h"

#include "ipc/hooks.h"
#include "ipc/kernel/os.h"
#include "src/arena/arena.h"

static int real_os(void **state)
{
    (void)state;
    os = &os_kernel;
    hooks = &hooks_real;
    return 0;
}

#define os_test(name) cmocka_unit_test_teardown(name, real_os)

static uint32_t condemned; /* participant + 1 */

static bool condemn(const struct view *view, uint32_t i)
{
    (void)view;
    return condemned == i + 1;
}

/* @p other is reaped, although it lives: its lock was dropped. */
static void reap_alive(tr_arena *arena, tr_arena *other)
{
    static struct hooks fake;
    struct self *self = &arena_known(other)->self;
    tr_reap_report report = TR_REAP_REPORT_INIT;

    fake = hooks_real;
    fake.dead = condemn;
    condemned = self->who + 1;
    life_end(&self->life, self->view->lock_fd);
    hooks = &fake;
    assert_ok(tr_arena_reap(arena, &report));
    hooks = &hooks_real;
    assert_int_equal(report.dead, 1);
}

/* A participant that is reaped although it lives finds out, and touches nothing any more. */
static void learns_that_it_was_taken_for_dead(void **state)
{
    tr_arena *arena = make_arena(1, 0), *other;
    tr_message *mine, *theirs;
    (void)state;

    assert_ok(tr_arena_attach_fd(arena_known(arena)->view.lock_fd, &other));
    mine = loan_i64(other, 1, 5);
    reap_alive(arena, other);
    theirs = loan_i64(arena, 1, 6);
    assert_false(monitor_stands(&arena_known(other)->self));
    assert_int_equal(tr_arena_reap(other, NULL), TR_EABANDONED);
    assert_detail("took this process for dead");
    tr_message_release(mine); /* is not its own any more */
    assert_int_equal(stats_of(arena).slots_loaned, 1);
    assert_int_equal(first_i64(theirs), 6);
    tr_arena_close(other);
    assert_int_equal(stats_of(arena).slots_loaned, 1);
    tr_message_release(theirs);
    tr_arena_close(arena);
}

static void a_wait_learns_it_too(void **state)
{
    tr_arena *arena = make_arena(4, 0), *other;
    tr_queue *queue;
    tr_message *message;
    (void)state;

    assert_ok(tr_arena_attach_fd(arena_known(arena)->view.lock_fd, &other));
    assert_ok(tr_queue_open(other, "q", NULL, &queue));
    reap_alive(arena, other);
    assert_int_equal(tr_queue_receive(queue, TR_FOREVER, &message), TR_EABANDONED);
    tr_queue_close(queue);
    tr_arena_close(other);
    tr_arena_close(arena);
}

/* Until it finds out, it loans and receives as if it were in its entry still; its successor is
 * there. Closing gives that back. */
static void closing_gives_back_what_it_took_since(bool knows)
{
    tr_arena *arena = make_arena(4, 0), *other, *successor;
    tr_queue *queue, *theirs;
    tr_message *message;

    assert_ok(tr_arena_attach_fd(arena_known(arena)->view.lock_fd, &other));
    assert_ok(tr_queue_open(arena, "q", NULL, &queue));
    assert_ok(tr_queue_open(other, "q", NULL, &theirs));
    reap_alive(arena, other);
    assert_ok(tr_arena_attach_fd(arena_known(arena)->view.lock_fd, &successor));
    assert_int_equal(arena_known(successor)->self.who, arena_known(other)->self.who);
    loan_i64(successor, 1, 4);
    loan_i64(other, 1, 5);
    message = loan_i64(arena, 1, 6);
    assert_ok(tr_queue_send(queue, message, TR_NOWAIT));
    assert_ok(tr_queue_receive(theirs, TR_NOWAIT, &message));
    if (knows)
        assert_int_equal(tr_arena_reap(other, NULL), TR_EABANDONED);
    tr_arena_close(other);
    assert_int_equal(stats_of(arena).slots_loaned, 1); /* the successor's */
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
    assert_int_equal(first_i64(message), 6);
    tr_arena_close(successor);
    tr_arena_close(arena);
}

static void closing_gives_back_what_the_lost_took(void **state)
{
    (void)state;
    closing_gives_back_what_it_took_since(false);
    closing_gives_back_what_it_took_since(true);
}

/* Both read the same value by the pin of one index, in one row. */
static void releasing_leaves_the_pins_of_the_successor(void **state)
{
    tr_arena *arena = make_arena(4, 0), *other, *successor;
    tr_board *board, *theirs, *next;
    tr_message *message, *old, *read;
    (void)state;

    assert_ok(tr_board_open(arena, "b", NULL, &board));
    message = loan_i64(arena, 1, 7);
    assert_ok(tr_board_put(board, "key", message, NULL));
    assert_ok(tr_arena_attach_fd(arena_known(arena)->view.lock_fd, &other));
    assert_ok(tr_board_open(other, "b", NULL, &theirs));
    assert_ok(tr_board_get(theirs, "key", &old, NULL));
    reap_alive(arena, other);
    assert_ok(tr_arena_attach_fd(arena_known(arena)->view.lock_fd, &successor));
    assert_ok(tr_board_open(successor, "b", NULL, &next));
    assert_ok(tr_board_get(next, "key", &read, NULL));
    assert_int_equal(tr_message_release(old), TR_EINVAL);
    message = loan_i64(arena, 1, 8);
    assert_ok(tr_board_put(board, "key", message, NULL));
    for (int i = 0; i < 2; i++)
        (void)loan_i64(arena, 1, 9);
    assert_int_equal(tr_message_loan_bytes(arena, 8, TR_NOWAIT, &message), TR_EAGAIN);
    assert_int_equal(first_i64(read), 7);
    tr_message_release(read);
    assert_ok(tr_message_loan_bytes(arena, 8, TR_NOWAIT, &message));
    tr_arena_close(successor);
    tr_arena_close(other);
    tr_arena_close(arena);
}

/* The pins are in the row of its successor, which nobody but it knows of. */
static void closing_gives_back_pins_too(void **state)
{
    tr_arena *arena = make_arena(1, 0), *other, *successor;
    tr_board *board, *theirs;
    tr_message *message;
    (void)state;

    assert_ok(tr_board_open(arena, "b", NULL, &board));
    message = loan_i64(arena, 1, 7);
    assert_ok(tr_board_put(board, "key", message, NULL));
    assert_ok(tr_arena_attach_fd(arena_known(arena)->view.lock_fd, &other));
    assert_ok(tr_board_open(other, "b", NULL, &theirs));
    reap_alive(arena, other);
    assert_ok(tr_arena_attach_fd(arena_known(arena)->view.lock_fd, &successor));
    assert_ok(tr_board_get(theirs, "key", &message, NULL));
    assert_ok(tr_board_delete(board, "key", TR_BOARD_ANY_VERSION));
    assert_int_equal(tr_message_loan_bytes(arena, 8, TR_NOWAIT, &message), TR_EAGAIN);
    tr_arena_close(other);
    assert_ok(tr_message_loan_bytes(arena, 8, TR_NOWAIT, &message));
    tr_arena_close(successor);
    tr_arena_close(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        os_test(learns_that_it_was_taken_for_dead),
        os_test(a_wait_learns_it_too),
        os_test(closing_gives_back_what_the_lost_took),
        os_test(releasing_leaves_the_pins_of_the_successor),
        os_test(closing_gives_back_pins_too),
    };

    alarm(120);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
