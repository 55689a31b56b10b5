/* SPDX-License-Identifier: MIT */
#include "src/quota.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One hierarchy: where it is mounted, which part of it is, and where we are in it. */
struct hierarchy {
    bool v2;
    char mount[PATH_MAX];
    char mount_root[PATH_MAX];
    char path[PATH_MAX];
};

/* The first line of a file, without its end. */
static bool read_line(const char *path, char *line, size_t size)
{
    FILE *file = fopen(path, "re");
    bool ok;

    if (!file)
        return false;
    ok = fgets(line, (int)size, file) != NULL;
    fclose(file);
    if (ok)
        line[strcspn(line, "\n")] = 0;
    return ok;
}

static bool copy(char *to, size_t size, const char *from)
{
    size_t length = strlen(from);

    if (length >= size)
        return false;
    memcpy(to, from, length + 1);
    return true;
}

static bool has_word(const char *list, const char *word)
{
    size_t length = strlen(word);

    for (const char *at = list; (at = strstr(at, word)); at += length)
        if ((at == list || at[-1] == ',') && (at[length] == 0 || at[length] == ','))
            return true;
    return false;
}

/* mountinfo writes blanks and the like as \ooo. */
static void unescape(char *text)
{
    char *to = text;

    for (const char *from = text; *from; to++) {
        if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] && from[3]) {
            *to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = 0;
}

/* Find the mount that carries @p controller: a v1 hierarchy with it, or cgroup2. */
static bool find_mount(const char *root, const char *controller, bool v2,
                       struct hierarchy *out)
{
    char path[PATH_MAX], line[2 * PATH_MAX];
    bool found = false;
    FILE *file;

    snprintf(path, sizeof(path), "%s/proc/self/mountinfo", root);
    file = fopen(path, "re");
    if (!file)
        return false;
    while (!found && fgets(line, sizeof(line), file)) {
        char mount_root[1024], mount[1024], type[64], options[1024];
        char *tail = strstr(line, " - ");

        if (!tail || sscanf(line, "%*s %*s %*s %1023s %1023s", mount_root, mount) != 2 ||
            sscanf(tail, " - %63s %*s %1023s", type, options) != 2)
            continue;
        found = v2 ? !strcmp(type, "cgroup2")
                   : !strcmp(type, "cgroup") && has_word(options, controller);
        if (found) {
            unescape(mount_root);
            unescape(mount);
            found = copy(out->mount, sizeof(out->mount), mount) &&
                    copy(out->mount_root, sizeof(out->mount_root), mount_root);
        }
    }
    fclose(file);
    return found;
}

/* Where are we in it? Lines are "4:cpu,cpuacct:/path", of v2 "0::/path". */
static bool find_path(const char *root, const char *controller, bool v2,
                      struct hierarchy *out)
{
    char path[PATH_MAX], line[PATH_MAX + 256];
    bool found = false;
    FILE *file;

    snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
    file = fopen(path, "re");
    if (!file)
        return false;
    while (!found && fgets(line, sizeof(line), file)) {
        char *names = strchr(line, ':'), *where = names ? strchr(names + 1, ':') : NULL;

        if (!where)
            continue;
        *names++ = 0;
        *where++ = 0;
        where[strcspn(where, "\n")] = 0;
        if (v2 ? *names == 0 && !strcmp(line, "0") : has_word(names, controller))
            found = copy(out->path, sizeof(out->path), where);
    }
    fclose(file);
    return found;
}

static bool find_hierarchy(const char *root, const char *controller, bool v2,
                           struct hierarchy *out)
{
    size_t length;

    out->v2 = v2;
    if (!find_mount(root, controller, v2, out) || !find_path(root, controller, v2, out))
        return false;
    /* A container without a namespace of its own sees the host's path, and a mount that
     * begins at it; one with a namespace sees "/", or "/../..": outside of what is here. */
    length = strlen(out->mount_root);
    if (length > 1 && !strncmp(out->path, out->mount_root, length) &&
        (out->path[length] == '/' || out->path[length] == 0))
        memmove(out->path, out->path + length, strlen(out->path + length) + 1);
    else if (length > 1 || strstr(out->path, "/.."))
        out->path[0] = 0;
    if (!strcmp(out->path, "/"))
        out->path[0] = 0;
    return true;
}

static bool join(char *out, size_t size, const char *root, const struct hierarchy *h,
                 const char *file)
{
    int length = snprintf(out, size, "%s%s%s/%s", root, h->mount, h->path, file);

    return length > 0 && (size_t)length < size;
}

/* One directory up; false at the mount. */
static bool up(struct hierarchy *h)
{
    char *slash = strrchr(h->path, '/');

    if (!slash)
        return false;
    *slash = 0;
    return true;
}

static int64_t milli(int64_t quota, int64_t period)
{
    if (quota <= 0 || period <= 0 || quota > INT64_MAX / 1000)
        return -1;
    return quota * 1000 / period;
}

static int64_t read_level(const char *root, const struct hierarchy *h, char *file,
                          size_t size)
{
    char line[256];
    int64_t quota = -1, period = 0;

    if (h->v2) {
        if (!join(file, size, root, h, "cpu.max") ||
            !read_line(file, line, sizeof(line)) ||
            sscanf(line, "%" SCNd64 " %" SCNd64, &quota, &period) != 2)
            return -1;
        return milli(quota, period);
    }
    if (!join(file, size, root, h, "cpu.cfs_period_us") ||
        !read_line(file, line, sizeof(line)) || sscanf(line, "%" SCNd64, &period) != 1)
        return -1;
    if (!join(file, size, root, h, "cpu.cfs_quota_us") ||
        !read_line(file, line, sizeof(line)) || sscanf(line, "%" SCNd64, &quota) != 1)
        return -1;
    return milli(quota, period);
}

static void quota_of(const char *root, bool v2, struct quota *out)
{
    struct hierarchy h;
    char file[3 * PATH_MAX];

    if (!find_hierarchy(root, "cpu", v2, &h))
        return;
    do {
        int64_t here = read_level(root, &h, file, sizeof(file));

        if (here >= 0 && (out->milli_cpus < 0 || here < out->milli_cpus)) {
            out->milli_cpus = here;
            snprintf(out->source, sizeof(out->source), "%s", file + strlen(root));
        }
    } while (up(&h));
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
    struct hierarchy h;
    char file[3 * PATH_MAX], line[4096];

    if (!find_hierarchy(root, "cpuset", v2, &h))
        return -1;
    do {
        if (join(file, sizeof(file), root, &h, name) &&
            read_line(file, line, sizeof(line)) && line[0])
            return quota_count_list(line);
    } while (up(&h));
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
