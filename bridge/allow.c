/* SPDX-License-Identifier: MIT */
#include "allow.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "keys.h"
#include "say.h"

struct list {
    char (*keys)[KEY_TEXT];
    size_t count;
};

struct allow {
    const char *path;
    struct list list;
};

static bool add(struct list *list, const char *path)
{
    char(*keys)[KEY_TEXT] = realloc(list->keys, (list->count + 1) * sizeof(*keys));

    if (!keys)
        return false;
    list->keys = keys;
    if (key_read(path, KEY_PUBLIC, keys[list->count]) < 0)
        return false;
    list->count++;
    return true;
}

static bool is_key(const char *name)
{
    size_t length = strlen(name);

    return length > 4 && name[0] != '.' && strcmp(name + length - 4, ".pub") == 0;
}

static bool read_folder(const char *path, struct list *list)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    char file[4096];
    bool good = true;

    if (!folder) {
        say("the allow list %s: %s", path, strerrordesc_np(errno));
        return false;
    }
    while (good && (entry = readdir(folder))) {
        if (!is_key(entry->d_name))
            continue;
        snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
        good = add(list, file);
    }
    closedir(folder);
    return good;
}

static bool read_list(const char *path, struct list *list)
{
    struct stat found;
    bool good;

    if (stat(path, &found) < 0) {
        say("the allow list %s: %s", path, strerrordesc_np(errno));
        return false;
    }
    good = S_ISDIR(found.st_mode) ? read_folder(path, list) : add(list, path);
    if (!good)
        free(list->keys);
    return good;
}

struct allow *allow_open(const char *path)
{
    struct allow *allow = calloc(1, sizeof(*allow));

    if (!allow)
        return NULL;
    allow->path = path;
    if (read_list(path, &allow->list))
        return allow;
    free(allow);
    return NULL;
}

void allow_reload(struct allow *allow)
{
    struct list list = {0};

    if (!read_list(allow->path, &list)) {
        say("the allow list stays as it was, with %zu keys", allow->list.count);
        return;
    }
    free(allow->list.keys);
    allow->list = list;
    say("the allow list has %zu keys", list.count);
}

size_t allow_count(const struct allow *allow)
{
    return allow ? allow->list.count : 0;
}

bool allow_has(const struct allow *allow, const char *key)
{
    for (size_t i = 0; i < allow_count(allow); i++)
        if (strcmp(allow->list.keys[i], key) == 0)
            return true;
    return false;
}

void allow_close(struct allow *allow)
{
    if (allow)
        free(allow->list.keys);
    free(allow);
}
