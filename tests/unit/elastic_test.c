/* SPDX-License-Identifier: MIT */
/* elastic_test.c - arenas whose slots have the memory that their messages need. */
#include "elastic_scene.h"

static void takes_what_it_needs(void **state)
{
    tr_arena *arena = make_elastic(64 * MIB, 64, 0);
    tr_message *small, *large, *none;
    tr_arena_info info = TR_ARENA_INFO_INIT;
    (void)state;

    assert_ok(tr_arena_info_get(arena, &info));
    assert_int_equal(info.flags & (TR_ARENA_ELASTIC | TR_ARENA_LAZY),
                     TR_ARENA_ELASTIC | TR_ARENA_LAZY);
    assert_int_equal(resident(arena), 0);
    small = loan(arena, 100);
    assert_int_equal(resident(arena), ARENA_PAGE);
    large = loan(arena, 17 * MIB);
    assert_int_equal(resident(arena), 17 * MIB + ARENA_PAGE);
    assert_ok(tr_message_loan_bytes(arena, 0, TR_NOWAIT, &none));
    assert_int_equal(resident(arena), 17 * MIB + ARENA_PAGE);
    tr_message_release(none);
    tr_message_release(small);
    tr_message_release(large);
    tr_arena_close(arena);
}

/* The next message in a slot may need more, and finds what the last one needed. */
static void grows_from_message_to_message(void **state)
{
    tr_arena *arena = make_elastic(4 * MIB, 1, 0);
    (void)state;

    tr_message_release(loan(arena, 5000));
    assert_int_equal(resident(arena), 2 * ARENA_PAGE);
    tr_message_release(loan(arena, 3 * ARENA_PAGE));
    assert_int_equal(resident(arena), 3 * ARENA_PAGE);
    tr_message_release(loan(arena, 2 * ARENA_PAGE));
    assert_int_equal(resident(arena), 3 * ARENA_PAGE);
    tr_arena_close(arena);
}

static void gives_all_back(void **state)
{
    tr_arena *arena = make_elastic(4 * MIB, 4, 0);
    tr_message *kept = loan(arena, MIB);
    uint64_t bytes;
    (void)state;

    tr_message_release(loan(arena, 2 * MIB));
    assert_ok(tr_arena_trim(arena, &bytes));
    assert_int_equal(bytes, 2 * MIB);
    assert_int_equal(resident(arena), MIB);
    assert_int_equal(((uint8_t *)tr_message_tensor(kept, 0)->data)[MIB - 1], 7);
    tr_message_release(kept);
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
        {.dtype = {TR_DTYPE_UINT, 8, 1}, .ndim = 1, .shape = &shapes[0], .name = "bytes"},
        {.dtype = {TR_DTYPE_INT, 64, 1},
         .ndim = 1,
         .shape = &shapes[1],
         .name = "numbers"}};
    tr_message *message;
    tr_queue *queue;
    (void)state;

    assert_ok(tr_queue_open(arena, "q", NULL, &queue));
    assert_ok(tr_message_loan(arena, specs, 2, TR_NOWAIT, &message));
    memset(tr_message_tensor(message, 0)->data, 1, 100);
    memset(tr_message_tensor(message, 1)->data, 2, 24);
    assert_int_equal(resident(arena), ARENA_PAGE);
    assert_ok(tr_queue_send(queue, message, TR_NOWAIT));
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
    assert_int_equal(tr_message_count(message), 2);
    assert_string_equal(tr_message_tensor(message, 1)->name, "numbers");
    assert_int_equal(first_i64(message), INT64_C(0x0101010101010101));
    assert_int_equal(*(int64_t *)tr_message_tensor(message, 1)->data,
                     INT64_C(0x0202020202020202));
    tr_message_release(message);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

/* The reply in the slot of a request is larger than that was. */
static void grows_while_it_is_held(void **state)
{
    tr_arena *arena = make_elastic(4 * MIB, 4, 0);
    int64_t large = MIB;
    tr_tensor_spec spec = {
        .dtype = {TR_DTYPE_UINT, 8, 1}, .ndim = 1, .shape = &large, .name = "large"};
    tr_message *request, *reply;
    uint64_t ticket;
    tr_queue *queue;
    (void)state;

    assert_ok(tr_queue_open(arena, "ask", NULL, &queue));
    assert_ok(tr_request_send(queue, loan_i64(arena, 4, 1), TR_FOREVER, TR_FOREVER, 0,
                              &ticket));
    assert_int_equal(resident(arena), ARENA_PAGE);
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &request));
    assert_ok(tr_request_reuse(request, &spec, 1));
    assert_int_equal(resident(arena), MIB);
    memset(tr_message_tensor(request, 0)->data, 5, MIB);
    assert_ok(tr_request_reply(request, request));
    assert_ok(tr_request_wait(arena, ticket, TR_NOWAIT, &reply));
    assert_int_equal(((uint8_t *)tr_message_tensor(reply, 0)->data)[MIB - 1], 5);
    tr_message_release(reply);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

/* What a loader read stays, and its table comes behind it. */
static void describes_what_was_read(void **state)
{
    tr_arena *arena = make_elastic(4 * MIB, 1, 0);
    tr_message *message = loan(arena, 2 * ARENA_PAGE);
    int64_t count = 2 * ARENA_PAGE - 128;
    char name[101] = {0};
    tr_tensor_spec spec = {
        .dtype = {TR_DTYPE_UINT, 8, 1}, .ndim = 1, .shape = &count, .name = name};
    const tr_tensor *tensor;
    (void)state;

    memset(name, 'n', 100);
    assert_ok(message_describe(message_known(message), &spec, 128));
    assert_int_equal(resident(arena), 3 * ARENA_PAGE);
    tensor = tr_message_tensor(message, 0);
    assert_string_equal(tensor->name, name);
    for (int64_t i = 0; i < count; i++)
        assert_int_equal(((uint8_t *)tensor->data)[i], 7);
    tr_message_release(message);
    tr_arena_close(arena);
}

static void scrubs_what_is_there(void **state)
{
    tr_arena *arena = make_elastic(4 * MIB, 1, TR_ARENA_SCRUB);
    tr_message *message;
    (void)state;

    tr_message_release(loan(arena, 3 * ARENA_PAGE));
    assert_ok(tr_message_loan_bytes(arena, 2 * ARENA_PAGE, TR_NOWAIT, &message));
    for (int i = 0; i < 2 * ARENA_PAGE; i++)
        assert_int_equal(((uint8_t *)tr_message_tensor(message, 0)->data)[i], 0);
    tr_message_release(message);
    tr_arena_close(arena);
}

/* A mark for a device, and its end, leave alone what the slot has. */
static void marks_keep_the_memory(void **state)
{
    tr_arena *arena = make_elastic(4 * MIB, 1, 0);
    tr_message *message = loan(arena, 3 * ARENA_PAGE);
    uint64_t bytes;
    (void)state;

    assert_ok(tr_message_device_begin(message));
    assert_ok(tr_message_device_end(message));
    tr_message_release(message);
    assert_ok(tr_arena_trim(arena, &bytes));
    assert_int_equal(bytes, 3 * ARENA_PAGE);
    tr_arena_close(arena);
}

/* Within the budget; beyond it what is freed has no memory any more. */
static void keeps_some_of_it_warm(void **state)
{
    tr_slot_class class = {64 * MIB, 64};
    tr_arena_options options = options_of(&class, 1);
    tr_arena *arena = make(&options);
    tr_arena_info info = TR_ARENA_INFO_INIT;
    tr_message *large, *small;
    (void)state;

    large = loan(arena, 17 * MIB);
    small = loan(arena, MIB);
    tr_message_release(large);
    assert_int_equal(resident(arena), MIB);
    tr_message_release(small);
    assert_int_equal(resident(arena), MIB);
    assert_ok(tr_arena_info_get(arena, &info));
    assert_int_equal(info.slots_bytes, MIB);
    assert_int_equal(info.warm_bytes, MIB);
    small = loan(arena, MIB); /* again */
    assert_ok(tr_arena_info_get(arena, &info));
    assert_int_equal(info.slots_bytes, MIB);
    assert_int_equal(info.warm_bytes, 0);
    tr_message_release(small);
    tr_arena_close(arena);
}

static void says_what_the_limit_is(void **state)
{
    tr_slot_class class = {64 * MIB, 64};
    tr_arena_options options = options_of(&class, 1);
    tr_message *held, *more = NULL;
    tr_arena *arena;
    char us[32];
    (void)state;

    options.memory_bytes = 8 * MIB;
    arena = make(&options);
    assert_int_equal(tr_message_loan_bytes(arena, 9 * MIB, TR_FOREVER, &more),
                     TR_EMSGSIZE);
    assert_detail("the arena's limit is 8388608 (memory_bytes)");
    held = loan(arena, 6 * MIB);
    assert_int_equal(tr_message_loan_bytes(arena, 4 * MIB, TR_NOWAIT, &more), TR_EAGAIN);
    assert_int_equal(tr_message_loan_bytes(arena, 4 * MIB, 1000000, &more), TR_ETIMEDOUT);
    assert_detail(
        "limit of 8388608 (memory_bytes) 6291456 are in use; release or copy what "
        "is held, or create the arena with more; 0 bytes are queued");
    snprintf(us, sizeof(us), "(pid %d", getpid());
    assert_detail(us);
    assert_detail("holds 6291456 bytes");
    tr_message_release(loan(arena, 2 * MIB));
    tr_message_release(held);
    tr_message_release(loan(arena, 8 * MIB));
    assert_int_equal(stats_of(arena).slots_free, 64);
    tr_arena_close(arena);
}

/* A limit that is no multiple of a page has room for the whole pages in it. */
static void takes_whole_pages(void **state)
{
    tr_slot_class class = {MIB, 4};
    tr_arena_options options = options_of(&class, 1);
    tr_message *held, *more = NULL;
    tr_arena *arena;
    (void)state;

    options.memory_bytes = 2 * ARENA_PAGE + 100;
    arena = make(&options);
    assert_int_equal(tr_message_loan_bytes(arena, 2 * ARENA_PAGE + 50, TR_NOWAIT, &more),
                     TR_EMSGSIZE);
    assert_detail("needs 12288 bytes (whole pages), the arena's limit is 8292");
    held = loan(arena, 100);
    assert_int_equal(tr_message_loan_bytes(arena, ARENA_PAGE + 50, TR_NOWAIT, &more),
                     TR_EAGAIN);
    assert_detail("no memory for 8192 bytes");
    tr_message_release(held);
    tr_message_release(loan(arena, ARENA_PAGE + 50));
    tr_arena_close(arena);
}

/* What free slots keep is room. */
static void takes_what_is_warm_elsewhere(void **state)
{
    tr_slot_class class = {64 * MIB, 3};
    tr_arena_options options = options_of(&class, 1);
    tr_message *held[3];
    tr_arena *arena;
    (void)state;

    options.memory_bytes = 8 * MIB;
    options.warm_bytes = 8 * MIB;
    arena = make(&options);
    for (int i = 0; i < 3; i++)
        held[i] = loan(arena, 2 * MIB);
    for (int i = 0; i < 3; i++)
        tr_message_release(held[i]);
    assert_int_equal(resident(arena), 6 * MIB);
    held[0] = loan(arena, 7 * MIB);
    assert_int_equal(resident(arena), 7 * MIB);
    tr_message_release(held[0]);
    tr_arena_close(arena);
}

/* The counters are hints: killed processes leave them wrong. */
static void counts_again(void **state)
{
    tr_slot_class class = {64 * MIB, 3};
    tr_arena_options options = options_of(&class, 1);
    tr_arena *arena;
    struct live *live;
    (void)state;

    options.memory_bytes = 8 * MIB;
    arena = make(&options);
    live = view_live(&arena_known(arena)->view);
    shm_put(&live->reserved_bytes, UINT64_MAX / 2);
    shm_put(&live->warm_bytes, UINT64_MAX / 2);
    tr_message_release(loan(arena, MIB));
    assert_int_equal(shm_get(&live->reserved_bytes), MIB);
    assert_int_equal(shm_get(&live->warm_bytes), MIB);
    tr_arena_close(arena);
}

/* What receivers have in hand is told apart from what waits for them. */
static void tells_what_is_received(void **state)
{
    tr_slot_class class = {64 * MIB, 4};
    tr_arena_options options = options_of(&class, 1);
    tr_arena_info info = TR_ARENA_INFO_INIT;
    tr_message *received;
    tr_arena *arena;
    tr_queue *queue;
    (void)state;

    arena = make(&options);
    assert_ok(tr_queue_open(arena, "q", NULL, &queue));
    assert_ok(tr_queue_send(queue, loan(arena, 2 * MIB), TR_NOWAIT));
    assert_ok(tr_queue_send(queue, loan(arena, MIB), TR_NOWAIT));
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &received));
    assert_ok(tr_arena_info_get(arena, &info));
    assert_int_equal(info.slots_bytes, 3 * MIB);
    assert_int_equal(info.received_bytes, 2 * MIB);
    tr_message_release(received);
    assert_ok(tr_arena_info_get(arena, &info));
    assert_int_equal(info.received_bytes, 0);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

static void limits_are_for_elastic_arenas(void **state)
{
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_arena *arena;
    (void)state;

    options.memory_bytes = 8 * MIB;
    assert_int_equal(tr_arena_create(NULL, &options, &arena), TR_EINVAL);
    assert_detail("TR_ARENA_ELASTIC");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_what_it_needs),
        cmocka_unit_test(grows_from_message_to_message),
        cmocka_unit_test(tells_what_is_received),
        cmocka_unit_test(gives_all_back),
        cmocka_unit_test(tables_are_behind_the_data),
        cmocka_unit_test(grows_while_it_is_held),
        cmocka_unit_test(describes_what_was_read),
        cmocka_unit_test(scrubs_what_is_there),
        cmocka_unit_test(marks_keep_the_memory),
        cmocka_unit_test(keeps_some_of_it_warm),
        cmocka_unit_test(says_what_the_limit_is),
        cmocka_unit_test(takes_whole_pages),
        cmocka_unit_test(takes_what_is_warm_elsewhere),
        cmocka_unit_test(counts_again),
        cmocka_unit_test(limits_are_for_elastic_arenas),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
