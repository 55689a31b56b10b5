/* SPDX-License-Identifier: MIT */
#include "own_system.h"

#include "src/base/quota.h"

static struct quota look(void)
{
    struct quota quota;

    quota_read(root, &quota);
    return quota;
}

#define V2_MOUNT "30 20 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
#define V1_MOUNT \
    "31 20 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"

static void nothing_there(void **state)
{
    (void)state;
    assert_int_equal(look().milli_cpus, -1);
    assert_int_equal(look().cpuset_cpus, -1);
    put("/proc/self/mountinfo", V2_MOUNT);
    assert_int_equal(look().milli_cpus, -1);
    put("/proc/self/cgroup", "garbage\n::\n0::\n");
    assert_int_equal(look().milli_cpus, -1);
}

static void v2_takes_the_least_of_all_above(void **state)
{
    struct quota quota;

    (void)state;
    put("/proc/self/mountinfo", "22 1 0:5 / /proc rw - proc proc rw\n" V2_MOUNT);
    put("/proc/self/cgroup", "0::/kubepods/pod1/box\n");
    put("/sys/fs/cgroup/kubepods/pod1/box/cpu.max", "max 100000\n");
    assert_int_equal(look().milli_cpus, -1);
    put("/sys/fs/cgroup/kubepods/cpu.max", "800000 100000\n");
    assert_int_equal(look().milli_cpus, 8000);
    put("/sys/fs/cgroup/kubepods/pod1/cpu.max", "250000 100000\n");
    quota = look();
    assert_int_equal(quota.milli_cpus, 2500);
    assert_string_equal(quota.source, "/sys/fs/cgroup/kubepods/pod1/cpu.max");
    put("/sys/fs/cgroup/kubepods/pod1/box/cpu.max", "400000 100000\n");
    assert_int_equal(look().milli_cpus, 2500);
    put("/sys/fs/cgroup/kubepods/pod1/box/cpu.max", "5000 10000\n");
    assert_int_equal(look().milli_cpus, 500);
}

/* A namespace of its own: the path is "/", the file lies at the mount. */
static void v2_in_a_namespace(void **state)
{
    (void)state;
    put("/proc/self/mountinfo", V2_MOUNT);
    put("/proc/self/cgroup", "0::/\n");
    put("/sys/fs/cgroup/cpu.max", "150000 100000\n");
    assert_int_equal(look().milli_cpus, 1500);
    put("/proc/self/cgroup", "0::/../../elsewhere\n"); /* outside of the namespace */
    assert_int_equal(look().milli_cpus, 1500);
}

static void v1_takes_the_least_of_all_above(void **state)
{
    (void)state;
    put("/proc/self/mountinfo", V1_MOUNT);
    put("/proc/self/cgroup", "5:memory:/a\n4:cpu,cpuacct:/a/b\n");
    put("/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n");
    assert_int_equal(look().milli_cpus, -1);
    put("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "300000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
    assert_int_equal(look().milli_cpus, 3000);
    put("/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "50000\n");
    assert_int_equal(look().milli_cpus, 500);
    assert_string_equal(look().source, "/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us");
}

/* A container without a namespace: the path is the host's, the mount begins at it. */
static void v1_mount_begins_inside(void **state)
{
    (void)state;
    put("/proc/self/mountinfo",
        "31 20 0:27 /docker/abc /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n");
    put("/proc/self/cgroup", "4:cpu:/docker/abc/inner\n");
    put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n");
    put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    assert_int_equal(look().milli_cpus, 2000);
    put("/sys/fs/cgroup/cpu/inner/cpu.cfs_quota_us", "100000\n");
    put("/sys/fs/cgroup/cpu/inner/cpu.cfs_period_us", "100000\n");
    assert_int_equal(look().milli_cpus, 1000);
    put("/proc/self/cgroup", "4:cpu:/docker/abcdef\n"); /* another container's path */
    assert_int_equal(look().milli_cpus, 2000);
}

static void both_versions_at_once(void **state)
{
    (void)state;
    put("/proc/self/mountinfo",
        V1_MOUNT "32 20 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    put("/proc/self/cgroup", "4:cpu,cpuacct:/\n0::/u\n");
    put("/sys/fs/cgroup/unified/u/cpu.max", "700000 100000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "600000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    assert_int_equal(look().milli_cpus, 6000);
}

static void odd_mounts_and_numbers(void **state)
{
    (void)state;
    put("/proc/self/mountinfo",
        "30 20 0:26 / /mnt/c\\040g rw shared:1 master:2 - cgroup2 none rw\n");
    put("/proc/self/cgroup", "0::/\n");
    put("/mnt/c g/cpu.max", "100000 100000\n");
    assert_int_equal(look().milli_cpus, 1000);
    put("/mnt/c g/cpu.max", "100000 0\n");
    assert_int_equal(look().milli_cpus, -1);
    put("/mnt/c g/cpu.max", "9223372036854775807 100000\n");
    assert_int_equal(look().milli_cpus, -1);
    put("/mnt/c g/cpu.max", "");
    assert_int_equal(look().milli_cpus, -1);
}

static void cpusets_are_counted(void **state)
{
    (void)state;
    put("/proc/self/mountinfo", V2_MOUNT);
    put("/proc/self/cgroup", "0::/a\n");
    put("/sys/fs/cgroup/cpuset.cpus.effective", "0-7\n");
    assert_int_equal(look().cpuset_cpus, 8);
    put("/sys/fs/cgroup/a/cpuset.cpus.effective", "0-1,4\n");
    assert_int_equal(look().cpuset_cpus, 3);
    assert_int_equal(quota_count_list("0"), 1);
    assert_int_equal(quota_count_list(""), 0);
    assert_int_equal(quota_count_list("3-1"), -1);
    assert_int_equal(quota_count_list("x"), -1);
    assert_int_equal(quota_count_list("0-"), -1);
}

#define IN_ROOT(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_ROOT(nothing_there),          IN_ROOT(v2_takes_the_least_of_all_above),
        IN_ROOT(v2_in_a_namespace),      IN_ROOT(v1_takes_the_least_of_all_above),
        IN_ROOT(v1_mount_begins_inside), IN_ROOT(both_versions_at_once),
        IN_ROOT(odd_mounts_and_numbers), IN_ROOT(cpusets_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
