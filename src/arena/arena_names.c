/* SPDX-License-Identifier: MIT */
/* arena_names.c - names of arenas: removed by hand, or on proof that nobody uses them. */
#include <dirent.h>
#include <string.h>
#include <time.h>

#include "ipc/kernel/uncancel.h"
#include "ipc/names/name.h"
#include "ipc/signal/fifo.h"
#include "src/arena/arena.h"
#include "src/arena/arena_explain.h"
#include "src/base/error.h"

/* How long somebody else may take to remove a name before we say so: a second in all. */
#define TRIES  100
#define TRY_NS 10000000

void arena_pause(void)
{
    const struct timespec pause = {.tv_nsec = TRY_NS};

    nanosleep(&pause, NULL);
}

static int explain_busy(const char *step, const char *name, uint32_t pid)
{
    if (pid)
        return tr_fail(TR_EBUSY,
                       "%s \"%s\": process %u has been removing the name for a second; "
                       "is it stopped?",
                       step, name, pid);
    return tr_fail(
        TR_EBUSY,
        "%s \"%s\": another process has been removing the name for a second; is "
        "it stopped?",
        step, name);
}

int arena_clear_name(const char *name)
{
    uint32_t pid = 0;
    int result = -EBUSY;

    for (int i = 0; i < TRIES && result == -EBUSY; i++) {
        if (i > 0)
            arena_pause();
        result = name_sweep(name, true, &pid);
    }
    if (result == -EBUSY)
        return explain_busy("create", name, pid);
    return result == -ENOENT || result == 0 ? 0
           : result == -EEXIST              ? explain_taken(name)
                               : tr_fail_errno(result, "create \"%s\"", name);
}

static int unlink_name(const char *name)
{
    uint32_t pid = 0;
    int result = -EBUSY;

    for (int i = 0; i < TRIES && result == -EBUSY; i++) {
        if (i > 0)
            arena_pause();
        result = name_remove(name, &pid);
    }
    if (result == -EBUSY)
        return explain_busy("unlink", name, pid);
    if (result == -ENOENT)
        return tr_fail(TR_ENOENT, "unlink \"%s\": there is no /dev/shm/tensoring.%s",
                       name, name);
    return result < 0 ? tr_fail_errno(result, "unlink \"%s\"", name) : 0;
}

int tr_arena_unlink(const char *name)
{
    char path[SEGMENT_PATH];
    int cancel, result;

    if (!name)
        return tr_fail(TR_EINVAL, "unlink: name is NULL");
    if (strchr(name, '/'))
        return tr_fail(TR_EINVAL, "unlink: the name \"%s\" holds a /", name);
    if (segment_path(name, path) < 0)
        return tr_fail(TR_ENAMETOOLONG, "unlink: the name has %zu bytes, the limit is %d",
                       strlen(name), TR_MAX_ARENA_NAME);
    cancel = uncancel_begin();
    result = unlink_name(name);
    uncancel_end(cancel);
    return result;
}

static uint32_t sweep_all(DIR *directory, const char *prefix)
{
    static const char marker[] = SEGMENT_PREFIX;
    size_t skip = sizeof(marker) - 1;
    struct dirent *entry;
    uint32_t count = 0, pid;

    while ((entry = readdir(directory)) != NULL)
        if (strncmp(entry->d_name, marker, skip) == 0 &&
            strncmp(entry->d_name + skip, prefix, strlen(prefix)) == 0)
            count += name_sweep(entry->d_name + skip, false, &pid) == 0;
    return count;
}

int tr_arena_sweep(const char *prefix, uint32_t *removed)
{
    uint32_t count = 0;
    int result = 0, cancel;
    DIR *directory;

    if (!prefix)
        return tr_fail(TR_EINVAL, "sweep: prefix is NULL; \"\" stands for all");
    cancel = uncancel_begin();
    directory = opendir(SEGMENT_DIRECTORY);
    if (directory) {
        count = sweep_all(directory, prefix);
        closedir(directory);
        (void)fifo_sweep();
        if (removed)
            *removed = count;
    } else {
        result = tr_fail_errno(-EIO, "sweep: open " SEGMENT_DIRECTORY);
    }
    uncancel_end(cancel);
    return result;
}
