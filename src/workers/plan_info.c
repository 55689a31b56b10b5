/* SPDX-License-Identifier: MIT */
/* plan_info.c - what a plan says, for programs that cannot see into it. */
#include <string.h>

#include "src/base/options.h"
#include "src/workers/plan_internal.h"

size_t tr_plan_bytes(void)
{
    return sizeof(struct tr_plan);
}

int tr_plan_info_get(const tr_plan *plan, tr_plan_info *info)
{
    tr_plan_info all = TR_PLAN_INFO_INIT;
    int result = plan_check(plan);

    if (!result)
        result = result_size_check(info, sizeof(all), "plan info", "info");
    if (result)
        return result;
    all.struct_size = info->struct_size;
    all.workers = plan->workers;
    all.policy = plan->policy;
    all.cores = plan->cores;
    all.cpus = plan->cpus;
    all.machine_cpus = plan->machine_cpus;
    all.reserved_cores = plan->reserved_cores;
    all.kinds = plan->kinds;
    all.limit = plan->limit;
    all.shared = plan->shared;
    all.quota_milli_cpus = plan->quota_milli_cpus;
    memcpy(all.quota_source, plan->quota_source, sizeof(all.quota_source));
    all.allowed = plan->allowed;
    memcpy(info, &all, all.struct_size);
    return 0;
}

/* @p n elements of @p known bytes each, as many as there is room for. */
static int copy_rows(const struct rows *rows, const void *from, size_t known, uint32_t n)
{
    int result = rows_check(rows, known, "plan");

    if (result)
        return result;
    *rows->count = 0;
    for (uint32_t i = 0; i < n && !rows_full(rows); i++)
        rows_add(rows, (const char *)from + i * known);
    return 0;
}

int tr_plan_workers(const tr_plan *plan, tr_plan_worker *out, size_t element_bytes,
                    size_t capacity, size_t *count)
{
    const struct rows rows = {out, element_bytes, capacity, count};
    int result = plan_check(plan);

    return result ? result : copy_rows(&rows, plan->worker, sizeof(*out), plan->workers);
}

int tr_plan_cores(const tr_plan *plan, tr_plan_core *out, size_t element_bytes,
                  size_t capacity, size_t *count)
{
    const struct rows rows = {out, element_bytes, capacity, count};
    int result = plan_check(plan);

    return result ? result : copy_rows(&rows, plan->core, sizeof(*out), plan->cores);
}
