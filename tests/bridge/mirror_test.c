/* SPDX-License-Identifier: MIT */
#include "tests/unit/support.h"

#include "mirror.h"

#define LATER(n) ((n)*MIRROR_LOOK_NS)

static tr_arena *arena;
static tr_board *board;
static tr_waitset *waitset;

static int open_place(void **state)
{
    (void)state;
    arena = make_arena(64, 0);
    assert_ok(tr_board_open(arena, "features", NULL, &board));
    assert_ok(tr_waitset_open(arena, &waitset));
    return 0;
}

static int close_place(void **state)
{
    (void)state;
    tr_waitset_close(waitset);
    tr_board_close(board);
    tr_arena_close(arena);
    return 0;
}

static void put(const char *key, int64_t value)
{
    assert_ok(tr_board_put(board, key, loan_i64(arena, 1, value), NULL));
}

/* Key @p i has @p value to offer. */
static void offers(struct mirror *mirror, uint32_t i, int64_t value)
{
    tr_message *message;

    assert_ok(mirror_next(mirror, i, board, &message));
    assert_non_null(message);
    assert_int_equal(first_i64(message), value);
    tr_message_release(message);
}

static void offers_nothing(struct mirror *mirror, uint32_t i)
{
    tr_message *message;

    assert_int_equal(mirror_next(mirror, i, board, &message), TR_EAGAIN);
    assert_null(message);
}

static void the_newest_goes_next(void **state)
{
    struct mirror mirror = {0};
    (void)state;

    put("a", 1);
    mirror_look(&mirror, board, LATER(1));
    assert_int_equal(mirror.count, 1);
    offers(&mirror, 0, 1);
    put("a", 2);
    put("a", 3);
    mirror_look(&mirror, board, LATER(2));
    offers_nothing(&mirror, 0); /* one is on its way */
    mirror_confirm(&mirror, 0);
    offers(&mirror, 0, 3);
    mirror_confirm(&mirror, 0);
    offers_nothing(&mirror, 0);
    mirror_close(&mirror, waitset, 1);
}

static void keys_are_found_once(void **state)
{
    struct mirror mirror = {0};
    char key[16];
    (void)state;

    for (int i = 0; i < 40; i++) {
        snprintf(key, sizeof(key), "key %d", i);
        put(key, i);
        mirror_look(&mirror, board, LATER(1 + i));
        assert_int_equal(mirror.count, i + 1);
    }
    mirror_look(&mirror, board, LATER(100));
    assert_int_equal(mirror.count, 40);
    mirror_close(&mirror, waitset, 1);
}

static void offers_a_deletion(struct mirror *mirror, uint32_t i)
{
    tr_message *message;

    assert_ok(mirror_next(mirror, i, board, &message));
    assert_null(message);
    mirror_confirm(mirror, i);
    offers_nothing(mirror, i);
}

static void a_deletion_is_offered(void **state)
{
    struct mirror mirror = {0};
    (void)state;

    put("a", 1);
    mirror_look(&mirror, board, LATER(1));
    offers(&mirror, 0, 1);
    mirror_confirm(&mirror, 0);
    assert_ok(tr_board_delete(board, "a", TR_BOARD_ANY_VERSION));
    mirror_look(&mirror, board, LATER(2));
    offers_a_deletion(&mirror, 0);
    mirror_close(&mirror, waitset, 1);
}

static void what_was_deleted_before_is_offered_if_it_is_there(void **state)
{
    struct mirror mirror = {0};
    (void)state;

    put("a", 1);
    put("gone", 1);
    assert_ok(tr_board_delete(board, "gone", TR_BOARD_ANY_VERSION));
    mirror_look(&mirror, board, LATER(1));
    assert_int_equal(mirror.count, 1);
    mirror_there(&mirror, board, "a");
    mirror_there(&mirror, board, "of that side alone");
    assert_int_equal(mirror.count, 1);
    mirror_there(&mirror, board, "gone");
    mirror_there(&mirror, board, "gone");
    assert_int_equal(mirror.count, 2);
    offers_a_deletion(&mirror, 1);
    put("gone", 2);
    mirror_look(&mirror, board, LATER(2));
    offers(&mirror, 1, 2);
    mirror_close(&mirror, waitset, 1);
}

static void a_key_that_changes_all_the_time_keeps_no_other_back(void **state)
{
    struct mirror mirror = {0};
    tr_message *message;
    bool came[3] = {false};
    (void)state;

    put("a", 1);
    put("b", 1);
    put("c", 1);
    mirror_look(&mirror, board, LATER(1));
    for (int round = 0; round < 3; round++) {
        uint32_t i = mirror_turn(&mirror);

        assert_ok(mirror_next(&mirror, i, board, &message));
        tr_message_release(message);
        came[i] = true;
        put(mirror.keys[i].key, 2);
        mirror_confirm(&mirror, i);
    }
    assert_true(came[0] && came[1] && came[2]);
    mirror_close(&mirror, waitset, 1);
}

static void what_was_dropped_is_offered_again(void **state)
{
    struct mirror mirror = {0};
    (void)state;

    put("a", 1);
    mirror_look(&mirror, board, LATER(1));
    offers(&mirror, 0, 1);
    mirror_drop(&mirror, 0);
    offers(&mirror, 0, 1);
    mirror_close(&mirror, waitset, 1);
}

static void the_wait_set_tells_of_newer_versions(void **state)
{
    struct mirror mirror = {0};
    tr_event event;
    size_t count;
    (void)state;

    put("a", 1);
    mirror_look(&mirror, board, LATER(1));
    offers(&mirror, 0, 1);
    mirror_confirm(&mirror, 0);
    offers_nothing(&mirror, 0);
    mirror_watch(&mirror, board, waitset, 700);
    assert_int_equal(tr_waitset_wait(waitset, &event, 1, TR_NOWAIT, &count), TR_EAGAIN);
    put("a", 2);
    assert_ok(tr_waitset_wait(waitset, &event, 1, TR_NOWAIT, &count));
    assert_int_equal(event.token, 700);
    mirror_woken(&mirror, 0);
    mirror_watch(&mirror, board, waitset, 700);
    assert_int_equal(tr_waitset_wait(waitset, &event, 1, TR_NOWAIT, &count), TR_EAGAIN);
    offers(&mirror, 0, 2);
    mirror_close(&mirror, waitset, 700);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_newest_goes_next, open_place, close_place),
        cmocka_unit_test_setup_teardown(keys_are_found_once, open_place, close_place),
        cmocka_unit_test_setup_teardown(a_deletion_is_offered, open_place, close_place),
        cmocka_unit_test_setup_teardown(what_was_deleted_before_is_offered_if_it_is_there,
                                        open_place, close_place),
        cmocka_unit_test_setup_teardown(
            a_key_that_changes_all_the_time_keeps_no_other_back, open_place, close_place),
        cmocka_unit_test_setup_teardown(what_was_dropped_is_offered_again, open_place,
                                        close_place),
        cmocka_unit_test_setup_teardown(the_wait_set_tells_of_newer_versions, open_place,
                                        close_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
