/* SPDX-License-Identifier: MIT */
/* The waker calls the kernel exactly when somebody may sleep, also when the count wraps. */
#include "support.h"

#include "ipc/kernel/os.h"
#include "ipc/signal/wake.h"
#include "src/arena/arena.h"

static struct os_calls fake;
static uint32_t calls;
static int last_count, sleepers;

static int fake_wake(_Atomic uint32_t *word, int count)
{
    int woke = sleepers < count ? sleepers : count;

    (void)word;
    calls++;
    last_count = count;
    sleepers -= woke;
    return woke;
}

static tr_arena *arena;

static int set_up(void **state)
{
    (void)state;
    fake = os_kernel;
    fake.futex_wake = fake_wake;
    os = &fake;
    arena = make_arena(1, 0);
    calls = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tr_arena_close(arena);
    os = &os_kernel;
    return 0;
}

/* Counts at the edges of their 29 bits. */
static const uint32_t counts[] = {0, 1, 2, 0x0fffffff, 0x1ffffffe, 0x1fffffff};

static void nobody_sleeps_no_call(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
        _Atomic uint32_t word = counts[i] * WAKE_COUNT; /* local: */

        wake_one(&arena_known(arena)->view, &word);
        wake_all(&arena_known(arena)->view, &word);
        assert_int_equal(word, counts[i] * WAKE_COUNT);
    }
    assert_int_equal(calls, 0);
}

static void a_wake_changes_the_word(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
        _Atomic uint32_t word = counts[i] * WAKE_COUNT; /* local: */
        uint32_t seen = wake_announce(&word);

        assert_int_equal(seen, word);
        assert_true(seen & WAKE_ASLEEP);
        sleepers = 2;
        calls = 0;
        wake_one(&arena_known(arena)->view, &word);
        assert_int_equal(calls, 1);
        assert_int_equal(last_count, 1);
        assert_int_equal(sleepers, 1);
        assert_true(word != seen);       /* a process that will sleep sees it */
        assert_true(word & WAKE_ASLEEP); /* another one sleeps */
        seen = word;
        wake_all(&arena_known(arena)->view, &word);
        assert_int_equal(sleepers, 0);
        assert_true(word != seen);
        assert_false(word & WAKE_ASLEEP);
    }
}

static void the_last_waker_takes_the_announcement_away(void **state)
{
    _Atomic uint32_t word = 0; /* local: */
    (void)state;

    wake_announce(&word);
    sleepers = 0;
    wake_one(&arena_known(arena)->view, &word);
    assert_int_equal(calls,
                     2); /* nobody woke: once more, for a sleeper that came between */
    assert_false(word & WAKE_ASLEEP);
    wake_one(&arena_known(arena)->view, &word);
    assert_int_equal(calls, 2);
}

/* Others sleep, and this one spins: it gets the message, without a call. The next message is for
 * a sleeper. */
static void what_comes_is_left_to_a_watch(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
        _Atomic uint32_t word = counts[i] * WAKE_COUNT; /* local: */
        uint32_t seen;

        assert_false(wake_watch(&word)); /* nobody sleeps */
        wake_announce(&word);
        assert_true(wake_watch(&word));
        assert_false(wake_watch(&word)); /* one is enough */
        seen = word;
        sleepers = 1;
        calls = 0;
        wake_one(&arena_known(arena)->view, &word);
        assert_int_equal(calls, 0);
        assert_true(word != seen); /* a process that will sleep looks again */
        assert_true(word & WAKE_ASLEEP);
        wake_one(&arena_known(arena)->view, &word);
        assert_int_equal(calls, 1);
        assert_int_equal(sleepers, 0);
    }
}

static void a_watch_that_ended_gets_nothing(void **state)
{
    _Atomic uint32_t word = 0; /* local: */
    (void)state;

    wake_announce(&word);
    assert_true(wake_watch(&word));
    wake_watched(&word);
    sleepers = 1;
    wake_one(&arena_known(arena)->view, &word);
    assert_int_equal(sleepers, 0);
}

/* What is for all is for the sleepers, too. */
static void a_watch_does_not_keep_others_asleep(void **state)
{
    _Atomic uint32_t word = 0; /* local: */
    (void)state;

    wake_announce(&word);
    assert_true(wake_watch(&word));
    sleepers = 3;
    wake_all(&arena_known(arena)->view, &word);
    assert_int_equal(sleepers, 0);
}

static void a_reap_ends_a_watch(void **state)
{
    _Atomic uint32_t word = 0; /* local: */
    (void)state;

    wake_announce(&word);
    assert_true(wake_watch(&word));
    sleepers = 1;
    wake_surely(&arena_known(arena)->view, &word);
    assert_int_equal(sleepers, 0);
    assert_false(word & WAKE_WATCHED);
}

static void surely_means_always(void **state)
{
    _Atomic uint32_t word = 8; /* local: */
    (void)state;

    sleepers = 3;
    wake_surely(&arena_known(arena)->view, &word);
    assert_int_equal(sleepers, 0);
    assert_int_not_equal(word, 8);
}

int main(void)
{
#define SCENE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        SCENE(nobody_sleeps_no_call),
        SCENE(a_wake_changes_the_word),
        SCENE(the_last_waker_takes_the_announcement_away),
        SCENE(what_comes_is_left_to_a_watch),
        SCENE(a_watch_that_ended_gets_nothing),
        SCENE(a_watch_does_not_keep_others_asleep),
        SCENE(a_reap_ends_a_watch),
        SCENE(surely_means_always),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
