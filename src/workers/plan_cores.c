/* SPDX-License-Identifier: MIT */
/* What the machine has, as hwloc sees it. Only plan_svg.c uses hwloc besides this file. */
#include <string.h>

#include "src/base/error.h"
#include "src/workers/plan_internal.h"

/* Devices do not matter here, and their plugins load heavy libraries, some of which hang. */
static const char *const unwanted[] = {"gl",   "opencl", "cuda",
                                       "nvml", "rsmi",   "levelzero"};

int plan_topology(hwloc_topology_t *out)
{
    const unsigned long flags = HWLOC_TOPOLOGY_FLAG_IS_THISSYSTEM |
                                HWLOC_TOPOLOGY_FLAG_RESTRICT_TO_CPUBINDING |
                                HWLOC_TOPOLOGY_FLAG_NO_DISTANCES |
                                HWLOC_TOPOLOGY_FLAG_NO_MEMATTRS |
                                HWLOC_TOPOLOGY_FLAG_DONT_CHANGE_BINDING;
    hwloc_topology_t topology;

    if (hwloc_topology_init(&topology))
        return tr_fail(TR_ENOMEM, "plan: hwloc has no memory for a topology");
    /* A plugin that is not installed cannot be blacklisted, and need not be. */
    for (size_t i = 0; i < sizeof(unwanted) / sizeof(unwanted[0]); i++)
        (void)hwloc_topology_set_components(
            topology, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, unwanted[i]);
    if (hwloc_topology_set_flags(topology, flags) ||
        hwloc_topology_set_io_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE) ||
        /* the labels of plan_svg.c */
        hwloc_topology_set_type_filter(topology, HWLOC_OBJ_MISC,
                                       HWLOC_TYPE_FILTER_KEEP_ALL) ||
        hwloc_topology_load(topology)) {
        hwloc_topology_destroy(topology);
        return tr_fail(TR_ENOTSUP,
                       "plan: hwloc cannot tell the topology of this machine");
    }
    *out = topology;
    return 0;
}

static const char *info_of(struct hwloc_info_s *infos, unsigned count, const char *name)
{
    for (unsigned i = 0; i < count; i++)
        if (!strcmp(infos[i].name, name))
            return infos[i].value;
    return "";
}

/* hwloc ranks kinds also by a few MHz of turbo, which would tear an ordinary server apart.
 * A hybrid is one whose kinds differ in core type (x86) or capacity (Arm). */
static bool same_kind(hwloc_topology_t topology, unsigned a, unsigned b)
{
    static const char *const telling[] = {"CoreType", "LinuxCapacity"};
    struct hwloc_info_s *infos_a, *infos_b;
    unsigned count_a, count_b;
    int efficiency_a, efficiency_b;

    if (hwloc_cpukinds_get_info(topology, a, NULL, &efficiency_a, &count_a, &infos_a,
                                0) ||
        hwloc_cpukinds_get_info(topology, b, NULL, &efficiency_b, &count_b, &infos_b, 0))
        return true;
    if (efficiency_a < 0 || efficiency_b < 0)
        return true;
    for (size_t i = 0; i < sizeof(telling) / sizeof(telling[0]); i++)
        if (strcmp(info_of(infos_a, count_a, telling[i]),
                   info_of(infos_b, count_b, telling[i])) != 0)
            return false;
    return true;
}

enum { MAX_KINDS = 16 };

/* rank[hwloc's kind] = 0 for the fastest. Returns how many ranks there are. */
static uint32_t rank_kinds(hwloc_topology_t topology, uint8_t rank[MAX_KINDS], int *kinds)
{
    uint32_t ranks = 1;

    memset(rank, 0, MAX_KINDS);
    *kinds = hwloc_cpukinds_get_nr(topology, 0);
    if (*kinds < 2 || *kinds > MAX_KINDS) {
        *kinds = 0;
        return 1;
    }
    for (int kind = *kinds - 2; kind >= 0; kind--) { /* hwloc's kind 0 is the slowest */
        if (!same_kind(topology, (unsigned)kind, (unsigned)kind + 1))
            ranks++;
        rank[kind] = (uint8_t)(ranks - 1);
    }
    return ranks;
}

static uint16_t ancestor(hwloc_topology_t topology, hwloc_obj_t core,
                         hwloc_obj_type_t type)
{
    hwloc_obj_t found = hwloc_get_ancestor_obj_by_type(topology, type, core);

    return found ? (uint16_t)found->logical_index : UINT16_MAX;
}

static int add_core(tr_plan *plan, struct core_sets *sets, hwloc_topology_t topology,
                    hwloc_obj_t object)
{
    tr_plan_core *core = &plan->core[plan->cores];
    tr_cpuset *set = &sets->of[plan->cores];
    int node;

    memset(set, 0, sizeof(*set));
    for (int cpu = hwloc_bitmap_first(object->cpuset); cpu >= 0;
         cpu = hwloc_bitmap_next(object->cpuset, cpu)) {
        if (cpu >= TR_MAX_CPUS)
            return tr_fail(TR_ENOTSUP,
                           "plan: processor %d, a plan can name those below %d", cpu,
                           TR_MAX_CPUS);
        set_add(set, (uint32_t)cpu);
        core->cpu_count++;
    }
    if (!core->cpu_count)
        return 0;
    node = object->nodeset ? hwloc_bitmap_first(object->nodeset) : -1;
    core->first_cpu = (uint16_t)hwloc_bitmap_first(object->cpuset);
    core->package = ancestor(topology, object, HWLOC_OBJ_PACKAGE);
    core->l3 = ancestor(topology, object, HWLOC_OBJ_L3CACHE);
    core->node = node < 0 ? UINT16_MAX : (uint16_t)node;
    plan->cpus += core->cpu_count;
    plan->cores++;
    set_merge(&plan->allowed, set);
    return 0;
}

int plan_find_cores(tr_plan *plan, struct core_sets *sets, hwloc_topology_t topology)
{
    uint8_t rank[MAX_KINDS];
    hwloc_obj_type_t type = HWLOC_OBJ_CORE;
    hwloc_obj_t object = NULL;
    int kinds;

    /* Some virtual machines and containers show processors without cores. */
    if (hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_CORE) <= 0)
        type = HWLOC_OBJ_PU;
    plan->kinds = rank_kinds(topology, rank, &kinds);
    while ((object = hwloc_get_next_obj_by_type(topology, type, object))) {
        uint32_t before = plan->cores;
        int result;

        if (plan->cores == TR_MAX_CPUS)
            return tr_fail(TR_ENOTSUP, "plan: more than %d cores", TR_MAX_CPUS);
        result = add_core(plan, sets, topology, object);
        if (result)
            return result;
        if (kinds && plan->cores > before) {
            int kind = hwloc_cpukinds_get_by_cpuset(topology, object->cpuset, 0);

            plan->core[before].kind = kind >= 0 && kind < kinds ? rank[kind] : 0;
        }
    }
    return plan->cores ? 0 : tr_fail(TR_ENOTSUP, "plan: hwloc shows no processor at all");
}
