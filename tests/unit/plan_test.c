/* SPDX-License-Identifier: MIT */
#include "plan_scene.h"

static const struct machine machines[] = {
    {"one socket", "package:1 [numa] l3:1 core:4 pu:1", NULL, 0},
    {"two sockets", "package:2 [numa] l3:4 core:4 pu:2", NULL, 0},
    {"small caches", "package:1 [numa] l3:8 core:3 pu:1", NULL, 0},
    {"hybrid", "package:1 [numa] l3:1 core:12 pu:1", NULL, 4},
    {"hybrid with siblings", "package:1 [numa] l3:1 core:8 pu:2", "0-7,8,10,12,14", 8},
    {"holes", "package:2 [numa] l3:2 core:4 pu:2", "1,4-6,9-14,17,20-23,30", 0},
    {"one hole a core", "package:2 [numa] l3:2 core:4 pu:2", "0,2,4,6,8,17,19", 0},
    {"one core", "package:1 [numa] l3:1 core:1 pu:2", NULL, 0},
    {"no cores shown", "package:1 [numa] pu:6", NULL, 0},
    {"four nodes", "package:2 group:2 [numa] l3:2 core:6 pu:2", NULL, 0},
};
enum { MACHINES = sizeof(machines) / sizeof(machines[0]) };

static bool overlap(const tr_cpuset *a, const tr_cpuset *b)
{
    for (size_t i = 0; i < TR_MAX_CPUS / 64; i++)
        if (a->bits[i] & b->bits[i])
            return true;
    return false;
}

/* Siblings: a worker has the whole of a core or nothing of it. Its count of cores is true. */
static void check_whole_cores(hwloc_topology_t topology)
{
    bool cores = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_CORE) > 0;

    for (uint32_t i = 0; i < plan.workers; i++) {
        hwloc_obj_t core = NULL;
        uint32_t whole = 0;

        while ((core = hwloc_get_next_obj_by_type(
                    topology, cores ? HWLOC_OBJ_CORE : HWLOC_OBJ_PU, core))) {
            int inside = 0, all = hwloc_bitmap_weight(core->cpuset);

            for (int cpu = hwloc_bitmap_first(core->cpuset); cpu >= 0;
                 cpu = hwloc_bitmap_next(core->cpuset, cpu))
                inside += set_has(&plan.worker[i].cpus, (uint32_t)cpu);
            assert_true(inside == 0 || inside == all);
            whole += inside > 0;
        }
        assert_int_equal(whole, plan.worker[i].cores);
        assert_true(whole > 0);
    }
}

static void check_disjoint(void)
{
    for (uint32_t i = 0; i < plan.workers; i++)
        for (uint32_t j = 0; j < i; j++)
            assert_false(overlap(&plan.worker[i].cpus, &plan.worker[j].cpus));
}

static void check_complete(void)
{
    tr_cpuset all = {{0}};

    for (uint32_t i = 0; i < plan.workers; i++)
        set_merge(&all, &plan.worker[i].cpus);
    assert_memory_equal(&all, &plan.allowed, sizeof(all));
}

/* Within one core: of all workers, or of those that share a kind or a node. */
static void check_balanced(uint32_t kind_flag, uint32_t node)
{
    uint32_t least = UINT32_MAX, most = 0;

    for (uint32_t i = 0; i < plan.workers; i++) {
        const tr_plan_worker *worker = &plan.worker[i];

        if ((worker->flags & TR_PLAN_WORKER_EFFICIENT) != kind_flag ||
            (node != TR_PLAN_UNKNOWN && worker->node != node))
            continue;
        least = worker->cores < least ? worker->cores : least;
        most = worker->cores > most ? worker->cores : most;
    }
    assert_true(most == 0 || most - least <= 1);
}

/* More workers than cores: each has one, and no core has two workers more than another. */
static void check_shared(void)
{
    uint32_t least = UINT32_MAX, most = 0;

    assert_int_equal(plan.shared, 1);
    for (uint32_t i = 0; i < plan.cores; i++) {
        uint32_t users = 0;

        for (uint32_t j = 0; j < plan.workers; j++)
            users += set_has(&plan.worker[j].cpus, plan.core[i].first_cpu);
        least = users < least ? users : least;
        most = users > most ? users : most;
    }
    assert_true(most - least <= 1);
    for (uint32_t i = 0; i < plan.workers; i++) {
        uint32_t users = 0;

        for (uint32_t j = 0; j < plan.workers; j++)
            users += overlap(&plan.worker[i].cpus, &plan.worker[j].cpus);
        assert_int_equal(!!(plan.worker[i].flags & TR_PLAN_WORKER_SHARES), users > 1);
        assert_int_equal(plan.worker[i].threads, 1);
    }
}

static void check_plan(hwloc_topology_t topology, uint32_t policy)
{
    bool by_node = policy == TR_PLAN_ONE_NODE || policy == TR_PLAN_BANDWIDTH;

    check_whole_cores(topology);
    if (plan.workers > plan.cores) {
        check_shared();
        return;
    }
    check_disjoint();
    if (!by_node && plan.workers >= plan.kinds)
        check_complete();
    for (uint32_t flag = 0; flag <= TR_PLAN_WORKER_EFFICIENT;
         flag += TR_PLAN_WORKER_EFFICIENT)
        for (uint32_t node = 0; node < 8; node++)
            check_balanced(flag, by_node ? node : TR_PLAN_UNKNOWN);
    for (uint32_t i = 0; i < plan.workers; i++) {
        assert_int_equal(plan.worker[i].threads, plan.worker[i].cores);
        if (by_node)
            assert_false(plan.worker[i].flags & TR_PLAN_WORKER_SPANS_NODE);
    }
}

static void every_machine_every_count(void **state)
{
    (void)state;
    for (size_t m = 0; m < MACHINES; m++) {
        hwloc_topology_t topology = make(&machines[m]);
        uint32_t cpus = (uint32_t)hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PU);

        for (uint32_t policy = 0; policy <= TR_PLAN_BANDWIDTH; policy++)
            for (uint32_t workers = 1; workers <= 2 * cpus; workers++) {
                tr_plan_options options = TR_PLAN_OPTIONS_INIT;

                options.policy = policy;
                cut(topology, workers, &options);
                assert_int_equal(plan.cpus, cpus);
                check_plan(topology, policy);
            }
        hwloc_topology_destroy(topology);
    }
}

static uint32_t count_flag(uint32_t flag)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < plan.workers; i++)
        count += !!(plan.worker[i].flags & flag);
    return count;
}

static void caches_are_not_crossed_when_it_can_be_helped(void **state)
{
    static const tr_plan_options plain = TR_PLAN_OPTIONS_INIT;
    static const char two[] = "package:2 [numa] l3:4 core:4 pu:2";
    static const char small[] = "package:1 [numa] l3:8 core:3 pu:1";

    (void)state;
    cut_one(two, 8, plain);
    assert_int_equal(count_flag(TR_PLAN_WORKER_SPANS_L3), 0);
    cut_one(two, 2, plain);
    assert_int_equal(count_flag(TR_PLAN_WORKER_SPANS_NODE), 0);
    cut_one(two, 7, plain); /* 32 cores: 4 or 5 each; only one can lie on both sockets */
    assert_int_equal(count_flag(TR_PLAN_WORKER_SPANS_NODE), 1);
    cut_one(two, 6, plain); /* 5 or 6 each: 16 = 5 + 5 + 6 */
    assert_int_equal(count_flag(TR_PLAN_WORKER_SPANS_NODE), 0);
    cut_one(small, 8, plain);
    assert_int_equal(count_flag(TR_PLAN_WORKER_SPANS_L3), 0);
    cut_one(small, 16, plain); /* 2 + 1 in each cache */
    assert_int_equal(count_flag(TR_PLAN_WORKER_SPANS_L3), 0);
    cut_one(small, 12, plain); /* two each: of three cores one is always left */
    assert_int_equal(count_flag(TR_PLAN_WORKER_SPANS_L3), 4);
}

static void a_cap_leaves_gaps_at_the_caches(void **state)
{
    tr_plan_options options = TR_PLAN_OPTIONS_INIT;

    (void)state;
    options.cores_per_worker = 2;
    cut_one("package:1 [numa] l3:8 core:3 pu:1", 8, options);
    assert_int_equal(count_flag(TR_PLAN_WORKER_SPANS_L3), 0);
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(plan.worker[i].cores, 2);
        assert_int_equal(plan.worker[i].l3, i);
    }
    options.cores_per_worker = 1;
    cut_one("package:1 [numa] l3:8 core:3 pu:1", 3, options); /* compact: together */
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(plan.worker[i].l3, 0);
    options.policy = TR_PLAN_SPREAD;
    cut_one("package:1 [numa] l3:8 core:3 pu:1", 8, options); /* spread: apart */
    for (uint32_t i = 0; i < 8; i++)
        for (uint32_t j = 0; j < i; j++)
            assert_int_not_equal(plan.worker[i].l3, plan.worker[j].l3);
    options.cores_per_worker = 100; /* more than there are: no limit */
    cut_one("package:1 [numa] l3:8 core:3 pu:1", 3, options);
    check_complete();
}

static void spread_alternates_between_nodes(void **state)
{
    tr_plan_options options = TR_PLAN_OPTIONS_INIT;

    (void)state;
    options.policy = TR_PLAN_SPREAD;
    cut_one("package:2 [numa] l3:4 core:4 pu:2", 8, options);
    for (uint32_t i = 0; i < 8; i++)
        assert_int_equal(plan.worker[i].node, i % 2);
    for (uint32_t i = 0; i < 8; i += 2)
        for (uint32_t j = 0; j < i; j += 2)
            assert_int_not_equal(plan.worker[i].l3, plan.worker[j].l3);
}

static uint32_t caches_of(const tr_plan_worker *worker)
{
    uint64_t seen = 0;

    for (uint32_t i = 0; i < plan.cores; i++)
        if (set_has(&worker->cpus, plan.core[i].first_cpu))
            seen |= UINT64_C(1) << plan.core[i].l3;
    return (uint32_t)__builtin_popcountll(seen);
}

static void nodes_are_walls_where_asked(void **state)
{
    static const char four[] = "package:2 group:2 [numa] l3:2 core:6 pu:2";
    tr_plan_options options = TR_PLAN_OPTIONS_INIT;

    (void)state;
    options.policy = TR_PLAN_ONE_NODE;
    cut_one(four, 2, options); /* a node each, in different sockets */
    assert_int_equal(plan.worker[0].cores, 12);
    assert_int_not_equal(plan.worker[0].package, plan.worker[1].package);
    cut_one(four, 5, options); /* the fifth shares a node with another */
    assert_int_equal(count_flag(TR_PLAN_WORKER_SPANS_NODE), 0);
    options.policy = TR_PLAN_BANDWIDTH;
    cut_one("package:2 [numa] l3:4 core:4 pu:2", 8, options);
    for (uint32_t i = 0; i < 8; i++)
        assert_int_equal(caches_of(&plan.worker[i]), 4);
    assert_int_equal(plan.worker[0].nodes, 1);
    assert_int_equal(plan.worker[7].nodes, 2);
}

static void hybrid_workers_never_mix(void **state)
{
    struct machine machine = {"", "package:1 [numa] l3:1 core:12 pu:1", NULL, 4};
    hwloc_topology_t topology = make(&machine);
    tr_plan_options options = TR_PLAN_OPTIONS_INIT;

    (void)state;
    cut(topology, 1, NULL); /* alone it gets the fast ones */
    assert_int_equal(plan.kinds, 2);
    assert_int_equal(plan.worker[0].cores, 4);
    assert_int_equal(plan.worker[0].flags, 0);
    cut(topology, 3, NULL); /* 4 fast, 8 efficient: 1 and 2 */
    assert_int_equal(count_flag(TR_PLAN_WORKER_EFFICIENT), 2);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(plan.worker[i].cores, 4);
    options.flags = TR_PLAN_FAST_ONLY;
    cut(topology, 2, &options);
    assert_int_equal(count_flag(TR_PLAN_WORKER_EFFICIENT), 0);
    assert_int_equal(plan.reserved_cores, 8);
    options.flags = 0;
    options.reserve_cores = 9; /* all the efficient ones, and the first fast one */
    cut(topology, 3, &options);
    assert_int_equal(plan.reserved_cores, 9);
    assert_false(set_has(&plan.worker[0].cpus, 0));
    assert_int_equal(count_flag(TR_PLAN_WORKER_EFFICIENT), 0);
    options.reserve_cores = 12;
    assert_int_equal(plan_build(&plan, topology, 1, &options, &unlimited, 0), TR_EINVAL);
    hwloc_topology_destroy(topology);
}

/* A few MHz of turbo make kinds for hwloc, not a hybrid. */
static void turbo_is_not_a_hybrid(void **state)
{
    struct machine machine = {"", "package:1 [numa] l3:1 core:4 pu:1", NULL, 0};
    hwloc_topology_t topology = make(&machine);

    (void)state;
    register_kind(topology, 0, 1, 1, "IntelCore");
    register_kind(topology, 2, 3, 2, "IntelCore");
    cut(topology, 1, NULL);
    assert_int_equal(plan.kinds, 1);
    assert_int_equal(plan.worker[0].cores, 4);
    hwloc_topology_destroy(topology);
}

static void reserved_cores_are_left_free(void **state)
{
    tr_plan_options options = TR_PLAN_OPTIONS_INIT;

    (void)state;
    options.reserve_cores = 1;
    cut_one("package:1 [numa] l3:1 core:4 pu:2", 3, options);
    check_disjoint();
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(plan.worker[i].cores, 1);
        assert_false(set_has(&plan.worker[i].cpus, 0));
    }
    cut_one("package:1 [numa] l3:1 core:4 pu:2", 4, options); /* four share three */
    assert_int_equal(plan.shared, 1);
    assert_int_equal(count_flag(TR_PLAN_WORKER_SHARES), 2);
}

static void quota_limits_threads(void **state)
{
    struct machine machine = {"", "package:1 [numa] l3:1 core:16 pu:1", NULL, 0};
    hwloc_topology_t topology = make(&machine);
    static const struct {
        int64_t milli;
        uint32_t workers, threads, limit;
    } rows[] = {
        {-1, 2, 8, TR_PLAN_LIMIT_MACHINE},     {4000, 2, 2, TR_PLAN_LIMIT_QUOTA},
        {5900, 2, 2, TR_PLAN_LIMIT_QUOTA},     {500, 1, 1, TR_PLAN_LIMIT_QUOTA},
        {4000, 8, 1, TR_PLAN_LIMIT_QUOTA},     {15999, 1, 15, TR_PLAN_LIMIT_QUOTA},
        {16000, 1, 16, TR_PLAN_LIMIT_MACHINE}, {64000, 4, 4, TR_PLAN_LIMIT_MACHINE}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct quota quota = {rows[i].milli, "/sys/fs/cgroup/cpu.max", -1};

        assert_int_equal(plan_build(&plan, topology, rows[i].workers, NULL, &quota, 16),
                         0);
        assert_int_equal(plan.worker[0].threads, rows[i].threads);
        assert_int_equal(plan.limit, rows[i].limit);
    }
    {
        struct quota quota = {1000, "x", -1};
        tr_plan_options options = TR_PLAN_OPTIONS_INIT;

        options.flags = TR_PLAN_NO_QUOTA;
        assert_int_equal(plan_build(&plan, topology, 1, &options, &quota, 16), 0);
        assert_int_equal(plan.worker[0].threads, 16);
        assert_int_equal(plan.quota_milli_cpus, -1);
    }
    hwloc_topology_destroy(topology);
}

static void the_limit_is_named(void **state)
{
    struct machine machine = {"", "package:1 [numa] l3:1 core:4 pu:1", NULL, 0};
    hwloc_topology_t topology = make(&machine);
    struct quota quota = {.milli_cpus = -1, .cpuset_cpus = 4};

    (void)state;
    assert_int_equal(plan_build(&plan, topology, 1, NULL, &quota, 8), 0);
    assert_int_equal(plan.limit, TR_PLAN_LIMIT_CPUSET);
    quota.cpuset_cpus = 6;
    assert_int_equal(plan_build(&plan, topology, 1, NULL, &quota, 8), 0);
    assert_int_equal(plan.limit, TR_PLAN_LIMIT_AFFINITY);
    hwloc_topology_destroy(topology);
}

static void options_may_be_older_or_newer(void **state)
{
    struct {
        tr_plan_options known;
        uint32_t rest;
    } longer = {TR_PLAN_OPTIONS_INIT, 0};
    struct machine machine = {"", "package:1 [numa] l3:1 core:4 pu:1", NULL, 0};
    hwloc_topology_t topology = make(&machine);
    tr_plan_options options = TR_PLAN_OPTIONS_INIT;

    (void)state;
    options.struct_size = offsetof(tr_plan_options, reserve_cores);
    options.reserve_cores = 1000; /* beyond the end: not looked at */
    cut(topology, 2, &options);
    longer.known.struct_size = sizeof(longer);
    cut(topology, 2, &longer.known);
    longer.rest = 1;
    assert_int_equal(plan_build(&plan, topology, 2, &longer.known, &unlimited, 0),
                     TR_EINVAL);
    options = (tr_plan_options)TR_PLAN_OPTIONS_INIT;
    options.policy = 99;
    assert_int_equal(plan_build(&plan, topology, 2, &options, &unlimited, 0), TR_EINVAL);
    assert_int_equal(plan_build(&plan, topology, 0, NULL, &unlimited, 0), TR_EINVAL);
    assert_int_equal(plan_build(&plan, topology, TR_MAX_WORKERS + 1, NULL, &unlimited, 0),
                     TR_EINVAL);
    hwloc_topology_destroy(topology);
}

static void huge_machines_are_refused_by_name(void **state)
{
    struct machine machine = {"", "package:8 [numa] core:130 pu:1", NULL, 0};
    hwloc_topology_t topology = make(&machine);

    (void)state;
    assert_int_equal(plan_build(&plan, topology, 2, NULL, &unlimited, 0), TR_ENOTSUP);
    assert_non_null(strstr(tr_error_detail(), "1024"));
    hwloc_topology_destroy(topology);
}

/* This machine: the mask is respected, and planning changes nothing. */
static void this_machine(void **state)
{
    cpu_set_t before, after, one;
    size_t first = 0;

    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    assert_int_equal(tr_plan_create(2, NULL, &plan), 0);
    assert_memory_equal(&plan.allowed, &before, sizeof(plan.allowed));
    assert_int_equal(sched_getaffinity(0, sizeof(after), &after), 0);
    assert_true(CPU_EQUAL(&before, &after));
    while (!CPU_ISSET(first, &before))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    assert_int_equal(tr_plan_create(2, NULL, &plan), 0);
#ifndef TR_EMULATED /* qemu's own thread has the old mask */
    assert_int_equal(plan.cpus, 1);
    assert_int_equal(plan.shared, 1);
#endif
    assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
    assert_int_equal(tr_plan_create(2, NULL, NULL), TR_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_machine_every_count),
        cmocka_unit_test(caches_are_not_crossed_when_it_can_be_helped),
        cmocka_unit_test(a_cap_leaves_gaps_at_the_caches),
        cmocka_unit_test(spread_alternates_between_nodes),
        cmocka_unit_test(nodes_are_walls_where_asked),
        cmocka_unit_test(hybrid_workers_never_mix),
        cmocka_unit_test(turbo_is_not_a_hybrid),
        cmocka_unit_test(reserved_cores_are_left_free),
        cmocka_unit_test(quota_limits_threads),
        cmocka_unit_test(the_limit_is_named),
        cmocka_unit_test(options_may_be_older_or_newer),
        cmocka_unit_test(huge_machines_are_refused_by_name),
        cmocka_unit_test(this_machine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
