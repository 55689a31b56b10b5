/* SPDX-License-Identifier: MIT */
/* plan_scene.h - what the tests of plans share. */
#ifndef TR_TESTS_PLAN_SCENE_H
#define TR_TESTS_PLAN_SCENE_H

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "src/workers/plan_internal.h"

static const struct quota unlimited = {.milli_cpus = -1, .cpuset_cpus = -1};

/* A machine that is not there. @p keep restricts it to a list of processors; @p fast of
 * them, if not 0, are fast ones and the rest efficient. */
struct machine {
    const char *name;
    const char *synthetic;
    const char *keep;
    unsigned fast;
};

static void register_kind(hwloc_topology_t topology, unsigned first, unsigned last,
                          int efficiency, const char *type)
{
    struct hwloc_info_s info = {.name = (char *)"CoreType", .value = (char *)type};
    hwloc_bitmap_t set = hwloc_bitmap_alloc();

    hwloc_bitmap_set_range(set, first, (int)last);
    assert_int_equal(hwloc_cpukinds_register(topology, set, efficiency, 1, &info, 0), 0);
    hwloc_bitmap_free(set);
}

static hwloc_topology_t make(const struct machine *machine)
{
    hwloc_topology_t topology;

    assert_int_equal(hwloc_topology_init(&topology), 0);
    assert_int_equal(hwloc_topology_set_synthetic(topology, machine->synthetic), 0);
    assert_int_equal(hwloc_topology_load(topology), 0);
    if (machine->fast) {
        int all = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PU);

        register_kind(topology, 0, machine->fast - 1, 10, "IntelCore");
        register_kind(topology, machine->fast, (unsigned)all - 1, 1, "IntelAtom");
    }
    if (machine->keep) {
        hwloc_bitmap_t set = hwloc_bitmap_alloc();

        assert_int_equal(hwloc_bitmap_list_sscanf(set, machine->keep), 0);
        assert_int_equal(hwloc_topology_restrict(topology, set, 0), 0);
        hwloc_bitmap_free(set);
    }
    return topology;
}

static tr_plan plan; /* 54 KiB: not on the stack */

static void cut(hwloc_topology_t topology, uint32_t workers,
                const tr_plan_options *options)
{
    assert_int_equal(plan_build(&plan, topology, workers, options, &unlimited, 0), 0);
}

static void cut_one(const char *synthetic, uint32_t workers, tr_plan_options options)
{
    struct machine machine = {"", synthetic, NULL, 0};
    hwloc_topology_t topology = make(&machine);

    cut(topology, workers, &options);
    hwloc_topology_destroy(topology);
}

#endif
