/* SPDX-License-Identifier: MIT */
#include "ipc/memory/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/kernel/beyond.h"
#include "ipc/kernel/life.h"
#include "ipc/kernel/number.h"
#include "ipc/kernel/os.h"
#include "ipc/kernel/trust.h"
#include "ipc/memory/copy.h"
#include "ipc/memory/reserve.h"
#include "ipc/slot_word.h"

#ifndef MADV_COLLAPSE /* linux 6.1, newer than Debian 12's libc */
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

int segment_path(const char *name, char path[SEGMENT_PATH])
{
    int length = snprintf(path, SEGMENT_PATH, SEGMENT_DIRECTORY "/" SEGMENT_PREFIX "%s",
                          name);

    return length < SEGMENT_PATH ? 0 : -ENAMETOOLONG;
}

static int open_nameless(const struct segment_spec *spec)
{
    int fd;

    if (!spec->name) {
        fd = beyond_standard(memfd_create("tensoring", MFD_CLOEXEC | MFD_ALLOW_SEALING));
        return fd < 0 ? -errno : fd;
    }
    fd = beyond_standard(open(SEGMENT_DIRECTORY, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (fd < 0)
        return -errno;
    if (fchmod(fd, spec->mode & 0777) < 0 ||
        ((spec->uid != UINT32_MAX || spec->gid != UINT32_MAX) &&
         fchown(fd, spec->uid, spec->gid) < 0)) {
        int result = -errno;

        close(fd);
        return result;
    }
    return fd;
}

/* Slots that share pages cannot be reserved one by one. */
static bool reserved_at_once(const struct control *geo, uint32_t c)
{
    return !(geo->flags & SEGMENT_LAZY) || geo->classes[c].stride % ARENA_PAGE;
}

/* The records of an elastic arena come later, see records.h. */
static uint64_t tables_end(const struct control *geo)
{
    return geo->features & FEATURE_ELASTIC ? geo->records_off : geo->payload_off;
}

static uint64_t bytes_at_once(const struct control *geo)
{
    uint64_t bytes = tables_end(geo);

    for (uint32_t c = 0; c < geo->class_count; c++)
        if (reserved_at_once(geo, c))
            bytes += geo->classes[c].count * geo->classes[c].stride;
    return bytes;
}

/* Size and memory: everything that will be used is reserved now, so that no access can
 * fail later (a tmpfs that runs out answers with SIGBUS). */
static int reserve(int fd, const struct segment_spec *spec, const struct control *geo,
                   struct shortage *shortage)
{
    struct reservation want = {.fd = fd,
                               .ask = !(geo->flags & SEGMENT_OVERCOMMIT),
                               .left = bytes_at_once(geo),
                               .shortage = shortage};
    int result;

    want.asked = want.left;
    if (!limits_file(fd, spec->name != NULL, want.left, geo->total_bytes,
                     2 * geo->total_bytes, shortage) ||
        (want.ask && !limits_memory("", want.left, shortage)))
        return -ENOSPC;
    if (ftruncate(fd, (off_t)geo->total_bytes) < 0)
        return -errno;
    result = reserve_range(&want, 0, tables_end(geo));
    for (uint32_t c = 0; c < geo->class_count && result == 0; c++)
        if (reserved_at_once(geo, c))
            result = reserve_range(&want, geo->classes[c].payload_off,
                                   geo->classes[c].count * geo->classes[c].stride);
    if (result == 0 && !spec->name &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return -errno;
    return result;
}

/* A core would hold the arena twice, and the process would count as alive while it is
 * written. */
static void leave_out_of_cores(const struct view *view)
{
    if (view->geo.flags & SEGMENT_DUMP)
        return;
    madvise(view->base, view->geo.total_bytes, MADV_DONTDUMP);
    madvise((void *)(uintptr_t)view->readonly, view->geo.total_bytes, MADV_DONTDUMP);
}

static int map(struct view *view, uint64_t bytes, int populate)
{
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | populate,
                      view->lock_fd, 0);
    void *readonly;

    if (base == MAP_FAILED)
        return -errno;
    readonly = mmap(NULL, bytes, PROT_READ, MAP_SHARED, view->lock_fd, 0);
    if (readonly == MAP_FAILED) {
        int result = -errno;

        munmap(base, bytes);
        return result;
    }
    view->base = base;
    view->readonly = readonly;
    leave_out_of_cores(view);
    return 0;
}

static void touch(const struct view *view, struct segment_report *report)
{
    const struct control *geo = &view->geo;
    int64_t start = os->now_ns();

    if (geo->flags & SEGMENT_HUGE &&
        madvise(view->base, geo->total_bytes, MADV_HUGEPAGE) < 0)
        report->huge_error = -errno;
    if (geo->flags & SEGMENT_LAZY)
        return;
    if (geo->flags & SEGMENT_POPULATE &&
        madvise(view->base, geo->total_bytes, MADV_POPULATE_WRITE) < 0)
        for (uint64_t at = 0; at < geo->total_bytes;
             at += ARENA_PAGE) /* before linux 5.14 */
            atomic_fetch_or_explicit((_Atomic uint8_t *)view->base + at, 0,
                                     memory_order_relaxed); /* relaxed: nobody else yet */
    /* Works where huge pages for shared memory are off by default, once pages are there. */
    if (geo->flags & SEGMENT_HUGE && geo->flags & SEGMENT_POPULATE)
        report->huge_error = madvise(view->base, geo->total_bytes, MADV_COLLAPSE) < 0
                                 ? -errno
                                 : 0;
    if (geo->flags & SEGMENT_POPULATE)
        shm_put(&view_live(view)->populate_ns, (uint64_t)(os->now_ns() - start));
}

static void fill_records(const struct view *view)
{
    for (uint32_t slot = 0; slot < view->geo.slot_count; slot++) {
        struct slot_record *record = view_record(view, slot);

        shm_put(&record->owner, slot_word(SLOT_FREE, SLOT_NOBODY, 0, 0, 2));
        shm_put(&record->location, LOCATION_NONE);
        shm_put(&record->location_even, LOCATION_NONE);
    }
}

static void fill(const struct view *view)
{
    struct control *control = (struct control *)(void *)view->base;
    struct control copy = view->geo;

    if (!view_elastic(view))
        fill_records(view);
    for (uint32_t i = 0; i < view->geo.class_count; i++)
        if (view->geo.classes[i].slot_bytes >= COPY_LARGE) {
            shm_put(&view_live(view)->copy_routine, (uint32_t)copy_calibrate());
            break;
        }
    memcpy((uint8_t *)control + 8, (const uint8_t *)&copy + 8, sizeof(copy) - 8);
    /* E0 release: pairs with read_control(); all of the above is there. */
    shm_store(&control->magic, ARENA_MAGIC, E0_READY);
}

static int identify(struct view *view)
{
    struct stat st;

    if (fstat(view->lock_fd, &st) < 0)
        return -errno;
    view->dev = st.st_dev;
    view->ino = st.st_ino;
    return 0;
}

int segment_create(const struct segment_spec *spec, struct view *view,
                   struct segment_report *report)
{
    int result = segment_plan(spec, &view->geo), fd;

    if (result < 0)
        return result;
    fd = open_nameless(spec);
    if (fd < 0)
        return fd;
    view->geo.creator_uid = (uint32_t)geteuid();
    if (getrandom(&view->geo.nonce, sizeof(view->geo.nonce), 0) < 0)
        view->geo.nonce = (uint64_t)os->now_ns();
    if (getrandom(view->geo.secret, sizeof(view->geo.secret), 0) < 0)
        view->geo.secret[1] = view->geo.nonce; /* no secret, but it hashes */
    result = reserve(fd, spec, &view->geo, &report->shortage);
    if (result < 0) {
        close(fd);
        return result;
    }
    view->lock_fd = fd;
    view->taken = number_take(fd);
    result = identify(view);
    if (result == 0)
        result = map(view, view->geo.total_bytes, 0);
    if (result == 0) {
        touch(view, report);
        fill(view);
        copy_choose((enum copy_routine)shm_get(&view_live(view)->copy_routine));
    }
    if (result < 0)
        segment_detach(view);
    return result;
}

int segment_refuse(struct segment_report *report, enum segment_refusal refusal,
                   uint64_t found, uint64_t expected, int code)
{
    report->refusal = refusal;
    report->found = found;
    report->expected = expected;
    return code;
}

static int refuse_owner(const struct stat *st, struct segment_report *report)
{
    report->mode = st->st_mode & 07777;
    report->gid = st->st_gid;
    report->owner_would = trusted_by_owner(st);
    report->group_would = trusted_by_group(st);
    return segment_refuse(report, REFUSED_OWNER, st->st_uid, geteuid(), -EACCES);
}

static int check_owner(const struct stat *st, struct segment_trust trust,
                       struct segment_report *report)
{
    return trusted(st, trust) ? 0 : refuse_owner(st, report);
}

static int check_kind(const struct stat *st, struct segment_report *report)
{
    return S_ISREG(st->st_mode)
               ? 0
               : segment_refuse(report, REFUSED_KIND, st->st_mode, S_IFREG, -EACCES);
}

static int check_size(const struct stat *st, struct segment_report *report)
{
    if ((uint64_t)st->st_size < sizeof(struct control))
        return segment_refuse(report, REFUSED_SHORT, (uint64_t)st->st_size,
                              sizeof(struct control),
                              st->st_size == 0 ? -EAGAIN : -EBADMSG);
    return 0;
}

int segment_judge(uint64_t magic, const struct control *geo, uint64_t file_bytes,
                  struct segment_report *report)
{
    if (magic == 0)
        return segment_refuse(report, REFUSED_UNREADY, 0, ARENA_MAGIC, -EOWNERDEAD);
    if (magic != ARENA_MAGIC)
        return segment_refuse(report, REFUSED_KIND, magic, ARENA_MAGIC, -EBADMSG);
    if (geo->layout != ARENA_LAYOUT)
        return segment_refuse(report, REFUSED_LAYOUT, geo->layout, ARENA_LAYOUT, -EPROTO);
    if (geo->features & ~ARENA_FEATURES)
        return segment_refuse(report, REFUSED_FEATURES, geo->features, ARENA_FEATURES,
                              -EPROTO);
    if (!segment_valid(geo, file_bytes))
        return segment_refuse(report, REFUSED_GEOMETRY, geo->total_bytes, file_bytes,
                              -EBADMSG);
    return 0;
}

/* Copy the control block into private memory and use only the copy. */
static int read_control(int fd, uint64_t file_bytes, struct control *geo,
                        struct segment_report *report)
{
    struct control *shared = mmap(NULL, sizeof(*shared), PROT_READ, MAP_SHARED, fd, 0);
    uint64_t magic;

    if (shared == MAP_FAILED)
        return segment_refuse(report, REFUSED_KERNEL, 0, 0, -errno);
    /* E0 acquire: pairs with fill(). Without it the sizes could be read before they are. */
    magic = shm_load(&shared->magic, E0_LOOK);
    shm_copy_out((uint64_t *)(void *)geo, (const _Atomic uint64_t *)(const void *)shared,
                 sizeof(*geo) / 8);
    munmap(shared, sizeof(*shared));
    return segment_judge(magic, geo, file_bytes, report);
}

/* Nothing is opened for real before it was looked at: a device or FIFO must not be. */
static int open_path(const char *name, struct segment_report *report)
{
    char path[SEGMENT_PATH];
    int result = segment_path(name, path), fd;

    if (result < 0)
        return result;
    fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return segment_refuse(report, errno == ENOENT ? REFUSED_ABSENT : REFUSED_KERNEL,
                              0, 0, -errno);
    return fd;
}

/* For an attach by name. The giver of a descriptor vouches for it. */
static int check_file(const struct stat *st, struct segment_trust trust,
                      struct segment_report *report)
{
    int result = check_kind(st, report);

    return result == 0 ? check_owner(st, trust, report) : result;
}

static int attach_file(struct view *view, int fd, struct segment_report *report)
{
    struct stat st;
    int result;

    if (fstat(fd, &st) < 0)
        return -errno;
    view->dev = st.st_dev;
    view->ino = st.st_ino;
    result = check_kind(&st, report);
    if (result == 0)
        result = check_size(&st, report);
    if (result == 0)
        result = read_control(fd, (uint64_t)st.st_size, &view->geo, report);
    if (result < 0)
        return result;
    result = map(view, view->geo.total_bytes,
                 view->geo.flags & SEGMENT_POPULATE && !(view->geo.flags & SEGMENT_LAZY)
                     ? MAP_POPULATE
                     : 0);
    if (result == 0)
        copy_choose((enum copy_routine)shm_get(&view_live(view)->copy_routine));
    return result < 0 ? segment_refuse(report, REFUSED_KERNEL, 0, 0, result) : 0;
}

/* Open the checked file for reading and writing. */
static int open_trusted(int path_fd, const char *path, const struct stat *st,
                        struct segment_trust trust, struct segment_report *report)
{
    int fd = life_open_path(path_fd, path, O_RDWR);

    if (fd < 0)
        return segment_refuse(report, REFUSED_KERNEL, 0, 0, fd);
    if (trust_stands(fd, st, trust))
        return fd;
    close(fd);
    return refuse_owner(st, report);
}

int segment_open(const char *name, struct segment_trust trust,
                 struct segment_report *report)
{
    int path_fd = open_path(name, report), fd;
    char path[SEGMENT_PATH];
    struct stat st;

    if (path_fd < 0)
        return path_fd;
    fd = fstat(path_fd, &st) < 0 ? segment_refuse(report, REFUSED_KERNEL, 0, 0, -errno)
                                 : check_file(&st, trust, report);
    if (fd == 0 && segment_path(name, path) == 0)
        fd = open_trusted(path_fd, path, &st, trust, report);
    close(path_fd);
    return fd;
}

int segment_attach(const char *name, int fd, struct segment_trust trust,
                   struct view *view, struct segment_report *report)
{
    int result;

    view->lock_fd = name ? segment_open(name, trust, report) : fd;
    if (view->lock_fd < 0)
        return view->lock_fd;
    result = attach_file(view, view->lock_fd, report);
    if (result < 0) {
        close(view->lock_fd);
        view->lock_fd = -1;
    } else {
        view->taken = number_take(view->lock_fd);
    }
    return result;
}

static int open_if_ours(const struct view *view, const char *path)
{
    int fd = beyond_standard(open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct view other = *view;

    other.lock_fd = fd;
    if (fd >= 0 && view_fd(&other) < 0) {
        close(fd);
        return -ENOENT;
    }
    return fd < 0 ? -errno : fd;
}

int segment_recover(struct view *view, const char *name)
{
    char path[SEGMENT_PATH];
    int fd = -ENOENT;

    if (view_fd(view) >= 0)
        return 0;
    if (*name && segment_path(name, path) == 0)
        fd = open_if_ours(view, path);
    view->taken = number_take(fd);
    view->lock_fd = fd < 0 ? -1 : fd;
    return fd < 0 ? fd : 0;
}

void segment_warm(const struct view *view)
{
    if (view->geo.flags & SEGMENT_POPULATE && !(view->geo.flags & SEGMENT_LAZY))
        madvise(view->base, view->geo.total_bytes, MADV_POPULATE_WRITE);
}

/* A process that closes all descriptors may have another file by that number, or this one by
 * another handle. */
void segment_close(struct view *view)
{
    if (number_is_ours(view->lock_fd, view->taken) && view_fd(view) >= 0)
        close(view->lock_fd);
    view->lock_fd = -1;
}

void segment_detach(struct view *view)
{
    if (view->base) {
        munmap(view->base, view->geo.total_bytes);
        munmap((void *)(uintptr_t)view->readonly, view->geo.total_bytes);
    }
    view->base = NULL;
    view->readonly = NULL;
    segment_close(view);
}
