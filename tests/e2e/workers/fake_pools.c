/* SPDX-License-Identifier: MIT */
/* fake_pools KIND PATH ...: each library is found once, as that kind, set, and put back. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tensoring/workers.h>

#include "src/workers/plan_bytes.h" /* it changes a plan */

static tr_plan plan;
static tr_worker_report report;

static const tr_thread_library *find(const tr_thread_library *pools, size_t count,
                                     const char *path, const char *kind)
{
    const tr_thread_library *found = NULL;

    for (size_t i = 0; i < count; i++) {
        if (strcmp(pools[i].path, path) != 0)
            continue;
        if (found || strcmp(pools[i].kind, kind) != 0) {
            fprintf(stderr, "%s: found as %s, wanted %s once\n", path, pools[i].kind,
                    kind);
            return NULL;
        }
        found = &pools[i];
    }
    return found;
}

static int check(char **pairs, int32_t before, int32_t after)
{
    for (; *pairs; pairs += 2) {
        const tr_thread_library *pool = find(report.libraries, report.library_count,
                                             pairs[1], pairs[0]);

        if (!pool || pool->before != before || pool->after != after ||
            pool->scope != TR_SCOPE_PROCESS) {
            fprintf(stderr, "%s %s: %d -> %d, wanted %d -> %d\n", pairs[0], pairs[1],
                    pool ? pool->before : -2, pool ? pool->after : -2, before, after);
            return 1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    tr_thread_library now[TR_REPORT_LIBRARIES];
    size_t count;

    for (int i = 1; i + 1 < argc; i += 2)
        if (!dlopen(argv[i + 1], RTLD_NOW | RTLD_LOCAL)) {
            fprintf(stderr, "%s\n", dlerror());
            return 1;
        }
    report = (tr_worker_report)TR_WORKER_REPORT_INIT;
    if (tr_plan_create(1, NULL, &plan))
        return 1;
    plan.worker[0].threads = 3;
    if (tr_worker_enter(&plan, 0, 0, &report) || check(argv + 1, 8, 3))
        return 1;
    plan.worker[0].threads = 5;
    if (tr_worker_enter(&plan, 0, 0, &report) || check(argv + 1, 3, 5))
        return 1;
    tr_worker_leave(); /* to what it was at first */
    if (tr_worker_libraries(now, sizeof(tr_thread_library), TR_REPORT_LIBRARIES, &count))
        return 1;
    for (int i = 1; i + 1 < argc; i += 2) {
        const tr_thread_library *pool = find(now, count, argv[i + 1], argv[i]);

        if (!pool || pool->after != 8)
            return 1;
    }
    printf("%d libraries found, set and put back\n", (argc - 1) / 2);
    return 0;
}
