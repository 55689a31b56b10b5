/* SPDX-License-Identifier: MIT */
/* elastic_warm_test.c - which slots of an elastic arena keep memory when they are free. */
#include "support.h"

#include "ipc/hooks.h"
#include "ipc/layout.h"

#define MIB (1 << 20)

static tr_arena *make(const tr_slot_class *classes, uint32_t count, uint64_t warm_bytes)
{
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_arena *arena;

    options.flags = TR_ARENA_ELASTIC;
    options.classes = classes;
    options.class_count = count;
    options.max_participants = 8;
    options.warm_bytes = warm_bytes;
    assert_ok(tr_arena_create(NULL, &options, &arena));
    return arena;
}

static tr_message *loan(tr_arena *arena, uint64_t bytes)
{
    tr_message *message;

    assert_ok(tr_message_loan_bytes(arena, bytes, TR_NOWAIT, &message));
    memset(tr_message_tensor(message, 0)->data, 7, bytes);
    return message;
}

static unsigned int reservations;

static int reserve_counting(const struct view *view, uint64_t off, uint64_t bytes,
                            struct shortage *shortage)
{
    reservations++;
    return hooks_real.reserve(view, off, bytes, shortage);
}

enum { IN_FLIGHT = 4 };

/* Messages of @p bytes, IN_FLIGHT at a time; how often the kernel was asked for memory. */
static unsigned int pass_through(tr_arena *arena, uint64_t bytes, int rounds)
{
    struct hooks counting = hooks_real;
    tr_message *held[IN_FLIGHT];

    counting.reserve = reserve_counting;
    hooks = &counting;
    reservations = 0;
    for (int i = 0; i < rounds; i++) {
        for (int k = 0; k < IN_FLIGHT; k++)
            held[k] = loan(arena, bytes);
        for (int k = 0; k < IN_FLIGHT; k++)
            tr_message_release(held[k]);
    }
    hooks = &hooks_real;
    return reservations;
}

/* After many small messages were there at once, a few larger ones do not go through all slots,
 * which together cannot keep what they need. */
static void settles_where_there_is_memory(void **state)
{
    tr_slot_class class = {64 << 10, 256};
    tr_arena *arena = make(&class, 1, 2 * MIB);
    tr_message *burst[200];
    (void)state;

    for (int i = 0; i < 200; i++)
        burst[i] = loan(arena, 100);
    for (int i = 0; i < 200; i++)
        tr_message_release(burst[i]);
    (void)pass_through(arena, 60000, 200);
    assert_int_equal(pass_through(arena, 60000, 200), 0);
    tr_arena_close(arena);
}

/* The budget is not for slots that nobody uses any more. */
static void keeps_what_is_in_use_warm(void **state)
{
    tr_slot_class classes[] = {{64 << 10, 64}, {4 * MIB, 8}};
    tr_arena_info info = TR_ARENA_INFO_INIT;
    tr_arena *arena = make(classes, 2, 4 * MIB);
    tr_message *stale[2];
    (void)state;

    for (int i = 0; i < 2; i++)
        stale[i] = loan(arena, 2 * MIB - 2 * ARENA_PAGE);
    for (int i = 0; i < 2; i++)
        tr_message_release(stale[i]);
    (void)pass_through(arena, 60000, 20);
    assert_int_equal(pass_through(arena, 60000, 100), 0);
    assert_ok(tr_arena_info_get(arena, &info));
    assert_true(info.warm_bytes <= 4 * MIB);
    assert_int_equal(info.warm_bytes, info.slots_bytes);
    tr_arena_close(arena);
}

/* Nor for many small ones. */
static void keeps_large_ones_warm(void **state)
{
    tr_slot_class classes[] = {{64 << 10, 128}, {MIB, 16}};
    tr_arena *arena = make(classes, 2, 6 * MIB);
    tr_message *stale[100];
    (void)state;

    for (int i = 0; i < 100; i++)
        stale[i] = loan(arena, 60000);
    for (int i = 0; i < 100; i++)
        tr_message_release(stale[i]);
    (void)pass_through(arena, MIB - 2 * ARENA_PAGE, 20);
    assert_int_equal(pass_through(arena, MIB - 2 * ARENA_PAGE, 20), 0);
    tr_arena_close(arena);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(settles_where_there_is_memory),
        cmocka_unit_test(keeps_what_is_in_use_warm),
        cmocka_unit_test(keeps_large_ones_warm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
