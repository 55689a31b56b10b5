/* SPDX-License-Identifier: MIT */
/* Which process checks for the dead, and how often: under a clock of the test's own. */
#include "support.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "ipc/hooks.h"
#include "ipc/kernel/os.h"
#include "ipc/liveness/join.h"
#include "ipc/liveness/monitor.h"
#include "ipc/liveness/monitor_role.h"
#include "ipc/liveness/participant.h"
#include "ipc/liveness/pidfds.h"
#include "ipc/liveness/reap.h"
#include "src/arena/arena.h"

#define MS INT64_C(1000000)

static struct os_calls fake;
static struct hooks fake_hooks;
static int64_t now;
static uint32_t dead; /* participant + 1 */
static uint32_t looks;
static tr_arena *arena;
static struct self peers[4];

static int64_t fake_now(void)
{
    return now;
}

static bool fake_dead(const struct view *view, uint32_t i)
{
    (void)view;
    looks++;
    return dead == i + 1;
}

static int set_up(void **state)
{
    (void)state;
    arena = make_arena(4, 0);
    peers[0] = arena_known(arena)->self;
    for (uint32_t i = 1; i < 4; i++) {
        peers[i] = arena_known(arena)->self;
        assert_ok(participant_join(&peers[i]));
        assert_int_not_equal(peers[i].who, peers[i - 1].who);
    }
    fake = os_kernel;
    fake.now_ns = fake_now;
    os = &fake;
    fake_hooks = hooks_real;
    fake_hooks.dead = fake_dead;
    hooks = &fake_hooks;
    now = (os_kernel.now_ns() / (10000 * MS) + 1) * 10000 * MS;
    dead = looks = 0;
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

static void each_has_a_pace(void **state)
{
    (void)state;
    now += 1 * MS;
    assert_int_equal(monitor_tick(&peers[0], 1, 0), 20 * MS);
    assert_int_equal(monitor_tick(&peers[1], 1, 0), 60 * MS);
    assert_int_equal(monitor_tick(&peers[2], 1, 0), 249 * MS); /* at the same tick */
    assert_int_equal(monitor_tick(&peers[3], 9, 0), 1999 * MS);
    assert_int_equal(roles_seen(&arena_known(arena)->view).primary, peers[0].who + 1);
    assert_int_equal(roles_seen(&arena_known(arena)->view).backup, peers[1].who + 1);
    for (uint32_t idle_slices = 2; idle_slices < 70; idle_slices++) {
        now += 20 * MS;
        assert_int_equal(monitor_tick(&peers[0], idle_slices, 0),
                         (idle_slices > 64 ? 100 : 20) * MS);
    }
    assert_int_equal(monitor_tick(&peers[1], 65, 0), 250 * MS);
    assert_int_equal(monitor_tick(&peers[0], 1, 300 * MS), 300 * MS);
}

/* valgrind and qemu have no pidfds. */
static void need_pidfds(void)
{
    int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

    if (fd < 0)
        skip();
    close(fd);
}

/* Every clock reading takes its time, as where a processor is taken away for long. */
static int64_t slow_now(void)
{
    return now += 100 * MS;
}

/* pidfds say nothing of a process that executes another program. */
static void all_are_looked_at_every_second(void **state)
{
    (void)state;
    need_pidfds();
    fake_hooks.dead = participant_dead;
    assert_true(monitor_alarm(&peers[0]));
    fake.now_ns = slow_now;
    (void)monitor_alarm(&peers[0]);
    fake.now_ns = fake_now;
    assert_true(pidfds_quiet(&peers[0]));
    now += 1000 * MS;
    assert_false(pidfds_quiet(&peers[0]));
}

static void lose_one_and_join_again(void)
{
    reap_self(&peers[1]);
    participant_leave(&peers[1]);
    assert_true(monitor_alarm(&peers[0])); /* its pidfd is closed */
    assert_ok(participant_join(&peers[1]));
}

static void watching_leaves_descriptors_to_others(void **state)
{
    struct rlimit limit, less;
    int before = descriptors(), fillers[64], count = 0, number;
    (void)state;

    need_pidfds();
    fake_hooks.dead = participant_dead;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    less = limit;
    less.rlim_cur = 11; /* two pidfds, where three others are */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &less), 0);
    assert_false(monitor_alarm(&peers[0]));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_in_range(descriptors() - before, 0, 1 + 2);
    assert_true(monitor_alarm(&peers[0])); /* there is room again */
    assert_int_equal(descriptors(), before + 1 + 3);
    lose_one_and_join_again();
    /* None is left: all that the watch has are given back, for a while. */
    less.rlim_cur = 64;
    while ((number = dup(0)) < 64)
        fillers[count++] = number;
    close(number);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &less), 0);
    assert_false(monitor_alarm(&peers[0]));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    while (count > 0)
        close(fillers[--count]);
    assert_int_equal(descriptors(), before);
    assert_false(monitor_alarm(&peers[0]));
    now += 10000 * MS;
    assert_true(monitor_alarm(&peers[0]));
}

static void only_one_looks(void **state)
{
    (void)state;
    monitor_tick(&peers[0], 1, 0);
    assert_int_equal(looks, 3);
    monitor_tick(&peers[1], 1, 0);
    monitor_tick(&peers[2], 1, 0);
    assert_int_equal(looks, 3);
    monitor_tick(&peers[1], 2, 0); /* at the primary alone */
    assert_int_equal(looks, 4);
    monitor_pass(&peers[2]);
    assert_int_equal(looks, 4);
    now += 20 * MS;
    monitor_pass(&peers[2]); /* an active process does not rely on sleepers */
    assert_int_equal(looks, 7);
}

static void backup_takes_over_from_the_dead(void **state)
{
    (void)state;
    monitor_tick(&peers[0], 1, 0);
    monitor_tick(&peers[1], 1, 0);
    dead = peers[0].who + 1;
    now += 19 * MS;
    assert_true(monitor_tick(&peers[2], 9, 0) > 20 * MS);
    assert_int_equal(monitor_tick(&peers[1], 2, 0), 20 * MS);
    assert_int_equal(
        PARTICIPANT_STATE(
            shm_get(&view_participant(&arena_known(arena)->view, peers[0].who)->word)),
        PARTICIPANT_FREE);
    assert_int_equal(roles_seen(&arena_known(arena)->view).primary, peers[1].who + 1);
    assert_int_equal(monitor_tick(&peers[2], 3, 0), 60 * MS); /* the next backup */
}

static void the_dead_keep_no_role(void **state)
{
    (void)state;
    monitor_tick(&peers[0], 1, 0);
    monitor_tick(&peers[1], 1, 0);
    dead = peers[1].who + 1;
    now += 20 * MS;
    monitor_tick(&peers[0], 2, 0);
    assert_int_equal(roles_seen(&arena_known(arena)->view).backup, 0);
}

static void one_that_wakes_leaves_its_role(void **state)
{
    (void)state;
    monitor_tick(&peers[0], 1, 0);
    monitor_leave(&peers[0]);
    monitor_leave(&peers[1]); /* has none */
    assert_int_equal(monitor_tick(&peers[1], 9, 0), 20 * MS);
    assert_true(monitor_tick(&peers[0], 1, 0) > 20 * MS);
}

/* Stopped, or in somebody else's code for long. Also if the words are nonsense. */
static void neglect_is_noticed(void **state)
{
    struct live *live = view_live(&arena_known(arena)->view);

    (void)state;
    monitor_tick(&peers[0], 1, 0);
    now += 60 * MS;
    assert_true(monitor_tick(&peers[2], 9, 0) > 20 * MS);
    now += 1;
    assert_int_equal(monitor_tick(&peers[3], 9, 0), 20 * MS);
    shm_put(&live->monitor_roles, 0xfffefffe);
    assert_true(monitor_tick(&peers[1], 1, 0) > 20 * MS);
    now += 61 * MS;
    assert_int_equal(monitor_tick(&peers[1], 2, 0), 20 * MS);
    shm_put(&live->check_due_ns, UINT64_MAX / 2);
    assert_int_equal(monitor_tick(&peers[2], 2, 0), 20 * MS);
}

int main(void)
{
#define SCENE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        SCENE(each_has_a_pace),
        SCENE(all_are_looked_at_every_second),
        SCENE(watching_leaves_descriptors_to_others),
        SCENE(only_one_looks),
        SCENE(backup_takes_over_from_the_dead),
        SCENE(the_dead_keep_no_role),
        SCENE(one_that_wakes_leaves_its_role),
        SCENE(neglect_is_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
