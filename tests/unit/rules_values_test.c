/* SPDX-License-Identifier: MIT */
/* rules_values_test.c - names, specs, descrs and options that mean nothing are refused, and why. */
#include "support.h"

#include "src/base/error.h"

static const int64_t shape[] = {4};
static const tr_tensor_spec spec = {
    .dtype = {TR_DTYPE_FLOAT, 32, 1}, .ndim = 1, .shape = shape};
static tr_arena *arena;
static tr_queue *queue;
static tr_board *board;
static tr_message *message, *request;

static int open_all(void **state)
{
    uint64_t ticket;
    (void)state;

    assert_ok(tr_arena_create(NULL, NULL, &arena));
    assert_ok(tr_queue_open(arena, "requests", NULL, &queue));
    assert_ok(tr_board_open(arena, "board", NULL, &board));
    assert_ok(tr_message_loan(arena, &spec, 1, TR_NOWAIT, &message));
    assert_ok(tr_message_loan(arena, &spec, 1, TR_NOWAIT, &request));
    assert_ok(tr_request_send(queue, request, TR_NOWAIT, TR_FOREVER, 0, &ticket));
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &request));
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    tr_message_release(message);
    tr_message_release(request);
    tr_board_close(board);
    tr_queue_close(queue);
    tr_arena_close(arena);
    return 0;
}

/* What is no text: not UTF-8 (cut, too long, a surrogate, beyond the last), or not printable. */
static const char *const no_texts[] = {
    "a\xc3", "a\xc0\xaf", "a\xed\xa0\x80", "a\xf4\x90\x80\x80", "a\xff",
    "a\n",   "a\x01",     "a\x7f",         "a\xc2\x9b" /* CSI */};

#define assert_refused(call, part)           \
    do {                                     \
        tr_fail(0, "%s", "");                \
        assert_int_equal((call), TR_EINVAL); \
        assert_detail(part);                 \
    } while (0)

static void names_are_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(no_texts) / sizeof(no_texts[0]); i++) {
        const char *name = no_texts[i];
        tr_tensor_spec named = {.dtype = {TR_DTYPE_UINT, 8, 1}, .name = name};
        const char *const keys[] = {"key", name};
        tr_message *out[2], *loan;
        tr_broadcast *broadcast;
        tr_board_watch *watch;
        tr_arena *none;
        tr_board *no_board;
        tr_queue *no_queue;

        assert_refused(tr_arena_create(name, NULL, &none), "name");
        assert_refused(tr_queue_open(arena, name, NULL, &no_queue), "name");
        assert_refused(tr_board_open(arena, name, NULL, &no_board), "name");
        assert_refused(tr_broadcast_open(arena, name, NULL, &broadcast), "name");
        assert_refused(tr_board_put(board, name, message, NULL), "key");
        assert_refused(tr_board_wait(board, name, 0, TR_NOWAIT, out, NULL), "key");
        assert_refused(tr_board_watch_open(board, name, 0, &watch), "key");
        assert_refused(tr_board_get_many(board, keys, 2, out, NULL), "key");
        assert_refused(tr_message_loan(arena, &named, 1, TR_NOWAIT, &loan), "name");
    }
}

static void specs_mean_something(void **state)
{
    tr_tensor_spec twice[3] = {{.dtype = {TR_DTYPE_UINT, 8, 1}, .name = "twice"},
                               {.dtype = {TR_DTYPE_UINT, 8, 1}},
                               {.dtype = {TR_DTYPE_UINT, 8, 1}, .name = "twice"}};
    tr_tensor_spec odd = spec;
    tr_message *loan;
    size_t bytes;
    (void)state;

    assert_refused(tr_message_loan(arena, twice, 3, TR_NOWAIT, &loan), "\"twice\"");
    twice[2].name = "";
    assert_ok(tr_message_loan(arena, twice, 3, TR_NOWAIT, &loan)); /* "" is no name */
    tr_message_release(loan);
    assert_ok(tr_message_loan(arena, NULL, 0, TR_NOWAIT, &loan)); /* its header alone */
    tr_message_release(loan);
    odd.flags = TR_TENSOR_READ_ONLY;
    assert_refused(tr_message_loan(arena, &odd, 1, TR_NOWAIT, &loan), "flags is 0x2");
    assert_refused(tr_request_reuse(request, &odd, 1), "flags is 0x2");
    assert_refused(tr_npy_encode(&odd, NULL, 0, &bytes), "flags is 0x2");
    odd.flags = 0;
    odd.reserved = 1;
    assert_refused(tr_message_loan(arena, &odd, 1, TR_NOWAIT, &loan), "reserved is 1");
    assert_refused(tr_npy_encode(&odd, NULL, 0, &bytes), "reserved is 1");
    odd.reserved = 0;
    odd.descr = "no descr";
    assert_refused(tr_message_loan(arena, &odd, 1, TR_NOWAIT, &loan), "descr");
    odd.descr = "[('a\xff', '<i4')]";
    assert_refused(tr_message_loan(arena, &odd, 1, TR_NOWAIT, &loan), "descr");
}

/* What a descr says of the type is what the dtype and the flags say. */
static void descrs_agree_with_their_dtypes(void **state)
{
    static const struct {
        tr_dtype dtype;
        const char *descr;
        uint32_t flags;
        const char *why; /* NULL: it is taken */
    } cases[] = {
        {{TR_DTYPE_FLOAT, 64, 1}, "<f8", 0, NULL},
        {{TR_DTYPE_FLOAT, 64, 1}, ">f8", TR_TENSOR_BYTESWAPPED, NULL},
        {{TR_DTYPE_INT, 64, 1}, "<M8[ns]", 0, NULL},
        {{TR_DTYPE_INT, 64, 1},
         ">m8[s]",
         TR_TENSOR_BYTESWAPPED | TR_TENSOR_F_ORDER,
         NULL},
        {{TR_DTYPE_OPAQUE, 64, 1}, "[('a', '>f8')]", 0, NULL},
        {{TR_DTYPE_OPAQUE, 8, 8},
         "[('a', '<f8')]",
         0,
         NULL}, /* lanes are the user's affair */
        {{TR_DTYPE_OPAQUE, 32, 1}, ">U1", TR_TENSOR_BYTESWAPPED, NULL},
        {{TR_DTYPE_FLOAT, 32, 1}, "<f8", 0, "\"<f8\" is float64"},
        {{TR_DTYPE_INT, 64, 1}, "<f8", 0, "\"<f8\" is float64"},
        {{TR_DTYPE_FLOAT, 64, 1}, "<M8[ns]", 0, "is int64"},
        {{TR_DTYPE_FLOAT, 32, 2}, "<f8", 0, "is float64"},
        {{TR_DTYPE_UINT, 8, 4}, "|S4", 0, "is opaque"},
        {{TR_DTYPE_OPAQUE, 32, 1}, "|S5", 0, "elements of 5 bytes, the dtype of 4"},
        {{TR_DTYPE_OPAQUE, 64, 1}, "<f8", 0, "is float64"},
        {{TR_DTYPE_FLOAT, 64, 1}, ">f8", 0, "TR_TENSOR_BYTESWAPPED"},
        {{TR_DTYPE_FLOAT, 64, 1}, "<f8", TR_TENSOR_BYTESWAPPED, "TR_TENSOR_BYTESWAPPED"},
        {{TR_DTYPE_FLOAT, 64, 1}, NULL, TR_TENSOR_BYTESWAPPED, "TR_TENSOR_BYTESWAPPED"},
        {{TR_DTYPE_FLOAT, 64, 1}, "", TR_TENSOR_BYTESWAPPED, "TR_TENSOR_BYTESWAPPED"},
    };
    tr_message *loan;
    size_t bytes;
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const tr_tensor_spec one = {.dtype = cases[i].dtype,
                                    .ndim = 1,
                                    .shape = shape,
                                    .descr = cases[i].descr,
                                    .flags = cases[i].flags};

        if (cases[i].why) {
            assert_refused(tr_message_loan(arena, &one, 1, TR_NOWAIT, &loan),
                           cases[i].why);
            assert_refused(tr_npy_encode(&one, NULL, 0, &bytes), cases[i].why);
        } else {
            assert_ok(tr_message_loan(arena, &one, 1, TR_NOWAIT, &loan));
            tr_message_release(loan);
            assert_ok(tr_npy_encode(&one, NULL, 0, &bytes));
        }
    }
}

static void arena_options_mean_something(void **state)
{
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_arena *none;
    (void)state;

    options.class_count = 1;
    assert_refused(tr_arena_create(NULL, &options, &none), "classes is NULL");
    options.class_count = 0;
    options.spin_ns = -2;
    assert_refused(tr_arena_create(NULL, &options, &none), "spin_ns is -2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_text),
        cmocka_unit_test(specs_mean_something),
        cmocka_unit_test(descrs_agree_with_their_dtypes),
        cmocka_unit_test(arena_options_mean_something),
    };

    return cmocka_run_group_tests(tests, open_all, close_all);
}
