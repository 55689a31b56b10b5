/* SPDX-License-Identifier: MIT */
#include "ipc/signal/fifo.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ipc/kernel/beyond.h"
#include "ipc/kernel/os.h"
#include "ipc/order.h"

#define DIRECTORY "/dev/shm"
#define MARK      "tensoring-fifo."
#define NEW       ".new" /* not open yet */

uint64_t fifo_new_key(void)
{
    uint64_t key;

    if (getrandom(&key, sizeof(key), GRND_NONBLOCK) != sizeof(key))
        key = (uint64_t)os->now_ns() * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)getpid();
    return key;
}

static void path_of(unsigned long nonce, unsigned long key, char path[FIFO_PATH])
{
    snprintf(path, FIFO_PATH, DIRECTORY "/" MARK "%016lx.%016lx", nonce, key);
}

void fifo_path(const struct view *view, uint64_t key, char path[FIFO_PATH])
{
    path_of((unsigned long)view->geo.nonce, (unsigned long)key, path);
}

static void new_path(const struct view *view, uint64_t key, char path[FIFO_PATH])
{
    fifo_path(view, key, path);
    memcpy(path + strlen(path), NEW, sizeof(NEW));
}

static bool other_users(const struct view *view)
{
    for (uint32_t i = 0; i < view->geo.participant_count; i++) {
        struct participant *entry = view_participant(view, i);

        /* E4 acquire: pairs with participant_join(). */
        if (PARTICIPANT_STATE(shm_load(&entry->word, E4_LOOK)) == PARTICIPANT_LIVE &&
            shm_get(&entry->uid) != geteuid())
            return true;
    }
    return false;
}

void fifo_permit(const struct view *view, int fd)
{
    struct stat arena, fifo;
    int saved = errno;
    mode_t mode;

    if (fstat(fd, &fifo) == 0 && fstat(view_fd(view), &arena) == 0) {
        mode = (arena.st_mode & 0060) == 0060 ? 0660 : 0600;
        if (mode == 0660 && fifo.st_gid != arena.st_gid &&
            fchown(fd, (uid_t)-1, arena.st_gid) < 0)
            mode = 0600;
        if (other_users(view))
            mode |= 0022;
        if ((fifo.st_mode & 0777) != mode)
            (void)!fchmod(fd, mode);
    }
    errno = saved;
}

int fifo_make(const struct view *view, uint64_t key)
{
    char path[FIFO_PATH], made[FIFO_PATH];
    int fd, result;

    (void)fifo_sweep();
    fifo_path(view, key, path);
    new_path(view, key, made);
    if (mkfifo(made, 0600) < 0)
        return errno == EEXIST ? -EAGAIN : -errno;
    /* For writing, too: then it never is at its end, and no ringer ever comes too early. */
    fd = beyond_standard(open(made, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW));
    if (fd >= 0) {
        fifo_permit(view, fd);
        if (renameat2(AT_FDCWD, made, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
            return fd;
    }
    result = errno == ENOENT || errno == EEXIST ? -EAGAIN : -errno;
    if (fd >= 0)
        close(fd);
    unlink(made);
    return result;
}

void fifo_remove(const struct view *view, uint64_t key)
{
    char path[FIFO_PATH];
    int saved = errno;

    fifo_path(view, key, path);
    if (unlink(path) < 0) { /* killed while it made it */
        new_path(view, key, path);
        unlink(path);
    }
    errno = saved;
}

/* For reading, too, if we may: writing to a FIFO whose last reader has died is a SIGPIPE. */
static int open_other(const struct view *view, uint64_t key, bool *writer, uint64_t *ino)
{
    const int flags = O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW;
    char path[FIFO_PATH];
    struct stat st;
    int fd;

    fifo_path(view, key, path);
    fd = beyond_standard(open(path, O_RDWR | flags));
    *writer = fd < 0 && errno == EACCES;
    if (*writer)
        fd = beyond_standard(open(path, O_WRONLY | flags));
    if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode))) {
        close(fd);
        return -1;
    }
    *ino = fd < 0 ? 0 : st.st_ino;
    return fd;
}

/* One byte. EAGAIN: full, so it is readable. */
static bool put_byte(int fd)
{
    return write(fd, "", 1) == 1 || errno == EAGAIN;
}

/* The same without the signal: it is blocked in this thread, and taken if it came. */
static bool put_byte_quietly(int fd)
{
    static const struct timespec at_once = {0};
    sigset_t sigpipe, before, pending;
    bool put, was_pending;
    int why;

    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    sigpending(&pending);
    was_pending = sigismember(&pending, SIGPIPE) == 1;
    if (pthread_sigmask(SIG_BLOCK, &sigpipe, &before) != 0)
        return false;
    put = put_byte(fd);
    why = errno;
    if (!put && why == EPIPE && !was_pending)
        (void)!sigtimedwait(&sigpipe, NULL, &at_once);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return put;
}

uint64_t fifo_inode(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode) ? st.st_ino : 0;
}

/* A process that closes all descriptors may have another file by the number. */
static bool still_open(int fd, uint64_t ino)
{
    return fd >= 0 && ino != 0 && fifo_inode(fd) == ino;
}

void fifo_close(int fd, uint64_t ino)
{
    if (still_open(fd, ino))
        close(fd);
}

void fifo_forget(struct fifo_cache *cache, uint32_t who)
{
    fifo_close(cache->of[who].fd - 1, cache->of[who].ino);
    cache->of[who].fd = 0;
}

static bool put_to(int fd, bool writer)
{
    return fd >= 0 && (writer ? put_byte_quietly(fd) : put_byte(fd));
}

bool fifo_ring(const struct view *view, struct fifo_cache *cache, uint32_t who,
               uint64_t key)
{
    int saved = errno;
    bool rung;

    if (cache->of[who].key != key ||
        !still_open(cache->of[who].fd - 1, cache->of[who].ino))
        fifo_forget(cache, who);
    if (!cache->of[who].fd) {
        cache->of[who].fd = open_other(view, key, &cache->of[who].writer,
                                       &cache->of[who].ino) +
                            1;
        cache->of[who].key = key;
    }
    rung = put_to(cache->of[who].fd - 1, cache->of[who].writer);
    errno = saved;
    return rung;
}

bool fifo_ring_once(const struct view *view, uint64_t key)
{
    int saved = errno, fd;
    bool writer = false, rung;
    uint64_t ino;

    fd = open_other(view, key, &writer, &ino);
    rung = put_to(fd, writer);
    if (fd >= 0)
        close(fd);
    errno = saved;
    return rung;
}

void fifo_clear(int fd)
{
    char bytes[512];
    int saved = errno;

    while (read(fd, bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes))
        ;
    errno = saved;
}

void fifo_cache_close(struct fifo_cache *cache)
{
    for (uint32_t i = 0; i < MAX_PARTICIPANTS; i++)
        fifo_forget(cache, i);
}

/* Whether it is a name as we give them, to the letter. */
static bool is_name(const char *text)
{
    char path[FIFO_PATH];
    const char *expected = path + sizeof(DIRECTORY);
    unsigned long nonce, key;
    size_t length;

    if (sscanf(text, MARK "%16lx.%16lx", &nonce, &key) != 2)
        return false;
    path_of(nonce, key, path);
    length = strlen(expected);
    return strncmp(text, expected, length) == 0 &&
           (text[length] == 0 || strcmp(text + length, NEW) == 0);
}

/* Ours, and nobody reads: its maker is gone. */
static bool deserted(int directory, const char *name)
{
    struct stat st;
    int fd;

    if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISFIFO(st.st_mode) ||
        st.st_uid != geteuid())
        return false;
    fd = openat(directory, name, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0)
        close(fd);
    return fd < 0 && errno == ENXIO;
}

uint32_t fifo_sweep(void)
{
    int saved = errno;
    uint32_t removed = 0;
    struct dirent *entry;
    DIR *directory = opendir(DIRECTORY);

    while (directory && (entry = readdir(directory)) != NULL)
        if (is_name(entry->d_name) && deserted(dirfd(directory), entry->d_name))
            removed += unlinkat(dirfd(directory), entry->d_name, 0) == 0;
    if (directory)
        closedir(directory);
    errno = saved;
    return removed;
}
