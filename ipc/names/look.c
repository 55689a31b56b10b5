/* SPDX-License-Identifier: MIT */
#include "ipc/names/look.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/exchange/histogram.h"
#include "ipc/kernel/life.h"
#include "ipc/kernel/number.h"

static int refuse_kernel(struct segment_report *report, int code)
{
    return segment_refuse(report, REFUSED_KERNEL, 0, 0, code);
}

/* A device or FIFO must not even be opened. */
int look_file(const char *name, struct segment_report *report)
{
    char path[SEGMENT_PATH];
    int result = segment_path(name, path), path_fd;
    struct stat st;

    if (result < 0)
        return result;
    path_fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (path_fd < 0)
        return segment_refuse(report, errno == ENOENT ? REFUSED_ABSENT : REFUSED_KERNEL,
                              0, 0, -errno);
    if (fstat(path_fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(path_fd);
        return segment_refuse(report, REFUSED_KIND, 0, 0, -EACCES);
    }
    result = life_open_path(path_fd, path, O_RDONLY);
    close(path_fd);
    return result < 0 ? refuse_kernel(report, result) : result;
}

/* Where the next byte lies that may not be 0, or the next hole (@p what), from @p from on; at
 * most @p to. A file can be long and have no memory; the copy then takes none, either. */
static uint64_t next_of(const struct view *view, uint64_t from, uint64_t to, int what)
{
    off_t at = lseek(view->lock_fd, (off_t)from, what);

    if (at < 0)
        return what == SEEK_DATA && errno != ENXIO ? from : to;
    return (uint64_t)at < to ? (uint64_t)at : to;
}

/* Bytes @p from to @p to of the file, to where they are in the copy, which is all 0. */
static int read_part(const struct view *view, uint64_t from, uint64_t to)
{
    while ((from = next_of(view, from, to, SEEK_DATA)) < to) {
        uint64_t end = next_of(view, from, to, SEEK_HOLE);
        ssize_t got = pread(view->lock_fd, view->base + from, end - from, (off_t)from);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -EBADMSG;
        from += (uint64_t)got;
    }
    return 0;
}

/* It is not walked, either. */
static void forget_ring(const struct view *view, uint32_t index)
{
    shm_put(&view_channel(view, index)->ring_off, 0);
}

/* What a look asks for in the region of rings: the keys of boards, the places of broadcasts, the
 * histograms of queues. NULL: nothing. */
static uint8_t *asked_of(const struct view *view, uint32_t i, uint64_t *bytes)
{
    uint64_t word = channel_word(view, i);

    if (CHANNEL_STATE(word) != CHANNEL_READY)
        return NULL;
    if (CHANNEL_KIND(word) != CHANNEL_QUEUE)
        return channel_bytes(view, i, bytes);
    *bytes = HISTOGRAM_KINDS * sizeof(struct histogram);
    return (uint8_t *)histogram_all(view, i);
}

/* Together at most @p left bytes, whatever the channels of a stranger say: all could name one
 * place. */
static int read_shared(const struct view *view, uint64_t left)
{
    int result = 0;

    for (uint32_t i = 0; i < view->geo.channel_count && result == 0; i++) {
        uint64_t bytes, off;
        uint8_t *at = asked_of(view, i, &bytes);

        if (!at)
            continue;
        if (bytes > left) {
            forget_ring(view, i);
            continue;
        }
        off = (uint64_t)(at - view->base);
        left -= bytes;
        result = read_part(view, off, off + bytes);
    }
    return result;
}

/* @p memory: of the file. A creator reserves that of all rings. */
static int read_tables(struct view *view, uint64_t memory)
{
    void *base = mmap(NULL, view->geo.payload_off, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int result;

    if (base == MAP_FAILED)
        return -ENOMEM;
    view->base = base;
    view->readonly = base;
    result = read_part(view, 0, view->geo.rings_off);
    if (result == 0)
        result = read_part(view, view->geo.records_off, view->geo.payload_off);
    return result < 0 ? result : read_shared(view, memory);
}

int look_control(struct view *view, struct stat *st, struct segment_report *report)
{
    struct control *geo = &view->geo;

    if (fstat(view->lock_fd, st) < 0)
        return refuse_kernel(report, -errno);
    if (!S_ISREG(st->st_mode))
        return segment_refuse(report, REFUSED_KIND, 0, 0, -EACCES);
    view->dev = st->st_dev;
    view->ino = st->st_ino;
    if ((uint64_t)st->st_size < sizeof(*geo))
        return segment_refuse(report, REFUSED_SHORT, (uint64_t)st->st_size, sizeof(*geo),
                              st->st_size == 0 ? -EAGAIN : -EBADMSG);
    if (pread(view->lock_fd, geo, sizeof(*geo), 0) != (ssize_t)sizeof(*geo))
        return refuse_kernel(report, -EIO);
    return segment_judge(shm_get(&geo->magic), geo, (uint64_t)st->st_size, report);
}

static int look_at(struct view *view, struct segment_report *report)
{
    struct stat st;
    int result = look_control(view, &st, report);
    off_t at;

    if (result < 0)
        return result;
    at = lseek(view->lock_fd, 0, SEEK_CUR); /* the giver's, too */
    result = read_tables(view, (uint64_t)st.st_blocks * 512);
    (void)lseek(view->lock_fd, at, SEEK_SET);
    return result < 0 ? refuse_kernel(report, result) : 0;
}

int look_open(int fd, struct view *view, struct segment_report *report)
{
    int result;

    view->base = NULL;
    view->lock_fd = fd;
    view->taken = number_take(fd);
    result = look_at(view, report);
    if (result < 0)
        look_close(view);
    return result;
}

void look_close(struct view *view)
{
    if (view->base)
        munmap(view->base, view->geo.payload_off);
    view->base = NULL;
    segment_close(view);
}
