/* SPDX-License-Identifier: MIT */
/* Cut a list of cores into one set for each worker.
 *
 * The cores are put in an order in which neighbours are close, the order falls into groups
 * that no set may leave (kinds of cores; memory nodes, where the policy says so), workers
 * are dealt to the groups by their size, and each group is cut into consecutive runs. All
 * runs of a group have q or q+1 cores. Which of them get the longer ones is free, and that
 * freedom is used to put the cuts on cache boundaries: the cheapest choice is found by
 * dynamic programming over (runs placed, cores passed). */
#include <stdlib.h>
#include <string.h>

#include "src/base/error.h"
#include "src/workers/plan_internal.h"

/* The cost of a boundary between two neighbouring cores of a worker. */
enum { COST_L3 = 1, COST_NODE = 1 << 11, COST_PACKAGE = 1 << 20 };

struct group {
    uint32_t start, count; /* in order[] */
    uint32_t workers;
};

struct cut {
    tr_plan *plan;
    const struct core_sets *sets;
    const tr_plan_options *options;
    uint32_t usable;
    uint32_t groups;
    uint32_t fast_groups; /* the first ones, whose cores are the fastest there are */
    uint16_t order[TR_MAX_CPUS];
    struct group group[TR_MAX_CPUS];
    uint64_t boundary[TR_MAX_CPUS]; /* sum of the costs before each place in order[] */
    uint32_t placed;                /* workers that have their cores */
};

/* One group to be cut into equal runs. */
struct runs {
    const struct cut *cut;
    const struct group *group;
    uint32_t small; /* cores of a run; one more while none may be left over */
    bool gaps;      /* cores may be left over */
};

static const tr_plan_core *core_at(const struct cut *cut, uint32_t place)
{
    return &cut->plan->core[cut->order[place]];
}

static bool by_node(const struct cut *cut)
{
    return cut->options->policy == TR_PLAN_ONE_NODE ||
           cut->options->policy == TR_PLAN_BANDWIDTH;
}

static int reserve(tr_plan *plan, const tr_plan_options *options)
{
    uint32_t left = options->reserve_cores;

    if (options->flags & TR_PLAN_FAST_ONLY) {
        for (uint32_t i = 0; i < plan->cores; i++)
            plan->core[i].reserved = plan->core[i].kind > 0;
    }
    if (left >= plan->cores)
        return tr_fail(TR_EINVAL,
                       "plan: %u cores reserved of %u, none is left for workers", left,
                       plan->cores);
    /* Efficient cores are the natural place for the rest; else the first, which most
     * interrupts go to. */
    for (uint32_t kind = plan->kinds; kind-- > 0;)
        for (uint32_t i = 0; i < plan->cores && left; i++)
            if (plan->core[i].kind == kind && (!plan->core[i].reserved || kind > 0)) {
                plan->core[i].reserved = 1;
                left--;
            }
    for (uint32_t i = 0; i < plan->cores; i++)
        plan->reserved_cores += plan->core[i].reserved;
    return 0;
}

/* Sort by kind, by node where nodes are walls, else as hwloc has them. Insertion: it is stable,
 * and the list is nearly sorted. */
static void put_in_order(struct cut *cut)
{
    const tr_plan *plan = cut->plan;

    for (uint32_t i = 0; i < plan->cores; i++) {
        const tr_plan_core *core = &plan->core[i];
        uint32_t at = cut->usable;

        if (core->reserved)
            continue;
        for (; at > 0; at--) {
            const tr_plan_core *left = core_at(cut, at - 1);

            if (left->kind < core->kind ||
                (left->kind == core->kind && (!by_node(cut) || left->node <= core->node)))
                break;
            cut->order[at] = cut->order[at - 1];
        }
        cut->order[at] = (uint16_t)i;
        cut->usable++;
    }
}

static void find_groups(struct cut *cut)
{
    for (uint32_t i = 0; i < cut->usable; i++) {
        const tr_plan_core *core = core_at(cut, i);
        const tr_plan_core *left = i ? core_at(cut, i - 1) : NULL;

        if (!left || left->kind != core->kind ||
            (by_node(cut) && left->node != core->node)) {
            cut->group[cut->groups++] = (struct group){.start = i};
            if (core->kind == core_at(cut, 0)->kind)
                cut->fast_groups = cut->groups;
        }
        cut->group[cut->groups - 1].count++;
    }
}

/* Memory-bound workers need every L3 of their node, so take a core from each in turn. */
static void interleave_caches(struct cut *cut, const struct group *group)
{
    uint16_t old[TR_MAX_CPUS];
    bool taken[TR_MAX_CPUS] = {false};
    uint32_t to = group->start, end = group->start + group->count;

    memcpy(old, cut->order, sizeof(old));
    while (to < end) {
        uint32_t last_l3 = TR_PLAN_UNKNOWN;

        /* One round: the first core that is left of each cache. Cores of one cache are
         * neighbours in the old order. */
        for (uint32_t i = group->start; i < end; i++) {
            uint32_t l3 = cut->plan->core[old[i]].l3;

            if (taken[i] || l3 == last_l3)
                continue;
            taken[i] = true;
            last_l3 = l3;
            cut->order[to++] = old[i];
        }
    }
}

static void add_boundaries(struct cut *cut)
{
    for (uint32_t i = 1; i < cut->usable; i++) {
        const tr_plan_core *a = core_at(cut, i - 1), *b = core_at(cut, i);
        uint64_t cost = 0;

        if (cut->options->policy != TR_PLAN_BANDWIDTH) {
            cost += a->l3 != b->l3 ? COST_L3 : 0;
            cost += a->node != b->node ? COST_NODE : 0;
            cost += a->package != b->package ? COST_PACKAGE : 0;
        }
        cut->boundary[i] = cut->boundary[i - 1] + cost;
    }
}

/* Where cores_per_worker is set and the fast cores are enough for all, the
 * efficient ones are left alone. */
static void prefer_fast(struct cut *cut)
{
    uint32_t cap = cut->options->cores_per_worker, room = 0;

    for (uint32_t i = 0; cap && i < cut->fast_groups; i++)
        room += cut->group[i].count / cap;
    if (room >= cut->plan->workers)
        cut->groups = cut->fast_groups;
}

/* Whether one more worker fits better into @p a than into @p b, which comes first? Not if
 * the worker gets all the cores that it wants either way. */
static bool roomier(const struct cut *cut, const struct group *a, const struct group *b)
{
    uint32_t cap = cut->options->cores_per_worker, x = a->workers + 1, y = b->workers + 1;

    if (cap && b->count >= cap * y)
        return false;
    return a->count * y > b->count * x;
}

/* Fewer workers than groups: whole groups, the fastest first, far from one another. Else
 * every group gets one, and each further worker joins the
 * group with the most cores per worker. */
static void deal_workers(struct cut *cut)
{
    uint32_t workers = cut->plan->workers;

    if (workers < cut->groups) {
        uint32_t among = workers <= cut->fast_groups ? cut->fast_groups : cut->groups;

        for (uint32_t i = 0; i < workers; i++)
            cut->group[i * among / workers].workers = 1;
        return;
    }
    for (uint32_t i = 0; i < cut->groups; i++)
        cut->group[i].workers = 1;
    for (uint32_t left = workers - cut->groups; left; left--) {
        struct group *best = NULL;

        for (uint32_t i = 0; i < cut->groups; i++) {
            struct group *here = &cut->group[i];

            if (here->workers < here->count && (!best || roomier(cut, here, best)))
                best = here;
        }
        if (!best)
            break; /* never: no more workers than cores come here */
        best->workers++;
    }
}

static void give(struct cut *cut, uint32_t start, uint32_t count)
{
    tr_plan_worker *worker = &cut->plan->worker[cut->placed++];
    const tr_plan_core *first = core_at(cut, start);

    worker->package = first->package == UINT16_MAX ? TR_PLAN_UNKNOWN : first->package;
    worker->node = first->node == UINT16_MAX ? TR_PLAN_UNKNOWN : first->node;
    worker->l3 = first->l3 == UINT16_MAX ? TR_PLAN_UNKNOWN : first->l3;
    worker->cores = count;
    if (first->kind > 0)
        worker->flags |= TR_PLAN_WORKER_EFFICIENT;
    for (uint32_t i = start; i < start + count; i++) {
        const tr_plan_core *core = core_at(cut, i);

        set_merge(&worker->cpus, &cut->sets->of[cut->order[i]]);
        if (core->node < 64)
            worker->nodes |= UINT64_C(1) << core->node;
        if (core->l3 != first->l3)
            worker->flags |= TR_PLAN_WORKER_SPANS_L3;
        if (core->node != first->node)
            worker->flags |= TR_PLAN_WORKER_SPANS_NODE;
    }
}

static uint64_t run_cost(const struct runs *runs, uint32_t start, uint32_t count)
{
    const uint64_t *boundary = &runs->cut->boundary[runs->group->start];

    return boundary[start + count - 1] - boundary[start];
}

enum { STEP_NONE, STEP_SKIP, STEP_SMALL, STEP_LARGE };

/* The cheapest way to have @p run runs in the first n cores, for every n; @p before is the
 * same for one run less. */
static void fill_row(const struct runs *runs, uint32_t run, const uint64_t *before,
                     uint64_t *row, unsigned char *step)
{
    for (uint32_t n = 0; n <= runs->group->count; n++) {
        row[n] = run == 0 && n == 0 ? 0 : UINT64_MAX;
        step[n] = STEP_NONE;
        for (uint32_t more = 0; run > 0 && more <= !runs->gaps; more++) {
            uint32_t count = runs->small + more;
            uint64_t cost;

            if (count > n || before[n - count] == UINT64_MAX)
                continue;
            cost = before[n - count] + run_cost(runs, n - count, count);
            if (cost < row[n]) {
                row[n] = cost;
                step[n] = (unsigned char)(more ? STEP_LARGE : STEP_SMALL);
            }
        }
        if (runs->gaps && n > 0 && row[n - 1] != UINT64_MAX && row[n - 1] <= row[n]) {
            row[n] = row[n - 1];
            step[n] = STEP_SKIP;
        }
    }
}

/* Cut one group; start[i] and count[i] are the places of its run i. */
static int cut_group(const struct runs *runs, uint32_t *start, uint32_t *count)
{
    uint32_t width = runs->group->count + 1, n, run = runs->group->workers;
    unsigned char *steps = malloc((size_t)(run + 1) * width);
    uint64_t *rows = malloc(2 * (size_t)width * sizeof(*rows));

    if (!steps || !rows) {
        free(steps);
        free(rows);
        return tr_fail(TR_ENOMEM, "plan: no memory to cut %u cores", width - 1);
    }
    for (uint32_t i = 0; i <= run; i++)
        fill_row(runs, i, rows + (i + 1) % 2 * width, rows + i % 2 * width,
                 steps + (size_t)i * width);
    n = width - 1;
    while (n > 0) {
        unsigned char step = steps[(size_t)run * width + n];

        if (step == STEP_SKIP || step == STEP_NONE) {
            n--; /* NONE: before the first run only */
            continue;
        }
        run--;
        count[run] = runs->small + (step == STEP_LARGE);
        n -= count[run];
        start[run] = n;
    }
    free(steps);
    free(rows);
    return 0;
}

/* The cheapest part of a run that is longer than a worker may have. */
static uint32_t best_window(const struct runs *runs, uint32_t start, uint32_t count,
                            uint32_t cap)
{
    uint32_t best = start;

    for (uint32_t at = start; at + cap <= start + count; at++)
        if (run_cost(runs, at, cap) < run_cost(runs, best, cap))
            best = at;
    return best;
}

static int place_group(struct cut *cut, const struct group *group)
{
    uint32_t cap = cut->options->cores_per_worker, mean = group->count / group->workers;
    uint32_t start[TR_MAX_WORKERS] = {0}, count[TR_MAX_WORKERS] = {0};
    bool capped = cap && cap <= mean, spread = cut->options->policy == TR_PLAN_SPREAD;
    struct runs runs = {.cut = cut, .group = group, .small = mean};
    int result;

    if (capped && !spread) {
        runs.small = cap;
        runs.gaps = true;
    }
    result = cut_group(&runs, start, count);
    if (result)
        return result;
    for (uint32_t i = 0; i < group->workers; i++) {
        if (cap && count[i] > cap) {
            start[i] = best_window(&runs, start[i], count[i], cap);
            count[i] = cap;
        }
        give(cut, group->start + start[i], count[i]);
    }
    return 0;
}

static void share(struct cut *cut)
{
    tr_plan *plan = cut->plan;

    for (uint32_t i = 0; i < plan->workers; i++) {
        uint32_t at = i * cut->usable / plan->workers;

        give(cut, at, 1);
        if ((i > 0 && (i - 1) * cut->usable / plan->workers == at) ||
            (i + 1 < plan->workers && (i + 1) * cut->usable / plan->workers == at))
            plan->worker[i].flags |= TR_PLAN_WORKER_SHARES;
    }
    plan->shared = 1;
}

/* Deal the finished sets out again so that the next worker lies on the node, and there on
 * the L3, that has had the fewest so far. */
static int spread_workers(tr_plan *plan)
{
    tr_plan_worker *old = malloc(plan->workers * sizeof(*old));
    bool taken[TR_MAX_WORKERS] = {false};

    if (!old)
        return tr_fail(TR_ENOMEM, "plan: no memory for %u workers", plan->workers);
    memcpy(old, plan->worker, plan->workers * sizeof(*old));
    for (uint32_t i = 0; i < plan->workers; i++) {
        uint32_t best = 0, best_score = UINT32_MAX;

        for (uint32_t j = 0; j < plan->workers; j++) {
            uint32_t score = 0;

            if (taken[j])
                continue;
            for (uint32_t k = 0; k < i; k++)
                score += (plan->worker[k].node == old[j].node ? 1u << 10 : 0) +
                         (plan->worker[k].l3 == old[j].l3 ? 1u : 0);
            if (score < best_score) {
                best = j;
                best_score = score;
            }
        }
        taken[best] = true;
        plan->worker[i] = old[best];
    }
    free(old);
    return 0;
}

static int cut_all(struct cut *cut)
{
    int result = reserve(cut->plan, cut->options);

    if (result)
        return result;
    put_in_order(cut);
    if (!cut->usable)
        return tr_fail(TR_EINVAL,
                       "plan: every core is reserved, none is left for workers");
    if (cut->plan->workers > cut->usable) {
        share(cut);
        return 0;
    }
    find_groups(cut);
    for (uint32_t i = 0; i < cut->groups; i++)
        if (cut->options->policy == TR_PLAN_BANDWIDTH)
            interleave_caches(cut, &cut->group[i]);
    add_boundaries(cut);
    prefer_fast(cut);
    deal_workers(cut);
    for (uint32_t i = 0; i < cut->groups && !result; i++)
        if (cut->group[i].workers)
            result = place_group(cut, &cut->group[i]);
    if (!result && cut->options->policy == TR_PLAN_SPREAD)
        result = spread_workers(cut->plan);
    return result;
}

int plan_cut(tr_plan *plan, const struct core_sets *sets, const tr_plan_options *options)
{
    struct cut *cut = calloc(1, sizeof(*cut));
    int result;

    if (!cut)
        return tr_fail(TR_ENOMEM, "plan: no memory for %zu bytes", sizeof(*cut));
    cut->plan = plan;
    cut->sets = sets;
    cut->options = options;
    result = cut_all(cut);
    free(cut);
    return result;
}
