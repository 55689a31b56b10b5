/* SPDX-License-Identifier: MIT */
/* handle_fork_test.c - handles of messages in a forked child. */
#include "handle_scene.h"

/* A process that forks while another of its threads is reading the first tensor of "b". */
static struct {
    tr_board *board;
    const void *at;
    int status;
} forking;

static bool fork_while_reading(const struct shm_access *access)
{
    tr_message *message;
    pid_t child;

    if (access->at != forking.at)
        return false;
    shm_memory_hook = NULL;
    child = fork();
    if (child == 0)
        _exit(tr_board_get(forking.board, "b", &message, NULL) != 0 ||
              tr_message_tensor(message, 0)->nbytes != 800 || first_i64(message) != 2);
    forking.status = status_of(child);
    return false;
}

/* The child reads for itself. */
static void what_a_thread_was_reading_is_not_known_in_a_child(void **state)
{
    static const tr_slot_class class = {4096, 4};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_arena *arena;
    tr_message *message;
    (void)state;

    options.classes = &class;
    options.class_count = 1;
    options.pins = 1; /* so that the child has the same */
    assert_ok(tr_arena_create(NULL, &options, &arena));
    forking.board = board_with(arena, "a", 1);
    message = loan_i64(arena, 100, 2);
    forking.at = &view_record(&arena_known(arena)->view, message_known(message)->slot)
                      ->tensors;
    assert_ok(tr_board_put(forking.board, "b", message, NULL));
    assert_ok(tr_board_get(forking.board, "a", &message, NULL));
    assert_ok(tr_message_release(message));
    shm_memory_hook = fork_while_reading;
    assert_ok(tr_board_get(forking.board, "b", &message, NULL));
    assert_null(shm_memory_hook);
    assert_int_equal(forking.status, 0);
    assert_int_equal(first_i64(message), 2);
    assert_ok(tr_message_release(message));
    tr_board_close(forking.board);
    tr_arena_close(arena);
}

static void say(int fd)
{
    assert_int_equal(write(fd, "x", 1), 1);
}

static void hear(int fd)
{
    char byte;

    assert_int_equal(read(fd, &byte, 1), 1);
}

/* The child of the next test: what it receives lies in the slot that the parent had. */
static int lets_go_of_the_parents(tr_queue *queue, tr_message *parents, int out, int in)
{
    tr_message *mine = NULL;
    int wrong = tr_message_release(parents) != TR_EFORK; /* we have not joined */

    say(out);
    wrong |= tr_queue_receive(queue, TR_FOREVER, &mine) != 0;
    wrong |= tr_message_release(parents) != TR_EINVAL;
    say(out);
    hear(in);
    wrong |= first_i64(mine) != 7 || tr_message_release(mine) != 0;
    return wrong;
}

static void a_child_cannot_release_for_its_parent(void **state)
{
    tr_arena *arena = make_arena(1, 0);
    tr_queue *queue = open_queue(arena, "q");
    tr_message *message = loan_i64(arena, 1, 7), *none;
    int there[2], back[2];
    pid_t child;
    (void)state;

    assert_int_equal(pipe(there) | pipe(back), 0);
    child = fork();
    if (child == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0)
        _exit(lets_go_of_the_parents(queue, message, there[1], back[0]));
    hear(there[0]);
    assert_ok(tr_queue_send(queue, message, TR_NOWAIT));
    hear(there[0]);
    assert_int_equal(tr_message_loan_bytes(arena, 8, TR_NOWAIT, &none), TR_EAGAIN);
    say(back[1]);
    assert_int_equal(status_of(child), 0);
    assert_int_equal(stats_of(arena).slots_free, 1);
    for (int i = 0; i < 2; i++) {
        close(there[i]);
        close(back[i]);
    }
    tr_queue_close(queue);
    tr_arena_close(arena);
}

enum { PINS = 4 };

/* All pins, in spite of those that the parent has. */
static int holds_all(tr_board *board, tr_message *const parents[])
{
    tr_message *mine[PINS], *more;
    int wrong = 0;

    for (int i = 0; i < PINS; i++)
        wrong |= tr_board_get(board, "k", &mine[i], NULL) != 0;
    wrong |= tr_board_get(board, "k", &more, NULL) != TR_EPINS;
    for (int i = 0; i < PINS; i++)
        wrong |= tr_message_release(parents[i]) == 0;
    for (int i = 0; i < PINS; i++)
        wrong |= first_i64(mine[i]) != 1 || tr_message_release(mine[i]) != 0;
    return wrong;
}

static void a_child_has_all_its_pins(void **state)
{
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_message *held[PINS];
    tr_arena *arena;
    tr_board *board;
    (void)state;

    options.pins = PINS;
    assert_ok(tr_arena_create(NULL, &options, &arena));
    board = board_with(arena, "k", 1);
    for (int hold = 0; hold <= PINS; hold++) { /* any number, any hint where to begin */
        pid_t child;

        for (int i = 0; i < PINS; i++)
            assert_ok(tr_board_get(board, "k", &held[i], NULL));
        for (int i = hold; i < PINS; i++)
            assert_ok(tr_message_release(held[i]));
        child = fork();
        if (child == 0)
            _exit(holds_all(board, held));
        assert_int_equal(status_of(child), 0);
        for (int i = 0; i < hold; i++) {
            assert_int_equal(first_i64(held[i]), 1);
            assert_ok(tr_message_release(held[i]));
        }
    }
    tr_board_close(board);
    tr_arena_close(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_thread_was_reading_is_not_known_in_a_child),
        cmocka_unit_test(a_child_cannot_release_for_its_parent),
        cmocka_unit_test(a_child_has_all_its_pins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
