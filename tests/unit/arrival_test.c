/* SPDX-License-Identifier: MIT */
/* An attach that waits for an arena of the name. */
#include "own_name.h"
#include "support.h"

#include <signal.h>
#include <sys/inotify.h>
#include <sys/time.h>

#include "ipc/kernel/os.h"
#include "ipc/names/arrival.h"

#define SECOND_NS INT64_C(1000000000)

static struct os_calls watched;
static tr_arena *made;
static int looks;       /* at the clock */
static int64_t passing; /* nanoseconds between two of them */
static bool refused;    /* the kernel gives no watch */

int __real_inotify_init1(int flags);
int __wrap_inotify_init1(int flags);

int __wrap_inotify_init1(int flags)
{
    errno = EMFILE;
    return refused ? -1 : __real_inotify_init1(flags);
}

/* The second look comes when the first try has failed, and the wait is about to begin. */
static int64_t create_before_the_wait(void)
{
    if (++looks == 2)
        assert_ok(tr_arena_create(NAME, NULL, &made));
    return os_kernel.now_ns();
}

static int64_t pass(void)
{
    return os_kernel.now_ns() + passing * looks++;
}

static int begin(void **state)
{
    (void)state;
    looks = 0;
    passing = 0;
    refused = false;
    made = NULL;
    watched = os_kernel;
    os = &watched;
    return 0;
}

static int end(void **state)
{
    (void)state;
    os = &os_kernel;
    if (made)
        tr_arena_close(made);
    unlink(PATH);
    return 0;
}

static int attach_within(int64_t timeout_ns, tr_arena **arena)
{
    tr_attach_options options = TR_ATTACH_OPTIONS_INIT;

    options.timeout_ns = timeout_ns;
    return tr_arena_attach(NAME, &options, arena);
}

static void comes_when_the_name_does(void **state)
{
    tr_arena *arena;
    (void)state;

    watched.now_ns = create_before_the_wait;
    assert_ok(attach_within(TR_FOREVER, &arena));
    assert_string_equal(tr_arena_name(arena), NAME);
    tr_arena_close(arena);
}

/* A user has only so many watches: then it looks again after a pause. */
static void comes_also_without_a_watch(void **state)
{
    tr_arena *arena;
    (void)state;

    refused = true;
    watched.now_ns = create_before_the_wait;
    assert_ok(attach_within(60 * SECOND_NS, &arena));
    tr_arena_close(arena);
}

static void says_that_none_came(void **state)
{
    tr_arena *arena;
    (void)state;

    watched.now_ns = pass;
    passing = 2 * SECOND_NS;
    assert_int_equal(attach_within(SECOND_NS, &arena), TR_ETIMEDOUT);
    assert_detail(NAME);
}

static void does_not_wait_unasked(void **state)
{
    tr_arena *arena;
    (void)state;

    assert_int_equal(attach_within(TR_NOWAIT, &arena), TR_ENOENT);
    assert_int_equal(attach_within(-2, &arena), TR_EINVAL);
}

static void handle(int number)
{
    (void)number;
}

static void ends_by_a_signal(void **state)
{
    const struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    const struct sigaction action = {.sa_handler = handle};
    tr_arena *arena;
    (void)state;

    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
    assert_int_equal(attach_within(TR_FOREVER, &arena), TR_EINTR);
    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
}

#define SCENE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(comes_when_the_name_does), SCENE(comes_also_without_a_watch),
        SCENE(says_that_none_came),      SCENE(does_not_wait_unasked),
        SCENE(ends_by_a_signal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
