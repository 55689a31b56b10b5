/* SPDX-License-Identifier: MIT */
#include <tensoring/look.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/look.h"
#include "ipc/timens.h"
#include "ipc/uncancel.h"
#include "src/arena_explain.h"
#include "src/error.h"
#include "src/stats.h"

struct tr_look {
    struct view view;
};

static int look(tr_look **out, const char *name, int fd, struct segment_report *report)
{
    tr_look *handle = calloc(1, sizeof(*handle));
    int result;

    if (!handle) {
        close(fd);
        return tr_fail(TR_ENOMEM, "no memory for a look at an arena");
    }
    timens_settle(); /* ages are told by the arena's clock */
    result = look_open(fd, &handle->view, report);
    if (result < 0) {
        free(handle);
        return explain_attach(result, name, report);
    }
    *out = handle;
    return 0;
}

static int look_by_name(tr_look **out, const char *name)
{
    struct segment_report report = {0};
    int fd = look_file(name, &report);

    return fd < 0 ? explain_attach(fd, name, &report) : look(out, name, fd, &report);
}

int tr_look_open(tr_look **out, const char *name)
{
    int cancel, result;

    if (!out || !name)
        return tr_fail(TR_EINVAL, "look: %s is NULL", out ? "name" : "out");
    if (strlen(name) > TR_MAX_ARENA_NAME)
        return tr_fail(TR_ENAMETOOLONG, "arena name has %zu bytes, the limit is %d",
                       strlen(name), TR_MAX_ARENA_NAME);
    if (!*name || strchr(name, '/'))
        return tr_fail(TR_EINVAL, "look: the name \"%s\" is empty or holds a /", name);
    cancel = uncancel_begin();
    result = look_by_name(out, name);
    uncancel_end(cancel);
    return result;
}

int tr_look_open_fd(tr_look **out, int fd)
{
    struct segment_report report = {0};
    int cancel, copy, result;

    if (!out)
        return tr_fail(TR_EINVAL, "look: out is NULL");
    cancel = uncancel_begin();
    copy = fcntl_dup(fd);
    result = copy < 0 ? tr_fail_errno(copy, "look: duplicate descriptor %d", fd)
                      : look(out, "(descriptor)", copy, &report);
    uncancel_end(cancel);
    return result;
}

void tr_look_close(tr_look *handle)
{
    if (!handle)
        return;
    look_close(&handle->view);
    free(handle);
}

static int missing(const char *what)
{
    return tr_fail(TR_EINVAL, "look: %s is NULL", what);
}

int tr_look_stats(const tr_look *handle, tr_stats *stats)
{
    if (!handle || !stats)
        return missing(handle ? "stats" : "the handle");
    return stats_read(&handle->view, stats);
}

int tr_look_participants(const tr_look *handle, tr_participant_stats *out,
                         size_t capacity, size_t *count)
{
    if (!handle || !count || (!out && capacity))
        return missing(!handle ? "the handle" : count ? "out" : "count");
    stats_participants(&handle->view, out, capacity, count);
    return 0;
}

int tr_look_channels(const tr_look *handle, tr_channel_stats *out, size_t capacity,
                     size_t *count)
{
    if (!handle || !count || (!out && capacity))
        return missing(!handle ? "the handle" : count ? "out" : "count");
    stats_channels(&handle->view, out, capacity, count);
    return 0;
}

int tr_look_info(const tr_look *handle, tr_arena_info *info)
{
    uint32_t size = info && handle ? info->struct_size : 0;
    tr_arena_info all = {.struct_size = size, .self = UINT32_MAX, .fd = -1};
    struct stat st;

    if (!handle || !info)
        return missing(handle ? "info" : "the handle");
    if (size < 8 || size > sizeof(all))
        return tr_fail(TR_EINVAL, "info: struct_size is %u, this library knows %zu", size,
                       sizeof(all));
    stats_info(&handle->view, &all);
    if (fstat(handle->view.lock_fd, &st) == 0)
        all.resident_bytes = (uint64_t)st.st_blocks * 512;
    memcpy(info, &all, size);
    return 0;
}
