/* SPDX-License-Identifier: MIT */
#include "src/base/quota.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/kernel/cgroup.h"

static int64_t milli(int64_t quota, int64_t period)
{
    if (quota <= 0 || period <= 0 || quota > INT64_MAX / 1000)
        return -1;
    return quota * 1000 / period;
}

static int64_t read_level(const struct cgroup *group, const char **file)
{
    char line[256];
    int64_t quota = -1, period = 0;

    *file = group->v2 ? "cpu.max" : "cpu.cfs_quota_us";
    if (!cgroup_line(group, *file, line, sizeof(line)))
        return -1;
    if (group->v2)
        return sscanf(line, "%" SCNd64 " %" SCNd64, &quota, &period) == 2
                   ? milli(quota, period)
                   : -1;
    if (sscanf(line, "%" SCNd64, &quota) != 1 ||
        !cgroup_line(group, "cpu.cfs_period_us", line, sizeof(line)) ||
        sscanf(line, "%" SCNd64, &period) != 1)
        return -1;
    return milli(quota, period);
}

static void quota_of(const char *root, bool v2, struct quota *out)
{
    struct cgroup group;

    if (!cgroup_find(root, "cpu", v2, &group))
        return;
    do {
        const char *file;
        int64_t here = read_level(&group, &file);

        if (here < 0 || (out->milli_cpus >= 0 && here >= out->milli_cpus))
            continue;
        out->milli_cpus = here;
        if (!cgroup_file(&group, file, out->source, sizeof(out->source)))
            out->source[0] = 0;
    } while (cgroup_up(&group));
}

int64_t quota_count_list(const char *list)
{
    int64_t count = 0;

    for (const char *at = list; *at;) {
        char *end;
        long first = strtol(at, &end, 10), last = first;

        if (end == at || first < 0)
            return -1;
        if (*end == '-') {
            at = end + 1;
            last = strtol(at, &end, 10);
            if (end == at || last < first)
                return -1;
        }
        count += last - first + 1;
        while (*end == ',' || *end == ' ' || *end == '\n')
            end++;
        at = end;
    }
    return count;
}

static int64_t cpuset_of(const char *root, bool v2, const char *name)
{
    struct cgroup group;
    char line[4096];

    if (!cgroup_find(root, "cpuset", v2, &group))
        return -1;
    do {
        if (cgroup_line(&group, name, line, sizeof(line)) && line[0])
            return quota_count_list(line);
    } while (cgroup_up(&group));
    return -1;
}

void quota_read(const char *root, struct quota *out)
{
    out->milli_cpus = -1;
    out->source[0] = 0;
    quota_of(root, true, out);
    quota_of(root, false, out);
    out->cpuset_cpus = cpuset_of(root, false, "cpuset.effective_cpus");
    if (out->cpuset_cpus < 0)
        out->cpuset_cpus = cpuset_of(root, false, "cpuset.cpus");
    if (out->cpuset_cpus < 0)
        out->cpuset_cpus = cpuset_of(root, true, "cpuset.cpus.effective");
}
