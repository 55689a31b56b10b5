/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <tensoring/enter.h>

#include "doctor.h"

static void look_at_limit(struct findings *to, const tr_plan_info *plan)
{
    struct finding *one = found(to, "cpus", FINE);

    text_of(one, "%u cores (%u CPUs) of %u CPUs may be used", plan->cores, plan->cpus,
            plan->machine_cpus);
    if (plan->cpus < plan->machine_cpus) {
        one->verdict = NOTE;
        advise(one,
               "PyTorch and ONNX Runtime, and OpenBLAS built on OpenMP, count all %u: "
               "enter a plan",
               plan->machine_cpus);
    }
    if (plan->kinds > 1)
        text_of(
            found(to, "hybrid", NOTE),
            "cores of %u kinds: workers get one kind each, static schedules across kinds "
            "wait for the slowest",
            plan->kinds);
}

static void look_at_quota(struct findings *to, const tr_plan_info *plan)
{
    struct finding *one = found(to, "cpu quota", FINE);

    if (plan->quota_milli_cpus < 0) {
        text_of(one, "none");
        return;
    }
    text_of(one, "%" PRId64 ".%03" PRId64 " CPUs (%s)", plan->quota_milli_cpus / 1000,
            plan->quota_milli_cpus % 1000, plan->quota_source);
    if (plan->quota_milli_cpus / 1000 >= plan->cpus)
        return;
    one->verdict = WARN;
    advise(one,
           "libraries start %u threads, which the quota then stops together, for most of "
           "each period: enter a plan, or set OMP_NUM_THREADS=%" PRId64,
           plan->cpus,
           plan->quota_milli_cpus < 1000 ? INT64_C(1) : plan->quota_milli_cpus / 1000);
}

/* Thread counts of the environment against what there is. */
static void look_at_counts(struct findings *to, const tr_plan_info *plan)
{
    static const char *const names[] = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
                                        "MKL_NUM_THREADS"};
    unsigned set = 0;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *value = getenv(names[i]);
        struct finding *one;
        long count = value ? strtol(value, NULL, 10) : 0;

        if (!value)
            continue;
        set++;
        one = found(to, "oversubscription", count > (long)plan->cpus ? WARN : FINE);
        text_of(one, "%s=%s on %u CPUs", names[i], value, plan->cpus);
        if (one->verdict == WARN)
            advise(
                one,
                "more threads than CPUs take turns, and those of OpenMP spin meanwhile");
    }
    if (!set && plan->cpus > 1) {
        struct finding *one = found(to, "oversubscription", NOTE);

        text_of(one, "no thread count is set: each of n workers will start %u threads",
                plan->cpus);
        advise(one, "start them with tensoring run, or call tr_worker_enter() in each");
    }
}

/* Variables that undo a placement, or burn CPU time. */
static const struct setting {
    const char *name;
    const char *bad; /* value; NULL: any, but "", "disabled", "none", "false" */
    const char *what;
} settings[] = {
    {"KMP_AFFINITY", NULL,
     "binds the main thread to one CPU at the first parallel region, so that masks read "
     "later "
     "lie; all workers may get the same cores"},
    {"GOMP_CPU_AFFINITY", NULL,
     "binds the threads of every worker to the same CPUs, whatever its mask"},
    {"OMP_PROC_BIND", NULL,
     "binds threads one by one from the first place on: workers without a mask of their "
     "own "
     "all start at the same core"},
    {"OMP_PLACES", NULL,
     "places refer to the mask at load: load libraries after the worker "
     "has entered its plan"},
    {"OMP_WAIT_POLICY", "active", "idle threads spin forever, on cores that others need"},
    {"KMP_BLOCKTIME", "infinite", "idle threads spin forever, on cores that others need"},
    {"GOMP_SPINCOUNT", "infinite",
     "idle threads spin forever, on cores that others need"},
    {"OPENBLAS_MAIN_FREE", "1", "OpenBLAS binds its threads to cores by itself"},
    {"MKL_DYNAMIC", "false", "MKL does not reduce its threads where there are too many"},
};

static int harmless(const char *value)
{
    return !*value || !strcasecmp(value, "disabled") || !strcasecmp(value, "none") ||
           !strcasecmp(value, "false") || !strcasecmp(value, "0");
}

static void look_at_settings(struct findings *to)
{
    unsigned bad = 0;

    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        const char *value = getenv(settings[i].name);
        struct finding *one;

        if (!value ||
            (settings[i].bad ? strcasecmp(value, settings[i].bad) != 0 : harmless(value)))
            continue;
        one = found(to, "setting", WARN);
        text_of(one, "%s=%s", settings[i].name, value);
        advise(one, "%s", settings[i].what);
        bad++;
    }
    if (!bad)
        text_of(found(to, "settings", FINE), "no variable that undoes a placement");
}

void examine_cpus(struct findings *to)
{
    tr_plan *plan = malloc(tr_plan_bytes());
    tr_plan_info info = TR_PLAN_INFO_INIT;
    int result = plan ? tr_plan_create(1, NULL, plan) : TR_ENOMEM;

    if (!result)
        result = tr_plan_info_get(plan, &info);
    free(plan);

    if (result) {
        text_of(found(to, "cpus", BAD), "no plan can be made: %s", tr_error_detail());
        return;
    }
    look_at_limit(to, &info);
    look_at_quota(to, &info);
    look_at_counts(to, &info);
    look_at_settings(to);
}
