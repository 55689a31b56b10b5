/* SPDX-License-Identifier: MIT */
/* elastic_test.c - arenas whose slots have the memory that their messages need. */
#include "support.h"

#include <stdlib.h>

#include "src/message.h"

#define MIB (1 << 20)

static tr_arena *make_elastic(uint64_t bytes, uint64_t count, uint32_t flags)
{
    tr_slot_class class = {bytes, count};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_arena *arena;

    options.flags = TR_ARENA_ELASTIC | flags;
    options.classes = &class;
    options.class_count = 1;
    options.max_participants = 8;
    assert_ok(tr_arena_create(&arena, NULL, &options));
    return arena;
}

/* What the slots have. */
static uint64_t resident(tr_arena *arena)
{
    tr_arena_info info = {.struct_size = sizeof(info)};

    assert_ok(tr_arena_info_read(arena, &info));
    return info.resident_bytes - arena_known(arena)->view.geo.payload_off;
}

static tr_message *loan(tr_arena *arena, uint64_t bytes)
{
    tr_message *message;

    assert_ok(tr_loan_bytes(arena, bytes, TR_NOWAIT, &message));
    memset(tr_message_tensor(message, 0)->data, 7, bytes);
    return message;
}

static void takes_what_it_needs(void **state)
{
    tr_arena *arena = make_elastic(64 * MIB, 1024, 0);
    tr_message *small, *large, *none;
    tr_arena_info info = {.struct_size = sizeof(info)};
    (void)state;

    assert_ok(tr_arena_info_read(arena, &info));
    assert_int_equal(info.flags & (TR_ARENA_ELASTIC | TR_ARENA_LAZY),
                     TR_ARENA_ELASTIC | TR_ARENA_LAZY);
    assert_int_equal(resident(arena), 0);
    small = loan(arena, 100);
    assert_int_equal(resident(arena), PAGE);
    large = loan(arena, 17 * MIB);
    assert_int_equal(resident(arena), 17 * MIB + PAGE);
    assert_ok(tr_loan_bytes(arena, 0, TR_NOWAIT, &none));
    assert_int_equal(resident(arena), 17 * MIB + PAGE);
    tr_release(none);
    tr_release(small);
    tr_release(large);
    tr_arena_close(arena);
}

/* The next message in a slot may need more, and finds what the last one needed. */
static void grows_from_message_to_message(void **state)
{
    tr_arena *arena = make_elastic(4 * MIB, 1, 0);
    (void)state;

    tr_release(loan(arena, 5000));
    assert_int_equal(resident(arena), 2 * PAGE);
    tr_release(loan(arena, 3 * PAGE));
    assert_int_equal(resident(arena), 3 * PAGE);
    tr_release(loan(arena, 2 * PAGE));
    assert_int_equal(resident(arena), 3 * PAGE);
    tr_arena_close(arena);
}

static void gives_all_back(void **state)
{
    tr_arena *arena = make_elastic(4 * MIB, 4, 0);
    tr_message *kept = loan(arena, MIB);
    uint64_t bytes;
    (void)state;

    tr_release(loan(arena, 2 * MIB));
    assert_ok(tr_arena_trim(arena, &bytes));
    assert_int_equal(bytes, 2 * MIB);
    assert_int_equal(resident(arena), MIB);
    assert_int_equal(((uint8_t *)tr_message_tensor(kept, 0)->data)[MIB - 1], 7);
    tr_release(kept);
    assert_ok(tr_arena_trim(arena, &bytes));
    assert_int_equal(bytes, MIB);
    assert_int_equal(resident(arena), 0);
    tr_arena_close(arena);
}

/* A table is behind its data, and not at the end of a slot that has no memory there. */
static void tables_are_behind_the_data(void **state)
{
    tr_arena *arena = make_elastic(4 * MIB, 2, 0);
    int64_t shapes[] = {100, 3};
    tr_tensor_spec specs[] = {
        {.dtype = {TR_UINT, 8, 1}, .ndim = 1, .shape = &shapes[0], .name = "bytes"},
        {.dtype = {TR_INT, 64, 1}, .ndim = 1, .shape = &shapes[1], .name = "numbers"}};
    tr_message *message;
    tr_queue *queue;
    (void)state;

    assert_ok(tr_queue_open(arena, "q", NULL, &queue));
    assert_ok(tr_loan(arena, specs, 2, TR_NOWAIT, &message));
    memset(tr_message_tensor(message, 0)->data, 1, 100);
    memset(tr_message_tensor(message, 1)->data, 2, 24);
    assert_int_equal(resident(arena), PAGE);
    assert_ok(tr_queue_send(queue, message, TR_NOWAIT));
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
    assert_int_equal(tr_message_count(message), 2);
    assert_string_equal(tr_message_tensor(message, 1)->name, "numbers");
    assert_int_equal(first_i64(message), INT64_C(0x0101010101010101));
    assert_int_equal(*(int64_t *)tr_message_tensor(message, 1)->data,
                     INT64_C(0x0202020202020202));
    tr_release(message);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

/* The reply in the slot of a request is larger than that was. */
static void grows_while_it_is_held(void **state)
{
    tr_arena *arena = make_elastic(4 * MIB, 4, 0);
    int64_t large = MIB;
    tr_tensor_spec spec = {
        .dtype = {TR_UINT, 8, 1}, .ndim = 1, .shape = &large, .name = "large"};
    tr_message *request, *reply;
    uint64_t ticket;
    tr_queue *queue;
    (void)state;

    assert_ok(tr_queue_open(arena, "ask", NULL, &queue));
    assert_ok(tr_request_async(queue, loan_i64(arena, 4, 1), TR_FOREVER, &ticket));
    assert_int_equal(resident(arena), PAGE);
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &request));
    assert_ok(tr_request_reuse(request, &spec, 1));
    assert_int_equal(resident(arena), MIB);
    memset(tr_message_tensor(request, 0)->data, 5, MIB);
    assert_ok(tr_reply(request, request));
    assert_ok(tr_reply_wait(arena, ticket, TR_NOWAIT, &reply));
    assert_int_equal(((uint8_t *)tr_message_tensor(reply, 0)->data)[MIB - 1], 5);
    tr_release(reply);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

/* What a loader read stays, and its table comes behind it. */
static void describes_what_was_read(void **state)
{
    tr_arena *arena = make_elastic(4 * MIB, 1, 0);
    tr_message *message = loan(arena, 2 * PAGE);
    int64_t count = 2 * PAGE - 128;
    char name[101] = {0};
    tr_tensor_spec spec = {
        .dtype = {TR_UINT, 8, 1}, .ndim = 1, .shape = &count, .name = name};
    const tr_tensor *tensor;
    (void)state;

    memset(name, 'n', 100);
    assert_ok(message_describe(message_known(message), &spec, 128));
    assert_int_equal(resident(arena), 3 * PAGE);
    tensor = tr_message_tensor(message, 0);
    assert_string_equal(tensor->name, name);
    for (int64_t i = 0; i < count; i++)
        assert_int_equal(((uint8_t *)tensor->data)[i], 7);
    tr_release(message);
    tr_arena_close(arena);
}

static void scrubs_what_is_there(void **state)
{
    tr_arena *arena = make_elastic(4 * MIB, 1, TR_ARENA_SCRUB);
    tr_message *message;
    (void)state;

    tr_release(loan(arena, 3 * PAGE));
    assert_ok(tr_loan_bytes(arena, 2 * PAGE, TR_NOWAIT, &message));
    for (int i = 0; i < 2 * PAGE; i++)
        assert_int_equal(((uint8_t *)tr_message_tensor(message, 0)->data)[i], 0);
    tr_release(message);
    tr_arena_close(arena);
}

/* A mark for a device, and its end, leave alone what the slot has. */
static void marks_keep_the_memory(void **state)
{
    tr_arena *arena = make_elastic(4 * MIB, 1, 0);
    tr_message *message = loan(arena, 3 * PAGE);
    uint64_t bytes;
    (void)state;

    assert_ok(tr_message_device_begin(message));
    assert_ok(tr_message_device_end(message));
    tr_release(message);
    assert_ok(tr_arena_trim(arena, &bytes));
    assert_int_equal(bytes, 3 * PAGE);
    tr_arena_close(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_what_it_needs),
        cmocka_unit_test(grows_from_message_to_message),
        cmocka_unit_test(gives_all_back),
        cmocka_unit_test(tables_are_behind_the_data),
        cmocka_unit_test(grows_while_it_is_held),
        cmocka_unit_test(describes_what_was_read),
        cmocka_unit_test(scrubs_what_is_there),
        cmocka_unit_test(marks_keep_the_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
