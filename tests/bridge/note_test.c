/* SPDX-License-Identifier: MIT */
#include "tests/unit/support.h"

#include "identity.h"
#include "note.h"

static const struct identity source = {{1, 2, 3}}, another = {{4, 5, 6}};

static tr_arena *make_place(void)
{
    tr_slot_class classes[] = {{4096, 16}};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_arena *arena;

    options.classes = classes;
    options.class_count = 1;
    assert_ok(tr_arena_create(NULL, &options, &arena));
    return arena;
}

static tr_board *open_board(tr_arena *arena, uint32_t capacity)
{
    tr_board_options options = TR_BOARD_OPTIONS_INIT;
    tr_board *board;

    options.capacity = capacity;
    assert_ok(tr_board_open(arena, OWN_BOARD, &options, &board));
    return board;
}

static void publish(struct note *note, uint64_t number)
{
    assert_ok(note_prepare(note));
    assert_ok(note_intend(note, number));
    assert_ok(note_prepare(note));
    assert_ok(note_add(note, number));
}

static void value_knows_the_last_numbers(void **state)
{
    struct note_value value = {.intent = NOTE_NONE};
    (void)state;

    memset(value.late, 0xff, sizeof(value.late));
    for (uint64_t number = 0; number < 20000; number += 3) {
        assert_false(note_value_has(&value, number));
        note_value_add(&value, number);
        assert_true(note_value_has(&value, number));
        assert_false(note_value_has(&value, number + 1));
        if (number >= 3000)
            assert_true(note_value_has(&value, number - 3000));
    }
    assert_false(note_value_has(&value, UINT64_C(1) << 40));
}

/* A receiver elsewhere died with a message, and the bridge got it late. */
static void value_knows_what_came_late(void **state)
{
    struct note_value value = {.intent = NOTE_NONE};
    (void)state;

    memset(value.late, 0xff, sizeof(value.late));
    note_value_add(&value, 1000000);
    assert_false(note_value_has(&value, 17));
    note_value_add(&value, 17);
    note_value_add(&value, 17);
    assert_int_equal(value.late_count, 1);
    assert_true(note_value_has(&value, 17));
    assert_false(note_value_has(&value, 18));
    for (uint64_t number = 100; number < 100 + NOTE_LATE - 1; number++)
        note_value_add(&value, number);
    assert_true(note_value_has(&value, 17));
    note_value_add(&value, 99);
    assert_false(note_value_has(&value, 17)); /* the oldest of them made room */
    assert_true(note_value_has(&value, 1000000));
}

static void outlives_the_bridge(void **state)
{
    tr_arena *arena = make_place();
    tr_board *board = open_board(arena, 64);
    struct note note;
    (void)state;

    assert_ok(note_open(&note, board, &source, ""));
    assert_false(note_has(&note, 5));
    publish(&note, 5);
    note_close(&note);
    assert_ok(note_open(&note, board, &another, ""));
    assert_false(note_has(&note, 5));
    note_close(&note);
    assert_ok(note_open(&note, board, &source, ""));
    assert_true(note_has(&note, 5));
    assert_int_equal(note.suspect, NOTE_NONE);
    note_close(&note);
    tr_board_close(board);
    tr_arena_close(arena);
}

static void tells_what_was_being_published(void **state)
{
    tr_arena *arena = make_place();
    tr_board *board = open_board(arena, 64);
    struct note note;
    (void)state;

    assert_ok(note_open(&note, board, &source, ""));
    publish(&note, 1);
    assert_ok(note_prepare(&note));
    assert_ok(note_intend(&note, 2)); /* and here it was killed */
    note_close(&note);
    assert_ok(note_open(&note, board, &source, ""));
    assert_int_equal(note.suspect, 2);
    assert_false(note_has(&note, 2));
    publish(&note, 2);
    assert_int_equal(note.suspect, NOTE_NONE);
    note_close(&note);
    tr_board_close(board);
    tr_arena_close(arena);
}

/* Two bridges publish from one queue elsewhere: each sees what the other has written. */
static void is_shared_by_two_bridges(void **state)
{
    tr_arena *arena = make_place();
    tr_board *board = open_board(arena, 64);
    struct note one, other;
    (void)state;

    assert_ok(note_open(&one, board, &source, ""));
    assert_ok(note_open(&other, board, &source, ""));
    for (uint64_t number = 0; number < 100; number += 2) {
        publish(&one, number);
        assert_true(note_has(&other, number));
        publish(&other, number + 1);
        assert_true(note_has(&one, number + 1));
    }
    assert_true(note_has(&one, 0));
    publish(&one, 1000);
    publish(&other, 1001); /* without a look before */
    publish(&one, 1002);
    assert_true(note_has(&other, 1000) && note_has(&other, 1002));
    assert_true(note_has(&one, 1001));
    note_close(&one);
    note_close(&other);
    tr_board_close(board);
    tr_arena_close(arena);
}

/* A link may be made while no slot is free: the first message can wait, the lane is there. */
static void opens_in_a_full_arena(void **state)
{
    tr_arena *arena = make_place();
    tr_board *board = open_board(arena, 64);
    tr_message *all[16];
    struct note note;
    (void)state;

    for (int i = 0; i < 16; i++)
        assert_ok(tr_message_loan_bytes(arena, 4096, 0, &all[i]));
    assert_ok(note_open(&note, board, &source, ""));
    assert_false(note_has(&note, 5));
    assert_int_equal(note_prepare(&note), TR_EAGAIN);
    for (int i = 0; i < 16; i++)
        tr_message_release(all[i]);
    publish(&note, 5);
    assert_true(note_has(&note, 5));
    note_close(&note);
    tr_board_close(board);
    tr_arena_close(arena);
}

/* Arenas elsewhere were made again and again: each has a queue of another identity. */
static void the_oldest_makes_room(void **state)
{
    tr_arena *arena = make_place();
    tr_board *board = open_board(arena, 8);
    struct identity one = {{0}};
    struct note note;
    (void)state;

    for (uint8_t i = 1; i < 40; i++) {
        one.bytes[0] = i;
        assert_ok(note_open(&note, board, &one, ""));
        publish(&note, i);
        note_close(&note);
    }
    assert_ok(note_open(&note, board, &one, ""));
    assert_true(note_has(&note, 39));
    note_close(&note);
    tr_board_close(board);
    tr_arena_close(arena);
}

static void note_one(tr_board *board, uint8_t who, const char *owner)
{
    const struct identity one = {{who, 1}};
    struct note note;

    assert_ok(note_open(&note, board, &one, owner));
    publish(&note, who);
    note_close(&note);
}

static bool is_noted(tr_board *board, uint8_t who, const char *owner)
{
    const struct identity one = {{who, 1}};
    struct note note;
    bool found;

    assert_ok(note_open(&note, board, &one, owner));
    found = note_has(&note, who);
    note_close(&note);
    return found;
}

/* A peer that says that it is many pushes out its own notes, and neither older nor later ones of
 * another. */
static void a_peer_of_many_names_harms_itself(void **state)
{
    tr_slot_class class = {4096, 64};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_arena *arena;
    tr_board *board;
    (void)state;

    options.classes = &class;
    options.class_count = 1;
    assert_ok(tr_arena_create(NULL, &options, &arena));
    board = open_board(arena, 32); /* 16 places */
    for (uint8_t i = 0; i < 4; i++)
        note_one(board, i, "good");
    for (uint8_t i = 100; i < 200; i++)
        note_one(board, i, "bad");
    for (uint8_t i = 4; i < 7; i++)
        note_one(board, i, "good");
    for (uint8_t i = 200; i < 250; i++)
        note_one(board, i, "bad");
    for (uint8_t i = 0; i < 7; i++)
        assert_true(is_noted(board, i, "good"));
    assert_true(is_noted(board, 249, "bad"));
    assert_false(is_noted(board, 100, "bad"));
    tr_board_close(board);
    tr_arena_close(arena);
}

static struct identity identity_in(tr_arena *arena, const char *name)
{
    tr_arena_info info = TR_ARENA_INFO_INIT;

    assert_ok(tr_arena_info_get(arena, &info));
    return identity_make(info.nonce, *name ? "queue" : "", name);
}

static void identities_are_of_one_queue_in_one_arena(void **state)
{
    static const char *const names[] = {"", "a", "b", "abcdef", "abcdefg", "abcdefgh"};
    enum { NAMES = sizeof(names) / sizeof(names[0]) };
    tr_arena *arenas[] = {make_place(), make_place()};
    struct identity found[2 * NAMES];
    (void)state;

    for (size_t i = 0; i < 2 * NAMES; i++) {
        found[i] = identity_in(arenas[i / NAMES], names[i % NAMES]);
        assert_false(identity_none(&found[i]));
        assert_int_not_equal(identity_short(&found[i]), 0);
        for (size_t j = 0; j < i; j++) {
            assert_false(identity_same(&found[i], &found[j]));
            assert_int_not_equal(identity_short(&found[i]), identity_short(&found[j]));
        }
    }
    found[0] = identity_in(arenas[0], "a");
    assert_true(identity_same(&found[0], &found[1]));
    for (size_t i = 0; i < 2; i++)
        tr_arena_close(arenas[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(value_knows_the_last_numbers),
        cmocka_unit_test(value_knows_what_came_late),
        cmocka_unit_test(outlives_the_bridge),
        cmocka_unit_test(tells_what_was_being_published),
        cmocka_unit_test(is_shared_by_two_bridges),
        cmocka_unit_test(opens_in_a_full_arena),
        cmocka_unit_test(the_oldest_makes_room),
        cmocka_unit_test(a_peer_of_many_names_harms_itself),
        cmocka_unit_test(identities_are_of_one_queue_in_one_arena),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
