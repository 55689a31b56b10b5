/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/error.h"
#include "src/base/options.h"
#include "src/workers/plan_internal.h"

static int take_options(tr_plan_options *to, const tr_plan_options *from)
{
    int result;

    *to = (tr_plan_options)TR_PLAN_OPTIONS_INIT;
    result = options_take(to, sizeof(*to), from, "plan options");
    if (result)
        return result;
    if (to->policy > TR_PLAN_BANDWIDTH)
        return tr_fail(TR_EINVAL, "plan: policy %u, there are 0 to %d", to->policy,
                       TR_PLAN_BANDWIDTH);
    if (to->flags & ~(uint32_t)(TR_PLAN_FAST_ONLY | TR_PLAN_NO_QUOTA))
        return tr_fail(TR_EINVAL, "plan: there are no flags 0x%x", to->flags);
    return reserved_check("plan", to->reserved);
}

/* It may come from an arena that another process has overwritten. */
int plan_check(const tr_plan *plan)
{
    if (!plan)
        return null_fail("plan", "plan");
    if (plan->magic != PLAN_MAGIC || plan->size != sizeof(*plan) || plan->workers == 0 ||
        plan->workers > TR_MAX_WORKERS || plan->cores > TR_MAX_CPUS ||
        !memchr(plan->quota_source, 0, sizeof(plan->quota_source)))
        return tr_fail(TR_EINVAL, "these bytes are not a plan of this library");
    for (uint32_t i = 0; i < plan->workers; i++)
        if (plan->worker[i].threads == 0 || plan->worker[i].threads > TR_MAX_CPUS)
            return tr_fail(TR_EINVAL, "plan: worker %u would have %u threads", i,
                           plan->worker[i].threads);
    return 0;
}

static void set_threads(tr_plan *plan)
{
    int64_t share = INT64_MAX;

    if (plan->quota_milli_cpus >= 0)
        share = plan->quota_milli_cpus / 1000 / plan->workers;
    for (uint32_t i = 0; i < plan->workers; i++) {
        tr_plan_worker *worker = &plan->worker[i];

        worker->threads = worker->cores < share ? worker->cores : (uint32_t)share;
        if (worker->threads == 0)
            worker->threads = 1;
    }
}

static uint32_t find_limit(const tr_plan *plan, const struct quota *quota)
{
    uint32_t used = plan->cores - plan->reserved_cores;

    if (plan->quota_milli_cpus >= 0 && plan->quota_milli_cpus / 1000 < used)
        return TR_PLAN_LIMIT_QUOTA;
    if (plan->cpus >= plan->machine_cpus)
        return TR_PLAN_LIMIT_MACHINE;
    if (quota->cpuset_cpus >= 0 && plan->cpus >= quota->cpuset_cpus)
        return TR_PLAN_LIMIT_CPUSET;
    return TR_PLAN_LIMIT_AFFINITY;
}

int plan_build(tr_plan *plan, hwloc_topology_t topology, uint32_t workers,
               const tr_plan_options *options, const struct quota *quota,
               uint32_t machine_cpus)
{
    tr_plan_options mine;
    struct core_sets *sets;
    int result = take_options(&mine, options);

    if (result)
        return result;
    if (workers == 0 || workers > TR_MAX_WORKERS)
        return tr_fail(TR_EINVAL, "plan: %u workers, there may be 1 to %d", workers,
                       TR_MAX_WORKERS);
    sets = malloc(sizeof(*sets));
    if (!sets)
        return tr_fail(TR_ENOMEM, "plan: no memory for %zu bytes", sizeof(*sets));
    memset(plan, 0, sizeof(*plan));
    plan->magic = PLAN_MAGIC;
    plan->size = sizeof(*plan);
    plan->workers = workers;
    plan->policy = mine.policy;
    plan->quota_milli_cpus = -1;
    if (!(mine.flags & TR_PLAN_NO_QUOTA)) {
        plan->quota_milli_cpus = quota->milli_cpus;
        memcpy(plan->quota_source, quota->source, sizeof(plan->quota_source));
    }
    result = plan_find_cores(plan, sets, topology);
    if (!result)
        result = plan_cut(plan, sets, &mine);
    free(sets);
    if (result)
        return result;
    plan->machine_cpus = machine_cpus > plan->cpus ? machine_cpus : plan->cpus;
    set_threads(plan);
    plan->limit = find_limit(plan, quota);
    return 0;
}

int tr_plan_create(uint32_t workers, const tr_plan_options *options, tr_plan *plan)
{
    hwloc_topology_t topology;
    struct quota quota;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    int result;

    if (!plan)
        return null_fail("plan create", "plan");
    result = plan_topology(&topology);
    if (result)
        return result;
    quota_read("", &quota);
    result = plan_build(plan, topology, workers, options, &quota,
                        online > 0 ? (uint32_t)online : 0);
    hwloc_topology_destroy(topology);
    return result;
}
