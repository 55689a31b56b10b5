/* SPDX-License-Identifier: MIT */
/* cgroup.h - where this process is in the control groups, v1 and v2, whatever is mounted
 * where. Paths begin with a root: "" for the real system, a tree of its own for tests. */
#ifndef TR_IPC_CGROUP_H
#define TR_IPC_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CGROUP_PATH 1024

/* One group of a hierarchy. */
struct cgroup {
    const char *root;
    bool v2;
    char mount[CGROUP_PATH];
    char path[CGROUP_PATH]; /* below the mount, "" at it */
};

/* The group of this process in the hierarchy of @p controller. False: there is none. */
bool cgroup_find(const char *root, const char *controller, bool v2, struct cgroup *out);

/* The group above; false at the mount. */
bool cgroup_up(struct cgroup *group);

/* The path of a file of the group. False: it is too long. */
bool cgroup_file(const struct cgroup *group, const char *name, char *path, size_t size);

/* The first line of a file of the group, without its end. */
bool cgroup_line(const struct cgroup *group, const char *name, char *line, size_t size);

/* A number in a file; UINT64_MAX: there is none, or "max". */
uint64_t cgroup_number(const struct cgroup *group, const char *name);

/* The sum for those keys of @p keys that a file of lines "KEY NUMBER" has. */
uint64_t cgroup_sum(const struct cgroup *group, const char *name,
                    const char *const keys[], size_t count);

#endif
