/* SPDX-License-Identifier: MIT */
#include "tests/unit/support.h"

#include <stdlib.h>

#include "hello.h"
#include "wire_message.h"

static tr_message *make_message(tr_arena *arena)
{
    const int64_t shape[] = {2, 3};
    tr_tensor_spec specs[] = {
        {.dtype = {TR_DTYPE_FLOAT, 32, 1}, .ndim = 2, .shape = shape, .name = "x"},
        {.dtype = {TR_DTYPE_INT, 8, 1}, .flags = TR_TENSOR_F_ORDER},
        {.dtype = {TR_DTYPE_INT, 64, 1},
         .ndim = 1,
         .shape = shape,
         .name = "when",
         .descr = "<M8[us]"},
    };
    tr_header header = TR_HEADER_INIT;
    tr_message *message;

    assert_ok(tr_message_loan(arena, specs, 3, TR_NOWAIT, &message));
    for (size_t i = 0; i < 3; i++)
        memset(tr_message_tensor(message, i)->data, (int)i + 1,
               tr_message_tensor(message, i)->nbytes);
    header.content = TR_CONTENT_OTHER;
    strcpy(header.content_type, "application/x-what");
    header.correlation_id = 77;
    memset(header.user, 9, sizeof(header.user));
    assert_ok(tr_message_header_set(message, &header));
    return message;
}

static struct wire_in open_frame(const struct wire_out *out, enum wire_type expected)
{
    const char *why;
    struct wire_in in;

    assert_int_equal(wire_open(&in, out->bytes, out->used, &why), expected);
    return in;
}

static void put(struct wire_out *out, const tr_message *message)
{
    tr_header header = TR_HEADER_INIT;

    assert_ok(tr_message_header_get(message, &header));
    header.sequence = 12345;
    wire_put_message(out, 3, message, &header, &(tr_origin){.source = 66, .number = 99},
                     5000);
    assert_false(out->failed);
}

static void a_message_is_what_it_was(void **state)
{
    tr_arena *arena = make_arena(4, 4);
    tr_message *message = make_message(arena);
    struct wire_out out = {0};
    struct wire_message got;
    struct wire_in in;
    (void)state;

    put(&out, message);
    in = open_frame(&out, WIRE_MESSAGE);
    assert_true(wire_get_message(&in, &got));
    assert_int_equal(got.channel, 3);
    assert_int_equal(got.number, 12345);
    assert_int_equal(got.origin.source, 66);
    assert_int_equal(got.origin.number, 99);
    assert_int_equal(got.count, 3);
    assert_int_equal(got.header.deadline_ns, 5000);
    assert_int_equal(got.header.correlation_id, 77);
    assert_string_equal(got.header.content_type, "application/x-what");
    assert_int_equal(got.header.user[63], 9);
    assert_string_equal(got.specs[0].name, "x");
    assert_int_equal(got.specs[0].shape[1], 3);
    assert_int_equal(got.specs[1].flags, TR_TENSOR_F_ORDER);
    assert_string_equal(got.specs[2].descr, "<M8[us]");
    assert_int_equal(got.payload_bytes, 24 + 1 + 16);
    assert_int_equal(got.payload[24], 2);
    assert_int_equal(got.payload[40], 3);
    wire_message_free(&got);
    wire_free(&out);
    tr_message_release(message);
    tr_arena_close(arena);
}

/* Every shorter frame, and every frame with one byte more, is refused and read no further. */
static void a_frame_of_another_length_is_refused(void **state)
{
    tr_arena *arena = make_arena(4, 4);
    tr_message *message = make_message(arena);
    struct wire_out out = {0};
    struct wire_message got;
    (void)state;

    put(&out, message);
    for (size_t count = 8; count < out.used; count++) {
        uint8_t *cut = malloc(count);
        struct wire_in in = {cut + 8, cut + count, false};

        memcpy(cut, out.bytes, count);
        assert_false(wire_get_message(&in, &got));
        free(cut);
    }
    wire_put_u8(&out, 0);
    assert_false(wire_get_message(
        &(struct wire_in){out.bytes + 8, out.bytes + out.used, false}, &got));
    wire_free(&out);
    tr_message_release(message);
    tr_arena_close(arena);
}

static void a_hello_is_what_it_was(void **state)
{
    struct hello_channel channels[] = {
        {KIND_QUEUE, DIRECTION_OUT, 0, 16, 1 << 20, {{1}}, "jobs", NULL},
        {KIND_QUEUE, DIRECTION_IN, 1, 4, 1, {{2}}, "answers", "why"}};
    struct hello hello = {{{7}}, 2, HELLO_PICKLE, 2, 4096, "pool@host", channels}, got;
    struct wire_out out = {0};
    struct wire_in in;
    (void)state;

    wire_put_hello(&out, WIRE_HELLO, &hello);
    in = open_frame(&out, WIRE_HELLO);
    assert_true(wire_get_hello(&in, &got));
    assert_string_equal(got.where, "pool@host");
    assert_int_equal(got.largest, 4096);
    assert_string_equal(got.channels[0].name, "jobs");
    assert_string_equal(got.channels[1].why, "why");
    assert_int_equal(got.channels[1].source.bytes[0], 2);
    hello_free(&got);
    for (size_t count = 8; count < out.used; count++) {
        in = (struct wire_in){out.bytes + 8, out.bytes + count, false};
        assert_false(wire_get_hello(&in, &got));
    }
    wire_free(&out);
}

static void another_version_is_told(void **state)
{
    struct wire_out out = {0};
    const char *why;
    struct wire_in in;
    (void)state;

    wire_begin(&out, WIRE_PING);
    out.bytes[4] = 99;
    assert_int_equal(wire_open(&in, out.bytes, out.used, &why), WIRE_NOTHING);
    assert_string_equal(why, "it speaks wire version 99, this bridge speaks 3");
    out.bytes[0] = 'x';
    assert_int_equal(wire_open(&in, out.bytes, out.used, &why), WIRE_NOTHING);
    assert_non_null(strstr(why, "magic"));
    assert_int_equal(wire_open(&in, "", 0, &why), WIRE_NOTHING);
    wire_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_what_it_was),
        cmocka_unit_test(a_frame_of_another_length_is_refused),
        cmocka_unit_test(a_hello_is_what_it_was),
        cmocka_unit_test(another_version_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
