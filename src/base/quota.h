/* SPDX-License-Identifier: MIT */
/* quota.h - how much CPU time the cgroups grant, which neither hwloc nor the affinity mask
 * can see. */
#ifndef TR_SRC_QUOTA_H
#define TR_SRC_QUOTA_H

#include <stddef.h>
#include <stdint.h>

struct quota {
    int64_t milli_cpus;  /* thousandths of a CPU, -1: no limit */
    char source[256];    /* the file that sets it, "" if none */
    int64_t cpuset_cpus; /* processors in the innermost cpuset, -1: unknown */
};

/* The minimum over the process's own cgroup and all above it, v1 and v2. @p root is put
 * before every path ("" for the real system), so that tests can use their own tree. A file that
 * cannot be read does not limit. */
void quota_read(const char *root, struct quota *out);

/* How many processors a list such as "0-3,8" names; -1 if it is none. */
int64_t quota_count_list(const char *list);

#endif
