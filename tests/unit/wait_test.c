/* SPDX-License-Identifier: MIT */
/* Deadlines, slices and spinning, under a clock and a kernel of the test's own. */
#include "support.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>

#include "ipc/hooks.h"
#include "ipc/kernel/os.h"
#include "ipc/wait/spin.h"
#include "ipc/wait/wait.h"
#include "src/arena/arena.h"

#define MS INT64_C(1000000)

static struct os_calls fake;
static struct hooks fake_hooks;
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

static uint64_t mine, theirs;
static unsigned long threads;

static uint64_t fake_processors(uint32_t pid)
{
    return pid == 0 || pid == (uint32_t)getpid() ? mine : theirs;
}

static unsigned long fake_runnable(void)
{
    return threads;
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
    arena_known(arena)->self.spin_ns = 0;
    arena_known(arena)->self.milli_cpus = plenty;
    fake.now_ns = fake_now;
    fake.futex_wait = fake_wait;
    fake.processors = fake_processors;
    fake.runnable = fake_runnable;
    mine = theirs = 3;
    threads = 1;
    os = &fake;
    fake_hooks = hooks_real;
    fake_hooks.dead = nobody_dies;
    hooks = &fake_hooks;
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
    hooks = &hooks_real;
    tr_arena_close(arena);
    return 0;
}

static int wait_ns(int64_t timeout_ns)
{
    return wait_for(&arena_known(arena)->self, &word, attempt, NULL, timeout_ns);
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

static int asked;

static unsigned long counts_questions(void)
{
    asked++;
    return 1000;
}

/* As Python waits: in pieces of 100 ms, without an end. */
static void pieces_have_the_pace_of_one_wait(void **state)
{
    struct self *me = &arena_known(arena)->self;
    (void)state;

    fake.runnable = counts_questions;
    asked = 0;
    me->spin_ns = -1;
    for (int i = 0; i < 100; i++)
        assert_int_equal(wait_ns(100 * MS), -ETIMEDOUT);
    assert_in_range(sleeps, 64, 64 + 100); /* 65 of 20 ms, then one a piece */
    assert_in_range(asked, 1, 1);
    sleeps = tries = 0;
    succeed_at = 1;
    assert_int_equal(wait_ns(100 * MS), 0);
    succeed_at = INT32_MAX;
    assert_int_equal(wait_ns(100 * MS), -ETIMEDOUT);
    assert_int_equal(sleeps, 5); /* something has come, so the next one may be near */
    assert_int_equal(asked, 2);
}

static void signals_do_not_stretch_it(void **state)
{
    (void)state;
    sleep_result = -EINTR;
    sleep_takes = MS / 2;
    assert_int_equal(wait_ns(500 * MS), -ETIMEDOUT);
    assert_int_equal(sleeps, 1000);
    assert_int_equal(now, 1500 * MS);
    arena_known(arena)->self.interrupt = 1;
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
    arena_known(arena)->self.spin_ns = 1000000;
    succeed_at = 500;
    assert_int_equal(wait_ns(-1), 0);
    assert_int_equal(sleeps, 0);
    arena_known(arena)->self.spin_ns = 0;
    tries = 0;
    succeed_at = 4;
    assert_int_equal(wait_ns(-1), 0);
    assert_int_equal(sleeps, 2);
}

static int looks;

static bool is_looked_at(const struct view *view, uint32_t i)
{
    (void)view, (void)i;
    looks++;
    return false;
}

/* Another process is there, which may die. */
static pid_t make_another(int end[2])
{
    pid_t child;
    char byte = 0;

    assert_int_equal(pipe(end), 0);
    child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        os = &os_kernel;
        hooks = &hooks_real;
        tr_message_release(loan_i64(arena, 1, 0)); /* joins */
        close(end[0]);
        byte = (char)(write(end[1], "j", 1) != 1);
        for (;;)
            pause();
    }
    close(end[1]);
    assert_int_equal(read(end[0], &byte, 1), 1);
    close(end[0]);
    return child;
}

static void long_spins_look_for_the_dead(void **state)
{
    int end[2];
    pid_t child = make_another(end);
    (void)state;

    tick = 100000;
    looks = 0;
    fake_hooks.dead = is_looked_at;
    arena_known(arena)->self.spin_ns = INT64_MAX;
    assert_int_equal(wait_ns(1000 * MS), -ETIMEDOUT);
    assert_true(looks >= 20);
    assert_int_equal(sleeps, 0);
    kill(child, SIGKILL);
    status_of(child);
}

static int handled;

static void handle(int number)
{
    handled = number;
}

static int signal_at_500(void *context)
{
    (void)context;
    if (++tries == 500)
        raise(SIGUSR1);
    return -EAGAIN;
}

static void signals_end_long_spins(void **state)
{
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    sigset_t mask;
    (void)state;

    sigaction(SIGUSR1, &action, NULL);
    tick = 100000;
    arena_known(arena)->self.spin_ns = INT64_MAX;
    assert_int_equal(
        wait_for(&arena_known(arena)->self, &word, signal_at_500, NULL, 1000 * MS),
        -ETIMEDOUT); /* it did not ask for it */
    assert_int_equal(handled, SIGUSR1);
    tr_arena_set_interruptible(arena, true);
    handled = tries = 0;
    assert_int_equal(
        wait_for(&arena_known(arena)->self, &word, signal_at_500, NULL, 1000 * MS),
        -EINTR);
    assert_int_equal(handled, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    assert_false(sigismember(&mask, SIGUSR1));
}

/* As one that reads a file. */
static int64_t cancellation_point(void)
{
    pthread_testcancel();
    return -1;
}

static int cancel_at;

static int cancel_at_try(void *context)
{
    (void)context;
    if (++tries == cancel_at)
        pthread_cancel(pthread_self()); /* acts at the next point of cancellation */
    return -EAGAIN;
}

static void *wait_long(void *told)
{
    *(int *)told = wait_for(&arena_known(arena)->self, &word, cancel_at_try, NULL,
                            1000 * MS);
    return told;
}

static void wait_cancelled_at(int try)
{
    int result = 0;
    pthread_t thread;
    void *returned;

    cancel_at = try;
    tick = 100000;
    assert_int_equal(pthread_create(&thread, NULL, wait_long, &result), 0);
    assert_int_equal(pthread_join(thread, &returned), 0);
    assert_ptr_equal(returned, &result);
    assert_int_equal(result, -ETIMEDOUT);
}

/* It would leave signals blocked, or a watch set in the wake word. */
static void no_thread_is_cancelled_in_a_long_spin(void **state)
{
    (void)state;
    arena_known(arena)->self.spin_ns = INT64_MAX;
    tr_arena_set_interruptible(arena, true);
    wait_cancelled_at(500);
}

/* While it asks how busy the machine is. */
static void no_thread_is_cancelled_before_a_spin(void **state)
{
    (void)state;
    arena_known(arena)->self.spin_ns = -1;
    arena_known(arena)->self.milli_cpus = cancellation_point;
    wait_cancelled_at(1);
}

static bool signals_when_looked_at(const struct view *view, uint32_t i)
{
    (void)view, (void)i;
    if (++looks == 2)
        raise(SIGUSR1);
    return false;
}

/* Between two slices of a sleep, while it looks for the dead. */
static void signals_end_sleeps_that_look(void **state)
{
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    int end[2];
    pid_t child = make_another(end);
    (void)state;

    sigaction(SIGUSR1, &action, NULL);
    fake_hooks.dead = signals_when_looked_at;
    looks = handled = 0;
    tr_arena_set_interruptible(arena, true);
    assert_int_equal(wait_ns(1000 * MS), -EINTR);
    assert_int_equal(handled, SIGUSR1);
    kill(child, SIGKILL);
    status_of(child);
}

/* The budget of the next wait, if the machine has room. */
static int64_t budget(void)
{
    arena_known(arena)->self.spin_ns = -1;
    arena_known(arena)->self.contended = 0;
    arena_known(arena)->self.contended_until = INT64_MAX;
    return spin_budget(&arena_known(arena)->self, now);
}

static void gives_up_what_never_pays(void **state)
{
    int spun = 0;
    (void)state;

    tick = 100;
    for (int i = 0; i < 2000; i++) {
        int64_t most = budget();

        if (most > 0) {
            spun++;
            assert_int_equal(
                spin(&arena_known(arena)->self, attempt, NULL, NULL, &now, now + most),
                -EAGAIN);
        }
    }
    assert_in_range(spun, 8, 16); /* after 1, 3, 7, ... 255 waits without */
    /* One success, and it is as before. */
    succeed_at = 0;
    arena_known(arena)->self.spin_rest = 0;
    assert_int_equal(
        spin(&arena_known(arena)->self, attempt, NULL, NULL, &now, now + 1000), 0);
    assert_true(budget() > 0);
    assert_true(budget() > 0);
}

/* Waits that sleep once each, for so long, and get what they want. */
static void sleep_for(int64_t ns, int waits)
{
    for (int i = 0; i < waits; i++) {
        arena_known(arena)->self.contended = 1; /* so it sleeps at once */
        arena_known(arena)->self.contended_until = INT64_MAX;
        sleep_result = 0;
        sleep_takes = ns;
        tries = 0;
        succeed_at = 3; /* before the sleep, after the announcement, after the sleep */
        assert_int_equal(wait_ns(1000 * MS), 0);
    }
    succeed_at = INT32_MAX;
}

/* Spins in vain until the next one, which is not to spin. */
static void spin_in_vain(int times)
{
    for (int i = 0; i < times; i++) {
        arena_known(arena)->self.spin_rest = 0;
        assert_true(budget() > 0);
        assert_int_equal(
            spin(&arena_known(arena)->self, attempt, NULL, NULL, &now, now + 1000),
            -EAGAIN);
    }
    assert_int_equal(budget(), 0);
}

static void short_sleeps_end_the_rest(void **state)
{
    (void)state;
    tick = 100;
    sleep_for(20000, 100); /* no rest to end: these do not count */
    spin_in_vain(8);
    sleep_for(20000, 3);
    assert_int_equal(budget(), 0);
    sleep_for(20000, 1);
    assert_true(budget() > 0);
    /* The next spin is in vain nevertheless: it takes twice as many. */
    spin_in_vain(1);
    sleep_for(20000, 7);
    assert_int_equal(budget(), 0);
    sleep_for(20000, 1);
    assert_true(budget() > 0);
}

static void long_sleeps_end_no_rest(void **state)
{
    (void)state;
    tick = 100;
    spin_in_vain(8);
    for (int i = 0; i < 6; i++) { /* few enough for the rest of 255 */
        sleep_for(20000, 3);
        sleep_for(5 * MS, 1);
    }
    assert_int_equal(budget(), 0);
    /* One wait in pieces, as Python's, is a long one, though its last piece is short. */
    sleep_for(20000, 3);
    sleep_result = -ETIMEDOUT;
    assert_int_equal(wait_ns(5 * MS), -ETIMEDOUT);
    sleep_for(20000, 1);
    assert_int_equal(budget(), 0);
}

/* The budget after a new look at the machine. */
static int64_t budget_here(void)
{
    arena_known(arena)->self.spin_ns = -1;
    arena_known(arena)->self.contended_until = 0;
    return spin_budget(&arena_known(arena)->self, now);
}

static void never_spins_under_contention(void **state)
{
    (void)state;
    assert_true(budget_here() > 0);
    arena_known(arena)->self.milli_cpus = one_and_a_half;
    assert_int_equal(budget_here(), 0);
    /* The answer holds for a while; then the machine is looked at again. */
    arena_known(arena)->self.milli_cpus = plenty;
    assert_int_equal(spin_budget(&arena_known(arena)->self, now + 1), 0);
    assert_true(arena_known(arena)->self.contended_until < now + 100 * MS);
    assert_true(budget_here() > 0);
    threads = 1000000;
    assert_int_equal(budget_here(), 0);
}

static void never_spins_on_the_only_processor(void **state)
{
    int done[2], joined[2];
    char byte = 0;
    pid_t child;

    (void)state;
    mine = theirs = 4;
    assert_int_equal(budget_here(), 0);
    assert_true(pipe(done) == 0 && pipe(joined) == 0);
    child = fork();
    if (child == 0) {
        tr_message_release(loan_i64(arena, 1, 0)); /* joins */
        byte = (char)(write(joined[1], "j", 1) + read(done[0], &byte, 1));
        tr_arena_close(arena);
        _exit(byte != 2);
    }
    assert_int_equal(read(joined[0], &byte, 1), 1);
    assert_int_equal(budget_here(), 0);
    theirs = 8; /* though it never waits: the kernel knows */
    assert_true(budget_here() > 0);
    assert_int_equal(write(done[1], "d", 1), 1);
    assert_int_equal(status_of(child), 0);
    assert_int_equal(budget_here(), 0);
    for (int end = 0; end < 2; end++)
        close(done[end]), close(joined[end]);
}

int main(void)
{
#define SCENE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        SCENE(does_not_wait_if_told),
        SCENE(ends_at_the_deadline),
        SCENE(pieces_have_the_pace_of_one_wait),
        SCENE(signals_do_not_stretch_it),
        SCENE(looks_again_after_the_announcement),
        SCENE(long_timeouts_are_for_ever),
        SCENE(spins_as_told),
        SCENE(long_spins_look_for_the_dead),
        SCENE(signals_end_long_spins),
        SCENE(no_thread_is_cancelled_in_a_long_spin),
        SCENE(no_thread_is_cancelled_before_a_spin),
        SCENE(signals_end_sleeps_that_look),
        SCENE(gives_up_what_never_pays),
        SCENE(short_sleeps_end_the_rest),
        SCENE(long_sleeps_end_no_rest),
        SCENE(never_spins_under_contention),
        SCENE(never_spins_on_the_only_processor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
