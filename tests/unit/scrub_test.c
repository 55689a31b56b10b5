/* SPDX-License-Identifier: MIT */
/* scrub_test.c - what a loan shows of the slot's last user. */
#include "support.h"

static tr_arena *scrubbing(void)
{
    tr_slot_class classes[] = {{4096, 1}};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_arena *arena;

    options.classes = classes;
    options.class_count = 1;
    options.flags = TR_ARENA_SCRUB;
    assert_ok(tr_arena_create(NULL, &options, &arena));
    return arena;
}

static void leave_secrets(tr_arena *arena)
{
    tr_message *message;

    assert_ok(tr_message_loan_bytes(arena, 4096, TR_NOWAIT, &message));
    memset(tr_message_tensor(message, 0)->data, 0xaa, 4096);
    assert_ok(tr_message_release(message));
}

static void assert_blank(const tr_message *message)
{
    const tr_tensor *tensor = tr_message_tensor(message, 0);

    for (uint64_t i = 0; i < tensor->nbytes; i++)
        assert_int_equal(((const uint8_t *)tensor->data)[i], 0);
}

static void a_loan_is_blank(void **state)
{
    static const uint64_t sizes[] = {1, 8, 100, 4096};
    tr_arena *arena = scrubbing();
    tr_message *message;

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        leave_secrets(arena);
        assert_ok(tr_message_loan_bytes(arena, sizes[i], TR_NOWAIT, &message));
        assert_blank(message);
        assert_ok(tr_message_release(message));
    }
    tr_arena_close(arena);
}

static void several_tensors_are_blank(void **state)
{
    int64_t shape[] = {3, 5};
    tr_tensor_spec specs[] = {
        {.name = "a", .dtype = {TR_DTYPE_FLOAT, 64, 1}, .ndim = 2, .shape = shape},
        {.name = "b", .dtype = {TR_DTYPE_UINT, 8, 1}, .ndim = 1, .shape = shape}};
    tr_arena *arena = scrubbing();
    tr_message *message;

    (void)state;
    leave_secrets(arena);
    assert_ok(tr_message_loan(arena, specs, 2, TR_NOWAIT, &message));
    for (size_t i = 0; i < 2; i++) {
        const tr_tensor *tensor = tr_message_tensor(message, i);

        for (uint64_t at = 0; at < tensor->nbytes; at++)
            assert_int_equal(((const uint8_t *)tensor->data)[at], 0);
    }
    assert_ok(tr_message_release(message));
    tr_arena_close(arena);
}

/* A server that asks for more than the request had would else reply with what lay behind. */
static void a_reused_request_is_blank(void **state)
{
    int64_t shape[] = {4096};
    tr_tensor_spec spec = {.dtype = {TR_DTYPE_UINT, 8, 1}, .ndim = 1, .shape = shape};
    tr_arena *arena = scrubbing();
    tr_message *message, *reply;
    tr_queue *queue;
    uint64_t ticket;

    (void)state;
    leave_secrets(arena);
    assert_ok(tr_queue_open(arena, "q", NULL, &queue));
    assert_ok(tr_message_loan_bytes(arena, 8, TR_NOWAIT, &message));
    assert_ok(tr_request_send(queue, message, TR_FOREVER, TR_FOREVER, 0, &ticket));
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
    assert_ok(tr_request_reuse(message, &spec, 1));
    assert_blank(message);
    assert_ok(tr_request_reply(message, NULL));
    assert_ok(tr_request_wait(arena, ticket, TR_NOWAIT, &reply));
    assert_blank(reply);
    assert_ok(tr_message_release(reply));
    tr_queue_close(queue);
    tr_arena_close(arena);
}

/* What the header says of arenas without the flag. */
static void without_the_flag_it_shows_what_was_there(void **state)
{
    tr_arena *arena = make_arena(1, 0);
    tr_message *message = loan_i64(arena, 4, 77);

    (void)state;
    assert_ok(tr_message_release(message));
    assert_ok(tr_message_loan_bytes(arena, 8, TR_NOWAIT, &message));
    assert_int_equal(first_i64(message), 77);
    assert_ok(tr_message_release(message));
    tr_arena_close(arena);
}

static void modes_that_give_half_are_refused(void **state)
{
    static const uint32_t bad[] = {0644, 0640, 0620, 0662, 0400, 0060, 0, 0755, 01600};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_arena *arena;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        options.mode = bad[i];
        assert_int_equal(tr_arena_create(NULL, &options, &arena), TR_EINVAL);
        assert_detail("600, 660, 666");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loan_is_blank),
        cmocka_unit_test(several_tensors_are_blank),
        cmocka_unit_test(a_reused_request_is_blank),
        cmocka_unit_test(without_the_flag_it_shows_what_was_there),
        cmocka_unit_test(modes_that_give_half_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
