/* SPDX-License-Identifier: MIT */
/* elastic_test.c - arenas whose slots have the memory that their messages need. */
#include "elastic_scene.h"

#include <pthread.h>
#include <stdlib.h>

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

struct waiter {
    tr_arena *arena;
    pthread_t thread;
    int result;
};

static void *wait_for_memory(void *context)
{
    struct waiter *waiter = context;
    tr_message *message;

    waiter->result = tr_message_loan_bytes(waiter->arena, 4 * MIB, TR_FOREVER, &message);
    if (waiter->result == 0)
        (void)tr_message_release(message);
    return NULL;
}

/* A release wakes the loans that wait for memory, in whatever class. */
static void waits_for_memory(void **state)
{
    tr_slot_class classes[] = {{MIB, 64}, {64 * MIB, 64}};
    tr_arena_options options = options_of(classes, 2);
    struct waiter waiter = {.result = -1};
    tr_class_stats stats[2] = {{0}};
    tr_message *held[6];
    size_t n;
    (void)state;

    options.memory_bytes = 8 * MIB;
    options.spin_ns = 0;
    waiter.arena = make(&options);
    for (int i = 0; i < 6; i++)
        held[i] = loan(waiter.arena, MIB);
    assert_int_equal(pthread_create(&waiter.thread, NULL, wait_for_memory, &waiter), 0);
    while (!stats[1].waiting)
        assert_ok(tr_stats_classes(waiter.arena, stats, sizeof(tr_class_stats), 2, &n));
    for (int i = 0; i < 6; i++)
        tr_message_release(held[i]);
    assert_int_equal(pthread_join(waiter.thread, NULL), 0);
    assert_int_equal(waiter.result, 0);
    tr_arena_close(waiter.arena);
}

/* A value that the board has replaced, and that nobody reads, is room. */
static void takes_what_is_retired(void **state)
{
    tr_slot_class class = {8192, 64};
    tr_arena_options options = options_of(&class, 1);
    tr_board *board;
    tr_arena *arena;
    (void)state;

    options.memory_bytes = 4 * ARENA_PAGE;
    arena = make(&options);
    assert_ok(tr_board_open(arena, "b", NULL, &board));
    for (int i = 0; i < 20; i++)
        assert_ok(tr_board_put(board, "key", loan(arena, ARENA_PAGE), NULL));
    tr_board_close(board);
    tr_arena_close(arena);
}

static tr_broadcast *publish(tr_arena *arena, uint64_t bytes, int count,
                             tr_subscription **subscription)
{
    tr_broadcast_options options = TR_BROADCAST_OPTIONS_INIT;
    tr_broadcast *broadcast;

    options.capacity = 15;
    assert_ok(tr_broadcast_open(arena, "b", &options, &broadcast));
    assert_ok(tr_subscription_open(broadcast, NULL, subscription));
    for (int i = 0; i < count; i++)
        assert_ok(tr_broadcast_publish(broadcast, loan(arena, bytes), TR_NOWAIT));
    return broadcast;
}

/* A larger slot comes before the loss of a message. */
static void loses_nothing_for_a_small_slot(void **state)
{
    tr_slot_class classes[] = {{ARENA_PAGE, 4}, {MIB, 8}};
    tr_arena_options options = options_of(classes, 2);
    tr_arena *arena = make(&options);
    tr_subscription *subscription;
    tr_broadcast *broadcast = publish(arena, 100, 12, &subscription);
    tr_message *message;
    (void)state;

    for (int i = 0; i < 12; i++) {
        assert_ok(tr_subscription_receive(subscription, TR_NOWAIT, &message));
        tr_message_release(message);
    }
    assert_int_equal(tr_subscription_missed(subscription), 0);
    tr_subscription_close(subscription);
    tr_broadcast_close(broadcast);
    tr_arena_close(arena);
}

/* A slow subscriber blocks no loan, also of a message larger than those it lags behind. Only as
 * many are dropped as needed. */
static void takes_what_a_broadcast_gives_up(void **state)
{
    tr_slot_class class = {8 * MIB, 32};
    tr_arena_options options = options_of(&class, 1);
    tr_subscription *subscription;
    tr_broadcast *broadcast;
    tr_arena *arena;
    (void)state;

    options.memory_bytes = 8 * MIB;
    arena = make(&options);
    broadcast = publish(arena, MIB, 8, &subscription);
    tr_message_release(loan(arena, 4 * MIB));
    assert_int_equal(stats_of(arena).slots_free, 32 - 4);
    tr_subscription_close(subscription);
    tr_broadcast_close(broadcast);
    tr_arena_close(arena);
}

/* Where a class has no free slot, a larger one does: that costs no memory. */
static void takes_a_larger_slot(void **state)
{
    tr_slot_class classes[] = {{ARENA_PAGE, 1}, {MIB, 1}};
    tr_arena_options options = options_of(classes, 2);
    tr_arena *arena = make(&options);
    tr_message *first = loan(arena, 100), *second = loan(arena, 100), *third = NULL;
    (void)state;

    assert_int_equal(resident(arena), 2 * ARENA_PAGE);
    assert_int_equal(tr_message_loan_bytes(arena, 100, TR_NOWAIT, &third), TR_EAGAIN);
    assert_detail("all slots of 4096 bytes and more are in use; release or copy what is "
                  "held, or create the arena with more; 0 queued");
    tr_message_release(second);
    tr_message_release(loan(arena, 100));
    tr_message_release(first);
    tr_arena_close(arena);
}

/* A queue in an arena whose slots may have four pages. */
static tr_queue *scarce_queue(void)
{
    tr_slot_class class = {MIB, 8};
    tr_arena_options options = options_of(&class, 1);
    tr_queue *queue;

    options.memory_bytes = 4 * ARENA_PAGE;
    assert_ok(tr_queue_open(make(&options), "q", NULL, &queue));
    return queue;
}

/* A request for whose reply there is no memory stays as it was. */
static void keeps_what_can_not_grow(void **state)
{
    int64_t large = 4 * ARENA_PAGE;
    tr_tensor_spec spec = {.dtype = {TR_DTYPE_UINT, 8, 1}, .ndim = 1, .shape = &large};
    tr_queue *queue = scarce_queue();
    tr_arena *arena = tr_queue_arena(queue);
    tr_message *request, *held;
    uint64_t ticket;
    (void)state;

    assert_ok(
        tr_request_send(queue, loan(arena, 100), TR_FOREVER, TR_FOREVER, 0, &ticket));
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &request));
    held = loan(arena, ARENA_PAGE);
    assert_int_equal(tr_request_reuse(request, &spec, 1), TR_ENOSPC);
    assert_int_equal(tr_message_tensor(request, 0)->nbytes, 100);
    assert_int_equal(((uint8_t *)tr_message_tensor(request, 0)->data)[99], 7);
    tr_message_release(held);
    assert_ok(tr_request_reuse(request, &spec, 1));
    assert_int_equal(resident(arena), 4 * ARENA_PAGE);
    tr_message_release(request);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

/* All memory is in use by others than a request of no bytes. */
static tr_message *serve_without_memory(tr_queue *queue, uint64_t *ticket,
                                        tr_message **held)
{
    tr_arena *arena = tr_queue_arena(queue);
    tr_message *message;

    assert_ok(tr_message_loan_bytes(arena, 0, TR_NOWAIT, &message));
    assert_ok(tr_request_send(queue, message, TR_FOREVER, TR_FOREVER, 0, ticket));
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
    *held = loan(arena, 4 * ARENA_PAGE);
    return message;
}

/* An error without room for its text goes without it: else the requester would wait on. */
static void answers_without_memory(void **state)
{
    tr_queue *queue = scarce_queue();
    tr_arena *arena = tr_queue_arena(queue);
    tr_message *request, *held, *reply = NULL;
    uint64_t ticket;
    (void)state;

    request = serve_without_memory(queue, &ticket, &held);
    assert_ok(tr_request_fail(request, 7, "why"));
    assert_int_equal(tr_request_wait(arena, ticket, TR_NOWAIT, &reply), TR_EREMOTE);
    assert_int_equal(tr_error_remote_code(), 7);
    tr_message_release(held);
    request = serve_without_memory(queue, &ticket, &held);
    assert_ok(tr_message_release(request));
    assert_int_equal(tr_request_wait(arena, ticket, TR_NOWAIT, &reply), TR_EREMOTE);
    assert_int_equal(tr_error_remote_code(), TR_ECANCELED);
    tr_message_release(held);
    assert_int_equal(stats_of(arena).slots_free, 8);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

/* A word that somebody has scribbled over says that a slot has more than there is: what lies behind
 * the slot stays. */
static void takes_away_no_more_than_a_slot(void **state)
{
    tr_arena *arena = make_elastic(4 * ARENA_PAGE, 4, 0);
    const struct view *view = &arena_known(arena)->view;
    tr_message *first = loan(arena, ARENA_PAGE), *next = loan(arena, 2 * ARENA_PAGE);
    uint32_t slot = ((struct message *)handle_address(first))->slot;
    uint64_t bytes;
    (void)state;

    assert_true(view_payload_off(view, slot) <
                view_payload_off(view, ((struct message *)handle_address(next))->slot));
    tr_message_release(first);
    shm_put(&view_record(view, slot)->memory,
            MEMORY_OF(MEMORY_MOST_PAGES) | MEMORY_RESIDENT);
    assert_ok(tr_arena_trim(arena, &bytes));
    assert_int_equal(((uint8_t *)tr_message_tensor(next, 0)->data)[0], 7);
    assert_int_equal(bytes, view->geo.classes[0].stride);
    assert_int_equal(resident(arena), 2 * ARENA_PAGE);
    tr_message_release(next);
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
        cmocka_unit_test(waits_for_memory),
        cmocka_unit_test(takes_what_is_retired),
        cmocka_unit_test(loses_nothing_for_a_small_slot),
        cmocka_unit_test(takes_what_a_broadcast_gives_up),
        cmocka_unit_test(takes_a_larger_slot),
        cmocka_unit_test(keeps_what_can_not_grow),
        cmocka_unit_test(answers_without_memory),
        cmocka_unit_test(takes_away_no_more_than_a_slot),
        cmocka_unit_test(limits_are_for_elastic_arenas),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
