/* SPDX-License-Identifier: MIT */
#include <argp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "plan_args.h"

enum { KEY_JSON = 0x200, KEY_SVG };

struct args {
    struct plan_args plan;
    bool json;
    const char *svg;
};

static const struct argp_option options[] = {
    {"json", KEY_JSON, NULL, 0, "Print JSON", 0},
    {"svg", KEY_SVG, "FILE", 0, "Draw it into FILE, with hwloc's lstopo", 0},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct args *args = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &args->plan;
        return 0;
    case KEY_JSON:
        args->json = true;
        return 0;
    case KEY_SVG:
        args->svg = arg;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static cJSON *list_cpus(const tr_cpuset *set)
{
    cJSON *list = cJSON_CreateArray();

    for (unsigned cpu = 0; cpu < TR_MAX_CPUS; cpu++)
        if (set->bits[cpu / 64] >> cpu % 64 & 1)
            cJSON_AddItemToArray(list, cJSON_CreateNumber(cpu));
    return list;
}

/* Unknown values are null. */
static void add_place(cJSON *to, const char *name, uint32_t value)
{
    if (value == TR_PLAN_UNKNOWN)
        cJSON_AddNullToObject(to, name);
    else
        cJSON_AddNumberToObject(to, name, value);
}

static cJSON *worker_json(const tr_plan_worker *worker, uint32_t index)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddNumberToObject(json, "index", index);
    cJSON_AddItemToObject(json, "cpus", list_cpus(&worker->cpus));
    cJSON_AddNumberToObject(json, "cores", worker->cores);
    cJSON_AddNumberToObject(json, "threads", worker->threads);
    add_place(json, "package", worker->package);
    add_place(json, "node", worker->node);
    add_place(json, "l3", worker->l3);
    cJSON_AddBoolToObject(json, "shares", (worker->flags & TR_PLAN_WORKER_SHARES) != 0);
    cJSON_AddBoolToObject(json, "spans_l3",
                          (worker->flags & TR_PLAN_WORKER_SPANS_L3) != 0);
    cJSON_AddBoolToObject(json, "spans_node",
                          (worker->flags & TR_PLAN_WORKER_SPANS_NODE) != 0);
    cJSON_AddBoolToObject(json, "efficient",
                          (worker->flags & TR_PLAN_WORKER_EFFICIENT) != 0);
    return json;
}

/* @p worker: as many as the plan has. */
static cJSON *plan_json(const tr_plan_info *plan, const tr_plan_worker worker[])
{
    static const char *const limits[] = {"machine", "affinity", "cpuset", "quota"};
    cJSON *json = cJSON_CreateObject();
    cJSON *workers;

    cJSON_AddNumberToObject(json, "workers", plan->workers);
    cJSON_AddStringToObject(json, "policy", policy_names[plan->policy]);
    cJSON_AddNumberToObject(json, "cores", plan->cores);
    cJSON_AddNumberToObject(json, "cpus", plan->cpus);
    cJSON_AddNumberToObject(json, "machine_cpus", plan->machine_cpus);
    cJSON_AddNumberToObject(json, "reserved_cores", plan->reserved_cores);
    cJSON_AddNumberToObject(json, "kinds", plan->kinds);
    cJSON_AddStringToObject(json, "limit", limits[plan->limit]);
    if (plan->quota_milli_cpus < 0)
        cJSON_AddNullToObject(json, "quota_cpus");
    else
        cJSON_AddNumberToObject(json, "quota_cpus",
                                (double)plan->quota_milli_cpus / 1000);
    cJSON_AddStringToObject(json, "quota_source", plan->quota_source);
    cJSON_AddBoolToObject(json, "shared", plan->shared != 0);
    workers = cJSON_AddArrayToObject(json, "worker");
    for (uint32_t i = 0; i < plan->workers; i++)
        cJSON_AddItemToArray(workers, worker_json(&worker[i], i));
    return json;
}

static int print_text(const tr_plan *plan)
{
    size_t bytes = 0;
    char *text;
    int result;

    result = tr_plan_text(plan, NULL, 0, &bytes);
    text = malloc(bytes);
    if (!result)
        result = text ? tr_plan_text(plan, text, bytes, NULL) : TR_ENOMEM;
    if (!result)
        fputs(text, stdout);
    free(text);
    return result ? complain("plan", result) : 0;
}

/* As many as `run` would start. */
static uint32_t one_a_core(const tr_plan_info *plan)
{
    int64_t cores = plan->cores - plan->reserved_cores;

    if (plan->quota_milli_cpus >= 0 && plan->quota_milli_cpus / 1000 < cores)
        cores = plan->quota_milli_cpus < 1000 ? 1 : plan->quota_milli_cpus / 1000;
    return (uint32_t)(cores < TR_MAX_WORKERS ? cores : TR_MAX_WORKERS);
}

/* A plan for @p workers, 0: one for each core. */
static int make(uint32_t workers, const tr_plan_options *wanted, tr_plan *plan)
{
    tr_plan_info info = TR_PLAN_INFO_INIT;
    int result = tr_plan_create(workers ? workers : 1, wanted, plan);

    if (!result && workers == 0)
        result = tr_plan_info_get(plan, &info);
    if (!result && workers == 0)
        result = tr_plan_create(one_a_core(&info), wanted, plan);
    return result;
}

static int print_as_json(const tr_plan *plan)
{
    static tr_plan_worker worker[TR_MAX_WORKERS];
    tr_plan_info info = TR_PLAN_INFO_INIT;
    size_t count;
    int result = tr_plan_info_get(plan, &info);

    if (!result)
        result = tr_plan_workers(plan, worker, sizeof(worker[0]), TR_MAX_WORKERS, &count);
    return result ? complain("plan", result) : print_json(plan_json(&info, worker));
}

int cmd_plan(int argc, char **argv)
{
    static const struct argp_child children[] = {
        {&plan_argp, 0, NULL, 0}, {&help_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        options,  parse, NULL, "Show which cores, and how many threads, n workers get.",
        children, NULL,  NULL};
    tr_plan *plan = malloc(tr_plan_bytes());
    struct args args = {0};
    int result;

    argp_parse(&argp, argc, argv, 0, NULL, &args);
    result = plan ? make(args.plan.workers, &args.plan.options, plan) : TR_ENOMEM;
    if (!result && args.svg)
        result = tr_plan_svg(plan, args.svg);
    if (result)
        result = complain("plan", result);
    else
        result = args.json ? print_as_json(plan) : print_text(plan);
    free(plan);
    return result;
}
