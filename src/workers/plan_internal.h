/* SPDX-License-Identifier: MIT */
/* plan_internal.h - the parts of a plan: find the cores (plan_cores.c, which knows hwloc), cut
 * them (plan_cut.c, which does not), put the two together (plan.c). */
#ifndef TR_SRC_PLAN_INTERNAL_H
#define TR_SRC_PLAN_INTERNAL_H

#include <hwloc.h>
#include <stdbool.h>

#include <tensoring/plan.h>

#include "src/base/quota.h"
#include "src/workers/plan_bytes.h"

/* The processors of each core of plan->core[], in the same order. */
struct core_sets {
    tr_cpuset of[TR_MAX_CPUS];
};

static inline void set_add(tr_cpuset *set, uint32_t cpu)
{
    set->bits[cpu / 64] |= UINT64_C(1) << cpu % 64;
}

static inline bool set_has(const tr_cpuset *set, uint32_t cpu)
{
    return set->bits[cpu / 64] >> cpu % 64 & 1;
}

static inline void set_merge(tr_cpuset *set, const tr_cpuset *more)
{
    for (size_t i = 0; i < TR_MAX_CPUS / 64; i++)
        set->bits[i] |= more->bits[i];
}

/* This machine as this process may use it. 0 or a TR_E code; the caller destroys it. */
int plan_topology(hwloc_topology_t *out);

/* Fill in core[], cores, cpus, kinds, allowed and @p sets. 0 or a TR_E code. */
int plan_find_cores(tr_plan *plan, struct core_sets *sets, hwloc_topology_t topology);

/* Fill in worker[] from core[]. 0 or a TR_E code. */
int plan_cut(tr_plan *plan, const struct core_sets *sets, const tr_plan_options *options);

/* All of it, on any topology. */
int plan_build(tr_plan *plan, hwloc_topology_t topology, uint32_t workers,
               const tr_plan_options *options, const struct quota *quota,
               uint32_t machine_cpus);

/* Whether this library can use that plan. 0 or TR_EINVAL with the detail set. */
int plan_check(const tr_plan *plan);

#endif
