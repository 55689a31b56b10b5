/* SPDX-License-Identifier: MIT */
#include <tensoring/look.h>

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/kernel/beyond.h"
#include "ipc/kernel/timens.h"
#include "ipc/kernel/uncancel.h"
#include "ipc/names/look.h"
#include "src/arena/arena_explain.h"
#include "src/arena/histogram.h"
#include "src/arena/stats.h"
#include "src/base/error.h"
#include "src/base/handle.h"

struct tr_look {
    struct handle handle;
    struct view view;
};

static struct handle_kind looks = {.bytes = sizeof(struct tr_look)};

static const struct tr_look *look_known(const tr_look *given)
{
    return handle_known(given);
}

static int look(tr_look **out, const char *name, int fd, struct segment_report *report)
{
    struct tr_look *handle = handle_new(&looks);
    int result;

    if (!handle) {
        close(fd);
        return tr_fail(TR_ENOMEM, "no memory for a look at an arena");
    }
    timens_settle(); /* ages are told by the arena's clock */
    result = look_open(fd, &handle->view, report);
    if (result < 0) {
        handle_free(handle);
        return explain_attach("look at", result, name, report);
    }
    *out = handle_of(handle);
    return 0;
}

static int look_by_name(tr_look **out, const char *name)
{
    struct segment_report report = {0};
    int fd = look_file(name, &report);

    return fd < 0 ? explain_attach("look at", fd, name, &report)
                  : look(out, name, fd, &report);
}

int tr_look_open(const char *name, tr_look **out)
{
    int cancel, result;

    if (!out || !name)
        return tr_fail(TR_EINVAL, "look: %s is NULL", out ? "name" : "out");
    if (strlen(name) > TR_MAX_ARENA_NAME)
        return tr_fail(TR_ENAMETOOLONG, "arena name has %zu bytes, the limit is %d",
                       strlen(name), TR_MAX_ARENA_NAME);
    if (!*name || strchr(name, '/'))
        return tr_fail(
            TR_EINVAL,
            "look: the name \"%s\" is empty or holds a /; tr_look_open_fd() takes "
            "what lies elsewhere",
            name);
    cancel = uncancel_begin();
    result = look_by_name(out, name);
    uncancel_end(cancel);
    return result;
}

int tr_look_open_fd(int fd, tr_look **out)
{
    struct segment_report report = {0};
    int cancel, copy, result;

    if (!out)
        return tr_fail(TR_EINVAL, "look: out is NULL");
    cancel = uncancel_begin();
    copy = beyond_copy(fd);
    result = copy < 0 ? tr_fail_descriptor(copy, "look", fd)
                      : look(out, "(descriptor)", copy, &report);
    uncancel_end(cancel);
    return result;
}

void tr_look_close(tr_look *given)
{
    struct tr_look *handle = handle_retire(given);

    if (!handle)
        return;
    look_close(&handle->view);
    handle_free(handle);
}

int tr_look_stats(const tr_look *given, tr_stats *stats)
{
    const struct tr_look *handle = look_known(given);

    return handle ? stats_read(&handle->view, stats)
                  : handle_fail(given, "stats", "look");
}

static int list(const tr_look *given, stats_list *read, const struct rows *rows)
{
    const struct tr_look *handle = look_known(given);

    return handle ? read(&handle->view, rows) : handle_fail(given, "stats", "look");
}

int tr_look_participants(const tr_look *given, tr_participant_stats *out,
                         size_t element_bytes, size_t capacity, size_t *count)
{
    const struct rows rows = {out, element_bytes, capacity, count};

    return list(given, stats_participants, &rows);
}

int tr_look_channels(const tr_look *given, tr_channel_stats *out, size_t element_bytes,
                     size_t capacity, size_t *count)
{
    const struct rows rows = {out, element_bytes, capacity, count};

    return list(given, stats_channels, &rows);
}

int tr_look_classes(const tr_look *given, tr_class_stats *out, size_t element_bytes,
                    size_t capacity, size_t *count)
{
    const struct rows rows = {out, element_bytes, capacity, count};

    return list(given, stats_classes, &rows);
}

int tr_look_histogram(const tr_look *given, const char *channel, uint32_t kind,
                      tr_histogram *histogram)
{
    const struct tr_look *handle = look_known(given);

    return handle ? histogram_read(&handle->view, channel, kind, histogram)
                  : handle_fail(given, "histogram", "look");
}

int tr_look_info(const tr_look *given, tr_arena_info *info)
{
    const struct tr_look *handle = look_known(given);
    tr_arena_info all = {.self = UINT32_MAX, .fd = -1};
    int result = handle ? stats_info_size(info) : handle_fail(given, "info", "look");
    struct stat st;

    if (result < 0)
        return result;
    all.struct_size = info->struct_size;
    stats_info(&handle->view, &all);
    if (fstat(handle->view.lock_fd, &st) == 0)
        all.resident_bytes = (uint64_t)st.st_blocks * 512;
    memcpy(info, &all, info->struct_size);
    return 0;
}
