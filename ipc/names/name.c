/* SPDX-License-Identifier: MIT */
#include "ipc/names/name.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/kernel/limits.h"
#include "ipc/mutant.h"
#include "ipc/names/peek.h"

/* For tests that kill at each step. */
#define NAME_STEP(at) STEP(at, SHM_SYSTEM)

int name_give(const struct view *view, const char *name)
{
    char path[SEGMENT_PATH], self[32];
    int result = segment_path(name, path);

    if (result < 0)
        return result;
    snprintf(self, sizeof(self), "/proc/self/fd/%d", view->lock_fd);
    NAME_STEP(view->base);
    if (MUTANT(NAME_SEIZED))
        unlink(path);
    if (linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0 ||
        (errno == ENOENT &&
         linkat(view->lock_fd, "", AT_FDCWD, path, AT_EMPTY_PATH) == 0))
        return 0;
    return -errno;
}

static bool leads_to(const char *path, const struct stat *file)
{
    struct stat st;

    return lstat(path, &st) == 0 && st.st_ino == file->st_ino &&
           st.st_dev == file->st_dev;
}

bool name_leads_to(const struct view *view, const char *name)
{
    char path[SEGMENT_PATH];
    struct stat st;

    return segment_path(name, path) == 0 && fstat(view->lock_fd, &st) == 0 &&
           leads_to(path, &st);
}

/* The holder of the lock says so in the arena, for those that cannot get it. A file that is
 * no arena is left as it is. */
#define NAMER_AT (sizeof(struct control) + offsetof(struct live, namer))

static bool is_arena(int fd, const struct stat *file)
{
    uint64_t magic = 0;

    return (uint64_t)file->st_size >= sizeof(struct control) + sizeof(struct live) &&
           pread(fd, &magic, sizeof(magic), 0) == sizeof(magic) && magic == ARENA_MAGIC;
}

static void sign(int fd, const struct stat *file, uint64_t pid)
{
    if (is_arena(fd, file) && limits_may_write(NAMER_AT + sizeof(pid)))
        (void)!pwrite(fd, &pid, sizeof(pid), (off_t)NAMER_AT);
}

static uint32_t signature(int fd, const struct stat *file)
{
    uint64_t pid = 0;

    return is_arena(fd, file) &&
                   pread(fd, &pid, sizeof(pid), (off_t)NAMER_AT) == sizeof(pid)
               ? (uint32_t)pid
               : 0;
}

/* The lock of the file is ours. -ENOENT: the name leads elsewhere by now. */
static int remove_locked(const char *path, const struct stat *file)
{
    NAME_STEP(path);
    if (!MUTANT(NAME_BLIND) && !leads_to(path, file))
        return -ENOENT;
    NAME_STEP(path);
    return unlink(path) < 0 ? -errno : 0;
}

/* @p fd has a description of its own. */
static int remove_name(int fd, const char *path, uint32_t *pid)
{
    struct stat file;
    int result;

    if (fstat(fd, &file) < 0)
        return -errno;
    NAME_STEP(path);
    result = MUTANT(NAME_UNLOCKED) ? 0 : life_lock(fd, LOCK_NAME);
    if (result < 0) {
        *pid = signature(fd, &file);
        return result == -EAGAIN ? -EBUSY : result;
    }
    sign(fd, &file, (uint64_t)getpid());
    result = remove_locked(path, &file);
    sign(fd, &file, 0);
    /* Closing alone would not unlock it for a child that another thread forked meanwhile. */
    life_unlock(fd, LOCK_NAME);
    return result;
}

/* The file behind the path for its lock. -EACCES: it is not regular, or may not be opened. */
static int open_file(const char *path)
{
    int path_fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC), fd = -EACCES;
    struct stat st;

    if (path_fd < 0)
        return -errno;
    if (fstat(path_fd, &st) == 0 && S_ISREG(st.st_mode))
        fd = life_open_path(path_fd, path, O_RDWR);
    close(path_fd);
    return fd;
}

int name_remove(const char *name, uint32_t *pid)
{
    char path[SEGMENT_PATH];
    int result = segment_path(name, path), fd;

    *pid = 0;
    if (result < 0)
        return result;
    fd = open_file(path);
    if (fd == -EACCES) /* no arena that anybody could use, or remove */
        return unlink(path) < 0 ? -errno : 0;
    if (fd < 0)
        return fd;
    result = remove_name(fd, path, pid);
    close(fd);
    return result;
}

/* A file by the name that was never finished, and that nobody has locked. We make none: ours
 * have no name until they are whole. */
static bool unfinished(const struct view *view, const struct segment_report *report)
{
    for (uint32_t i = 0; i < MAX_PARTICIPANTS; i++)
        if (life_of(view->lock_fd, i) != LIFE_FREE)
            return false;
    return report->refusal == REFUSED_UNREADY;
}

/* This process lacks something, which says nothing of the arena. */
static bool out_of_means(int result)
{
    return result == -EMFILE || result == -ENFILE || result == -ENOMEM;
}

/* Whether it may go: 0, -EEXIST, or what this process lacks. */
static int judge(const struct peek *peek, int peeked, const struct segment_report *report,
                 bool crashed)
{
    if (out_of_means(peeked))
        return peeked;
    if (peeked < 0)
        return crashed && peek->view.lock_fd >= 0 && unfinished(&peek->view, report)
                   ? 0
                   : -EEXIST;
    NAME_STEP(peek);
    return peek_close_arena(peek, crashed);
}

int name_sweep(const char *name, bool crashed, uint32_t *pid)
{
    struct segment_report report = {0};
    struct peek peek = {.view.lock_fd = -1};
    char path[SEGMENT_PATH];
    int result = segment_path(name, path), peeked;

    *pid = 0;
    if (result < 0)
        return result;
    peeked = peek_open(name, &peek, &report);
    if (report.refusal == REFUSED_ABSENT)
        return -ENOENT;
    result = judge(&peek, peeked, &report, crashed);
    if (result == 0)
        result = remove_name(peek.view.lock_fd, path, pid);
    peek_end(&peek);
    return result;
}
