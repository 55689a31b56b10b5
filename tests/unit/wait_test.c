/* SPDX-License-Identifier: MIT */
/* Deadlines, slices and spinning, under a clock and a kernel of the test's own. */
#include "support.h"

#include <errno.h>

#include "ipc/os.h"
#include "ipc/spin.h"
#include "ipc/wait.h"
#include "src/arena.h"

#define MS INT64_C(1000000)

static struct os_calls fake;
static int64_t now, tick, latest;
static int sleeps, sleep_result;
static int64_t sleep_takes;
static int tries, succeed_at;
static tr_arena *arena;
static _Atomic uint32_t word; /* local: */

static int64_t fake_now(void)
{
    return now += tick;
}

static int fake_wait(const _Atomic uint32_t *at, uint32_t seen, int64_t until_ns)
{
    assert_ptr_equal(at, &word);
    assert_true(seen & 1);
    sleeps++;
    latest = until_ns > latest ? until_ns : latest;
    if (sleep_result == -ETIMEDOUT)
        now = until_ns;
    else
        now += sleep_takes;
    return sleep_result;
}

static bool nobody_dies(const struct view *view, uint32_t i)
{
    (void)view, (void)i;
    return false;
}

static int attempt(void *context)
{
    (void)context;
    return ++tries >= succeed_at ? 0 : -EAGAIN;
}

static int64_t plenty(void)
{
    return -1;
}

static int64_t one_and_a_half(void)
{
    return 1500;
}

static int set_up(void **state)
{
    (void)state;
    fake = os_kernel;
    arena = make_arena(1, 0);
    arena->peer.spin_ns = 0;
    arena->peer.milli_cpus = plenty;
    fake.now_ns = fake_now;
    fake.futex_wait = fake_wait;
    fake.dead = nobody_dies;
    os = &fake;
    now = 1000 * MS;
    tick = sleeps = tries = 0;
    latest = 0;
    succeed_at = INT32_MAX;
    sleep_result = -ETIMEDOUT;
    word = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    os = &os_kernel;
    tr_arena_close(arena);
    return 0;
}

static int wait_ns(int64_t timeout_ns)
{
    return wait_for(&arena->peer, &word, attempt, NULL, timeout_ns);
}

static void does_not_wait_if_told(void **state)
{
    (void)state;
    assert_int_equal(wait_ns(0), -EAGAIN);
    assert_int_equal(tries, 1);
    succeed_at = 0;
    assert_int_equal(wait_ns(-1), 0);
    assert_int_equal(sleeps, 0);
}

static void ends_at_the_deadline(void **state)
{
    (void)state;
    assert_int_equal(wait_ns(777 * MS), -ETIMEDOUT);
    assert_int_equal(now, 1777 * MS);
    assert_int_equal(latest, 1777 * MS);
    assert_true(sleeps > 3); /* in slices */
}

static void signals_do_not_stretch_it(void **state)
{
    (void)state;
    sleep_result = -EINTR;
    sleep_takes = MS / 2;
    assert_int_equal(wait_ns(500 * MS), -ETIMEDOUT);
    assert_int_equal(sleeps, 1000);
    assert_int_equal(now, 1500 * MS);
    arena->peer.interrupt = 1;
    assert_int_equal(wait_ns(-1), -EINTR);
}

static void looks_again_after_the_announcement(void **state)
{
    (void)state;
    succeed_at = 3; /* the first is wait_for()'s, the second the one before the sleep */
    assert_int_equal(wait_ns(-1), 0);
    assert_int_equal(sleeps, 1);
    tries = 1;
    succeed_at = 3;
    assert_int_equal(wait_ns(-1), 0);
    assert_int_equal(sleeps, 1);
}

static void long_timeouts_are_for_ever(void **state)
{
    (void)state;
    succeed_at = 50;
    assert_int_equal(wait_ns(INT64_MAX - 5), 0);
    assert_int_equal(sleeps, 48);
}

static void spins_as_told(void **state)
{
    (void)state;
    tick = 100;
    arena->peer.spin_ns = 1000000;
    succeed_at = 500;
    assert_int_equal(wait_ns(-1), 0);
    assert_int_equal(sleeps, 0);
    arena->peer.spin_ns = 0;
    tries = 0;
    succeed_at = 4;
    assert_int_equal(wait_ns(-1), 0);
    assert_int_equal(sleeps, 2);
}

/* The budget of a wait after @p took, had the machine room. */
static int64_t budget_after(int64_t took)
{
    arena->peer.spin_ns = -1;
    arena->peer.crowd = 0;
    arena->peer.crowd_until = INT64_MAX;
    for (int i = 0; i < 100; i++)
        spin_learn(&arena->peer, took);
    return spin_budget(&arena->peer, now);
}

static void learns_what_waits_take(void **state)
{
    (void)state;
    assert_true(budget_after(500) >= 1000);
    assert_true(budget_after(500) <= 5000);
    assert_in_range(budget_after(5000), 10000, 20000);
    assert_int_equal(budget_after(50000), 0);
    assert_int_equal(budget_after(3000 * MS), 0);
    assert_true(budget_after(500) > 0); /* long waits are forgotten, too */
}

static void gives_up_what_never_pays(void **state)
{
    int spun = 0;
    (void)state;

    tick = 100;
    for (int i = 0; i < 2000; i++) {
        int64_t budget = budget_after(1000);

        if (budget > 0) {
            spun++;
            assert_int_equal(spin(&arena->peer, attempt, NULL, NULL, &now, now + budget),
                             -EAGAIN);
        }
    }
    assert_in_range(spun, 5, 15); /* after 1, 3, 7, ... waits without */
    /* One success, and it is as before. */
    succeed_at = 0;
    arena->peer.spin_rest = 0;
    assert_int_equal(spin(&arena->peer, attempt, NULL, NULL, &now, now + 1000), 0);
    assert_true(budget_after(1000) > 0);
    assert_true(budget_after(1000) > 0);
}

static void never_spins_in_a_crowd(void **state)
{
    (void)state;
    assert_true(budget_after(500) > 0);
    arena->peer.milli_cpus = one_and_a_half;
    arena->peer.crowd_until = 0;
    assert_int_equal(spin_budget(&arena->peer, now), 0);
    /* The answer holds for a while; then the machine is looked at again. */
    arena->peer.milli_cpus = plenty;
    assert_int_equal(spin_budget(&arena->peer, now + 1), 0);
    assert_true(arena->peer.crowd_until < now + 100 * MS);
}

int main(void)
{
#define SCENE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        SCENE(does_not_wait_if_told),      SCENE(ends_at_the_deadline),
        SCENE(signals_do_not_stretch_it),  SCENE(looks_again_after_the_announcement),
        SCENE(long_timeouts_are_for_ever), SCENE(spins_as_told),
        SCENE(learns_what_waits_take),     SCENE(gives_up_what_never_pays),
        SCENE(never_spins_in_a_crowd),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
