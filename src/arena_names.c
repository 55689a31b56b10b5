/* SPDX-License-Identifier: MIT */
/* arena_names.c - names of arenas: removed by hand, or on proof that nobody uses them. */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/fifo.h"
#include "ipc/lockfile.h"
#include "ipc/participant.h"
#include "src/arena.h"
#include "src/arena_explain.h"
#include "src/error.h"

int tr_arena_unlink(const char *name)
{
    char path[SEGMENT_PATH];

    if (!name)
        return tr_fail(TR_EINVAL, "unlink: name is NULL");
    if (strchr(name, '/'))
        return tr_fail(TR_EINVAL, "unlink: the name \"%s\" holds a /", name);
    if (segment_path(name, path) < 0)
        return tr_fail(TR_ENAMETOOLONG, "unlink: the name has %zu bytes", strlen(name));
    if (unlink(path) < 0)
        return tr_fail_errno(-errno, "unlink \"%s\"", name);
    return 0;
}

/* How many of the participants may live, and how many left without saying so. */
static void census(const struct view *view, uint32_t *alive, uint32_t *dead)
{
    *alive = *dead = 0;
    for (uint32_t i = 0; i < view->geo.participant_count; i++) {
        /* E4 acquire: pairs with participant_join(). */
        uint64_t word = shm_load(&view_participant(view, i)->word, E4_LOOK);

        if (PARTICIPANT_STATE(word) == PARTICIPANT_FREE)
            continue;
        if (participant_dead(view, i))
            ++*dead;
        else
            ++*alive;
    }
}

/* The gate is ours: nobody is coming in. */
static bool unused(const struct view *view, bool crashed)
{
    uint32_t alive, dead;

    census(view, &alive, &dead);
    return alive == 0 && (dead > 0 || !crashed);
}

bool arena_sweep_name(const char *name, bool crashed)
{
    struct segment_report report = {0};
    struct view view = {.lock_fd = -1};
    char path[SEGMENT_PATH];
    struct stat st;
    bool gone = false;

    if (segment_path(name, path) < 0 || lstat(path, &st) < 0 || !S_ISREG(st.st_mode) ||
        lockfile_known(st.st_dev, st.st_ino))
        return false;
    if (segment_attach(name, -1, &view, &report) < 0)
        return false;
    if (lockfile_gate(view.lock_fd, LOCK_GATE, true, false) == 0) {
        gone = unused(&view, crashed) && unlink(path) == 0;
        lockfile_ungate(view.lock_fd, LOCK_GATE);
    }
    segment_detach(&view);
    return gone;
}

int tr_arena_sweep(const char *prefix, uint32_t *removed)
{
    static const char marker[] = SEGMENT_PREFIX;
    size_t skip = sizeof(marker) - 1;
    struct dirent *entry;
    uint32_t count = 0;
    DIR *directory;

    if (!prefix)
        return tr_fail(TR_EINVAL, "sweep: prefix is NULL; \"\" stands for all");
    directory = opendir(SEGMENT_DIRECTORY);
    if (!directory)
        return tr_fail_errno(-EIO, "sweep: open " SEGMENT_DIRECTORY);
    while ((entry = readdir(directory)) != NULL)
        if (strncmp(entry->d_name, marker, skip) == 0 &&
            strncmp(entry->d_name + skip, prefix, strlen(prefix)) == 0)
            count += arena_sweep_name(entry->d_name + skip, false);
    closedir(directory);
    (void)fifo_sweep();
    if (removed)
        *removed = count;
    return 0;
}
