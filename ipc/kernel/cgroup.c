/* SPDX-License-Identifier: MIT */
#include "ipc/kernel/cgroup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FULL_PATH (3 * CGROUP_PATH)

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

static FILE *open_below(const char *root, const char *path)
{
    char full[FULL_PATH];

    if (snprintf(full, sizeof(full), "%s%s", root, path) >= (int)sizeof(full))
        return NULL;
    return fopen(full, "re");
}

/* Find the mount that carries @p controller: a v1 hierarchy with it, or cgroup2. */
static bool find_mount(const char *controller, struct cgroup *out,
                       char mount_root[CGROUP_PATH])
{
    FILE *file = open_below(out->root, "/proc/self/mountinfo");
    char line[4 * CGROUP_PATH];
    bool found = false;

    if (!file)
        return false;
    while (!found && fgets(line, sizeof(line), file)) {
        char mount[CGROUP_PATH], type[64], options[1024];
        char *tail = strstr(line, " - ");

        if (!tail || sscanf(line, "%*s %*s %*s %1023s %1023s", mount_root, mount) != 2 ||
            sscanf(tail, " - %63s %*s %1023s", type, options) != 2)
            continue;
        found = out->v2 ? !strcmp(type, "cgroup2")
                        : !strcmp(type, "cgroup") && has_word(options, controller);
        if (found) {
            unescape(mount_root);
            unescape(mount);
            found = copy(out->mount, sizeof(out->mount), mount);
        }
    }
    fclose(file);
    return found;
}

/* Where are we in it? Lines are "4:cpu,cpuacct:/path", of v2 "0::/path". */
static bool find_path(const char *controller, struct cgroup *out)
{
    FILE *file = open_below(out->root, "/proc/self/cgroup");
    char line[2 * CGROUP_PATH];
    bool found = false;

    if (!file)
        return false;
    while (!found && fgets(line, sizeof(line), file)) {
        char *names = strchr(line, ':'),
             *location = names ? strchr(names + 1, ':') : NULL;

        if (!location)
            continue;
        *names++ = 0;
        *location++ = 0;
        location[strcspn(location, "\n")] = 0;
        if (out->v2 ? *names == 0 && !strcmp(line, "0") : has_word(names, controller))
            found = copy(out->path, sizeof(out->path), location);
    }
    fclose(file);
    return found;
}

bool cgroup_find(const char *root, const char *controller, bool v2, struct cgroup *out)
{
    char mount_root[CGROUP_PATH];
    size_t length;

    out->root = root;
    out->v2 = v2;
    if (!find_mount(controller, out, mount_root) || !find_path(controller, out))
        return false;
    /* A container without a namespace of its own sees the host's path, and a mount that
     * begins at it; one with a namespace sees "/", or "/../..": outside of what is here. */
    length = strlen(mount_root);
    if (length > 1 && !strncmp(out->path, mount_root, length) &&
        (out->path[length] == '/' || out->path[length] == 0))
        memmove(out->path, out->path + length, strlen(out->path + length) + 1);
    else if (length > 1 || strstr(out->path, "/.."))
        out->path[0] = 0;
    if (!strcmp(out->path, "/"))
        out->path[0] = 0;
    return true;
}

bool cgroup_up(struct cgroup *group)
{
    char *slash = strrchr(group->path, '/');

    if (!slash)
        return false;
    *slash = 0;
    return true;
}

bool cgroup_file(const struct cgroup *group, const char *name, char *path, size_t size)
{
    int length = snprintf(path, size, "%s%s/%s", group->mount, group->path, name);

    return length > 0 && (size_t)length < size;
}

static FILE *open_file(const struct cgroup *group, const char *name)
{
    char path[FULL_PATH];

    return cgroup_file(group, name, path, sizeof(path)) ? open_below(group->root, path)
                                                        : NULL;
}

bool cgroup_line(const struct cgroup *group, const char *name, char *line, size_t size)
{
    FILE *file = open_file(group, name);
    bool ok;

    if (!file)
        return false;
    ok = fgets(line, (int)size, file) != NULL;
    fclose(file);
    if (ok)
        line[strcspn(line, "\n")] = 0;
    return ok;
}

uint64_t cgroup_number(const struct cgroup *group, const char *name)
{
    char line[64];
    uint64_t number;

    if (!cgroup_line(group, name, line, sizeof(line)) ||
        sscanf(line, "%" SCNu64, &number) != 1)
        return UINT64_MAX;
    return number;
}

uint64_t cgroup_sum(const struct cgroup *group, const char *name,
                    const char *const keys[], size_t count)
{
    FILE *file = open_file(group, name);
    char line[256], key[128];
    uint64_t sum = 0, number;

    while (file && fgets(line, sizeof(line), file))
        for (size_t i = 0; i < count; i++)
            if (sscanf(line, "%127s %" SCNu64, key, &number) == 2 &&
                !strcmp(key, keys[i]))
                sum += number;
    if (file)
        fclose(file);
    return sum;
}
