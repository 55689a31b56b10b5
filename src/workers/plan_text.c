/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "src/base/error.h"
#include "src/base/options.h"
#include "src/workers/plan_internal.h"

/* Text that goes on being counted when the room is used up. */
struct text {
    char *buffer;
    size_t capacity;
    size_t length;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *text,
                                                      const char *format, ...)
{
    size_t room = text->length < text->capacity ? text->capacity - text->length : 0;
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(room ? text->buffer + text->length : NULL, room, format, args);
    va_end(args);
    if (length > 0)
        text->length += (size_t)length;
}

/* The answer to a caller whose buffer may be too small: see base.h. */
static int finish(const struct text *text, const char *what, size_t *needed)
{
    if (needed)
        *needed = text->length + 1;
    if (!text->buffer || text->length < text->capacity)
        return 0;
    return tr_fail(TR_EOVERFLOW, "%s: the text takes %zu bytes, there is room for %zu",
                   what, text->length + 1, text->capacity);
}

static void put_set(struct text *text, const tr_cpuset *set)
{
    bool first_range = true;

    put(text, "%s", "");
    for (uint32_t first = 0; first < TR_MAX_CPUS; first++) {
        uint32_t last = first;

        if (!set_has(set, first))
            continue;
        while (last + 1 < TR_MAX_CPUS && set_has(set, last + 1))
            last++;
        put(text, "%s%u", first_range ? "" : ",", first);
        if (last > first)
            put(text, "-%u", last);
        first_range = false;
        first = last;
    }
}

int tr_cpuset_text(const tr_cpuset *set, char *buffer, size_t capacity, size_t *needed)
{
    struct text text = {buffer, capacity, 0};

    if (!set || (!buffer && capacity))
        return null_fail("cpuset text", set ? "buffer" : "set");
    put_set(&text, set);
    return finish(&text, "cpuset", needed);
}

uint32_t tr_cpuset_count(const tr_cpuset *set)
{
    int count = 0;

    for (size_t i = 0; set && i < TR_MAX_CPUS / 64; i++)
        count += __builtin_popcountll(set->bits[i]);
    return (uint32_t)count;
}

static const char *policy_name(uint32_t policy)
{
    static const char *const names[] = {"compact", "spread", "one-node", "bandwidth"};

    return policy < sizeof(names) / sizeof(names[0]) ? names[policy] : "unknown";
}

static const char *plural(uint32_t count)
{
    return count == 1 ? "" : "s";
}

/* The worker of a core: "3", "3/4/5" where it is shared, "-" for nobody, "r" reserved. */
static void put_owner(struct text *text, const tr_plan *plan, const tr_plan_core *core)
{
    bool any = false;

    for (uint32_t i = 0; i < plan->workers && core->first_cpu < TR_MAX_CPUS; i++) {
        if (!set_has(&plan->worker[i].cpus, core->first_cpu))
            continue;
        put(text, "%s%u", any ? "/" : "", i);
        any = true;
    }
    if (!any)
        put(text, "%s", core->reserved ? "r" : "-");
}

static void put_place(struct text *text, const tr_plan *plan, const tr_plan_core *core)
{
    put(text, "  ");
    if (core->package != UINT16_MAX)
        put(text, "package %u  ", core->package);
    if (core->node != UINT16_MAX)
        put(text, "node %u  ", core->node);
    if (core->l3 != UINT16_MAX)
        put(text, "L3 %-3u ", core->l3);
    if (plan->kinds > 1)
        put(text, "%s  ", core->kind ? "efficient" : "fast     ");
    put(text, "|");
}

static void put_machine(struct text *text, const tr_plan *plan)
{
    const tr_plan_core *last = NULL;

    for (uint32_t i = 0; i < plan->cores; i++) {
        const tr_plan_core *core = &plan->core[i];

        if (!last || last->package != core->package || last->node != core->node ||
            last->l3 != core->l3 || last->kind != core->kind) {
            put(text, "%s", last ? " |\n" : "");
            put_place(text, plan, core);
        }
        put(text, " ");
        put_owner(text, plan, core);
        last = core;
    }
    put(text, " |\n");
}

static void put_worker(struct text *text, const tr_plan *plan, uint32_t index)
{
    const tr_plan_worker *worker = &plan->worker[index];

    put(text, "  worker %-3u %u core%s, %u thread%s, cpus ", index, worker->cores,
        plural(worker->cores), worker->threads, plural(worker->threads));
    put_set(text, &worker->cpus);
    if (worker->flags & TR_PLAN_WORKER_SHARES)
        put(text, ", shared");
    if (worker->flags & TR_PLAN_WORKER_EFFICIENT)
        put(text, ", efficient");
    if (worker->flags & TR_PLAN_WORKER_SPANS_NODE)
        put(text, ", spans memory nodes");
    else if (worker->flags & TR_PLAN_WORKER_SPANS_L3)
        put(text, ", spans L3 caches");
    put(text, "\n");
}

static void put_limit(struct text *text, const tr_plan *plan)
{
    switch (plan->limit) {
    case TR_PLAN_LIMIT_QUOTA:
        put(text, "limited by a quota of %" PRId64 ".%03" PRId64 " CPUs (%s)\n",
            plan->quota_milli_cpus / 1000, plan->quota_milli_cpus % 1000,
            plan->quota_source);
        break;
    case TR_PLAN_LIMIT_AFFINITY:
        put(text, "limited by the affinity mask: %u of %u CPUs\n", plan->cpus,
            plan->machine_cpus);
        break;
    case TR_PLAN_LIMIT_CPUSET:
        put(text, "limited by the cgroup's cpuset: %u of %u CPUs\n", plan->cpus,
            plan->machine_cpus);
        break;
    default:
        put(text, "not limited: all %u CPUs of the machine may be used\n", plan->cpus);
    }
}

int tr_plan_text(const tr_plan *plan, char *buffer, size_t capacity, size_t *needed)
{
    struct text text = {buffer, capacity, 0};
    int result = plan_check(plan);

    if (!result && !buffer && capacity)
        result = null_fail("plan text", "buffer");
    if (result)
        return result;
    put(&text, "%u worker%s on %u core%s (%u CPU%s), %s", plan->workers,
        plural(plan->workers), plan->cores, plural(plan->cores), plan->cpus,
        plural(plan->cpus), policy_name(plan->policy));
    if (plan->reserved_cores)
        put(&text, ", %u reserved", plan->reserved_cores);
    put(&text, "\n");
    put_machine(&text, plan);
    for (uint32_t i = 0; i < plan->workers; i++)
        put_worker(&text, plan, i);
    put_limit(&text, plan);
    if (plan->shared)
        put(&text, "more workers than cores: they share\n");
    return finish(&text, "plan", needed);
}
