/* SPDX-License-Identifier: MIT */
/* landing_test.c - pieces that an engine writes into a slot, and what becomes of the slot. */
#include "tests/unit/support.h"

#include <stdlib.h>

#include "arriving.h"
#include "landing.h"

enum { FIRST = 1000, SECOND = 3000, NUMBER = 7 };

static struct arrival *newest;

/* The bridge looks into the lane. */
struct arrival *arrival_newest(struct lane *lane)
{
    (void)lane;
    return newest;
}

/* An arena with one slot, and a message of two tensors that arrives in it. */
static tr_arena *make_place(void)
{
    tr_slot_class classes[] = {{8192, 1}};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    int64_t shapes[] = {FIRST, SECOND};
    tr_tensor_spec specs[] = {
        {.ndim = 1, .shape = &shapes[0], .dtype = {TR_DTYPE_UINT, 8, 1}},
        {.ndim = 1, .shape = &shapes[1], .dtype = {TR_DTYPE_UINT, 8, 1}}};
    tr_arena *arena;

    options.classes = classes;
    options.class_count = 1;
    assert_ok(tr_arena_create(NULL, &options, &arena));
    newest = calloc(1, sizeof(*newest));
    assert_non_null(newest);
    newest->message.number = NUMBER;
    newest->message.count = 2;
    newest->message.payload_bytes = FIRST + SECOND;
    assert_ok(tr_message_loan(arena, specs, 2, TR_NOWAIT, &newest->slot));
    return arena;
}

/* Ask for a place for so many bytes, as an engine does. */
static bool ask(uint64_t number, uint64_t offset, size_t bytes, struct landing *landing)
{
    struct wire_out out = {0};
    struct wire_in in;
    bool found;

    wire_put_u64(&out, number);
    wire_put_u64(&out, offset);
    in = (struct wire_in){out.bytes, out.bytes + out.used, false};
    found = landing_place(NULL, &in, bytes, landing);
    wire_free(&out);
    return found;
}

static bool is_free(tr_arena *arena)
{
    tr_message *message;
    bool loaned = tr_message_loan_bytes(arena, 1, TR_NOWAIT, &message) == 0;

    if (loaned)
        tr_message_release(message);
    return loaned;
}

static uint8_t *byte_of(uint32_t tensor, size_t at)
{
    return (uint8_t *)tr_message_tensor(newest->slot, tensor)->data + at;
}

static void pieces_lie_in_their_tensors(void **state)
{
    struct landing landing[3];
    tr_arena *arena = make_place();
    (void)state;

    assert_true(ask(NUMBER, 0, FIRST, &landing[0]));
    assert_true(ask(NUMBER, FIRST, 100, &landing[1]));
    assert_true(ask(NUMBER, FIRST + 100, SECOND - 100, &landing[2]));
    assert_ptr_equal(landing[0].to, byte_of(0, 0));
    assert_ptr_equal(landing[1].to, byte_of(1, 0));
    assert_ptr_equal(landing[2].to, byte_of(1, 100));
    for (int i = 0; i < 3; i++)
        landing[i].landed(landing[i].context);
    landing_leave(newest);
    assert_true(is_free(arena));
    tr_arena_close(arena);
}

static void what_does_not_fit_has_no_place(void **state)
{
    struct landing landing;
    tr_arena *arena = make_place();
    (void)state;

    assert_false(ask(NUMBER + 1, 0, 10, &landing));         /* another message */
    assert_false(ask(NUMBER, 0, FIRST + 1, &landing));      /* two tensors */
    assert_false(ask(NUMBER, FIRST, SECOND + 1, &landing)); /* behind the last */
    assert_false(ask(NUMBER, FIRST + SECOND, 1, &landing));
    assert_false(ask(NUMBER, UINT64_MAX, 1, &landing));
    assert_true(ask(NUMBER, 100, 100, &landing));
    landing.landed(landing.context);
    assert_false(ask(NUMBER, 100, 100, &landing)); /* it has been there */
    assert_false(ask(NUMBER, 199, 10, &landing));
    newest->come = 500;
    assert_false(ask(NUMBER, 499, 10, &landing));
    landing_leave(newest);
    newest = NULL;
    assert_false(ask(NUMBER, 600, 10, &landing)); /* nothing arrives */
    tr_arena_close(arena);
}

/* Its link is lost, or it is declined, while the engine writes. */
static void a_slot_is_kept_until_all_have_landed(void **state)
{
    struct landing one, other;
    tr_arena *arena = make_place();
    (void)state;

    assert_true(ask(NUMBER, 0, 10, &one));
    assert_true(ask(NUMBER, 10, 10, &other));
    landing_leave(newest);
    newest = NULL;
    assert_false(is_free(arena));
    one.landed(one.context);
    assert_false(is_free(arena));
    memset(other.to, 1, 10); /* the slot still is the bridge's */
    other.landed(other.context);
    assert_true(is_free(arena));
    tr_arena_close(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_lie_in_their_tensors),
        cmocka_unit_test(what_does_not_fit_has_no_place),
        cmocka_unit_test(a_slot_is_kept_until_all_have_landed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
