/* SPDX-License-Identifier: MIT */
#include "ipc/kernel/life.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/kernel/beyond.h"
#include "ipc/layout.h"

static int set_lock(int fd, int command, short type, uint32_t byte)
{
    struct flock lock = {
        .l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
    int result;

    do
        result = fcntl(fd, command, &lock);
    while (result < 0 && errno == EINTR);
    if (result == 0)
        return 0;
    return errno == EACCES ? -EAGAIN : -errno;
}

static int open_again(int fd, int access)
{
    char path[32];
    int own;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    /* The file's owner may hold a lease (F_SETLEASE), for which an open would wait. */
    own = beyond_standard(open(path, access | O_NONBLOCK | O_CLOEXEC));
    return own < 0 ? -errno : own;
}

int life_open(int fd)
{
    return open_again(fd, O_RDWR);
}

static bool same_file(int a, int b)
{
    struct stat one, other;

    return fstat(a, &one) == 0 && fstat(b, &other) == 0 && one.st_dev == other.st_dev &&
           one.st_ino == other.st_ino;
}

/* What was looked at by @p fd is a regular file. What came in its place may be a FIFO. */
int life_open_path(int fd, const char *path, int access)
{
    int own = open_again(fd, access);

    if (own != -ENOENT)
        return own;
    own = beyond_standard(
        open(path, access | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (own < 0)
        return -errno;
    if (same_file(fd, own))
        return own;
    close(own);
    return -ENOENT;
}

/* The page keeps the description. The lock comes last: a child that another thread forks on the
 * way has the descriptor until it executes or ends, which is why the pid is checked, too. */
static int map_and_lock(struct life *life, int own, uint32_t byte)
{
    void *page = mmap(NULL, ARENA_PAGE, PROT_NONE, MAP_SHARED, own, 0);
    int result;

    if (page == MAP_FAILED)
        return -errno;
    result = madvise(page, ARENA_PAGE, MADV_DONTFORK) < 0
                 ? -errno
                 : set_lock(own, F_OFD_SETLK, F_WRLCK, byte);
    if (result < 0) {
        munmap(page, ARENA_PAGE);
        return result;
    }
    *life = (struct life){page, LIFE_MAPPED, byte};
    return 0;
}

static int take_record(struct life *life, int fd, uint32_t byte)
{
    int result = set_lock(fd, F_SETLK, F_WRLCK, byte);

    if (result == 0)
        *life = (struct life){NULL, LIFE_RECORD, byte};
    return result;
}

int life_take(struct life *life, int fd, uint32_t byte)
{
    int own = life_open(fd), result;

    if (own == -EACCES || own == -EPERM || own == -ENOENT || own == -EROFS)
        return take_record(life, fd, byte);
    if (own < 0)
        return own;
    result = map_and_lock(life, own, byte);
    close(own);
    return result;
}

void life_renew(const struct life *life, int fd)
{
    if (life->kind == LIFE_RECORD)
        set_lock(fd, F_SETLK, F_WRLCK, life->byte);
}

void life_end(struct life *life, int fd)
{
    if (life->page)
        munmap(life->page, ARENA_PAGE);
    else
        set_lock(fd, F_SETLK, F_UNLCK, life->byte);
    life->page = NULL;
}

enum life_state life_of(int fd, uint32_t byte)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};

    if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
        return LIFE_UNKNOWN;
    return lock.l_type == F_UNLCK ? LIFE_FREE : LIFE_HELD;
}

int life_lock(int fd, uint32_t byte)
{
    return set_lock(fd, F_OFD_SETLK, F_WRLCK, byte);
}

void life_unlock(int fd, uint32_t byte)
{
    set_lock(fd, F_OFD_SETLK, F_UNLCK, byte);
}
