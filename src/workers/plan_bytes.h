/* SPDX-License-Identifier: MIT */
/* plan_bytes.h - what the bytes of a plan are. */
#ifndef TR_SRC_PLAN_BYTES_H
#define TR_SRC_PLAN_BYTES_H

#include <tensoring/plan.h>

#define PLAN_MAGIC UINT32_C(0x31505254)

struct tr_plan {
    uint32_t magic; /* PLAN_MAGIC */
    uint32_t size;  /* sizeof(struct tr_plan): another version has another */
    uint32_t workers;
    uint32_t policy;
    uint32_t cores;
    uint32_t cpus;
    uint32_t machine_cpus;
    uint32_t reserved_cores;
    uint32_t kinds;
    uint32_t limit;
    uint32_t shared;
    uint32_t pad; /* 0 */
    int64_t quota_milli_cpus;
    char quota_source[256];
    tr_cpuset allowed;
    tr_plan_worker worker[TR_MAX_WORKERS];
    tr_plan_core core[TR_MAX_CPUS];
};

#endif
