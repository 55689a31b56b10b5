/* SPDX-License-Identifier: MIT */
#include "ipc/lockfile.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/layout.h"

#define FILES 64

struct file {
    uint64_t dev, ino;
    int fd; /* + 1, 0: unused */
    uint32_t handles;
    uint64_t claimed[(MAX_PARTICIPANTS + 63) / 64];
};

/* In memory that a forked child sees as 0: a fresh mutex and no claims. */
struct table {
    pthread_mutex_t mutex;
    struct file files[FILES];
};

static struct table *table;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_table(void)
{
    void *got = mmap(NULL, sizeof(struct table), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (got == MAP_FAILED)
        return;
    madvise(got, sizeof(struct table), MADV_WIPEONFORK);
    table = got;
}

/* A mutex of zero bytes is PTHREAD_MUTEX_INITIALIZER on Linux, which the child relies on. */
static bool lock_table(void)
{
    pthread_once(&once, make_table);
    return table && pthread_mutex_lock(&table->mutex) == 0;
}

static void unlock_table(void)
{
    pthread_mutex_unlock(&table->mutex);
}

static struct file *find(uint64_t dev, uint64_t ino)
{
    for (int i = 0; i < FILES; i++) {
        struct file *file = &table->files[i];

        if (file->fd && file->dev == dev && file->ino == ino)
            return file;
    }
    return NULL;
}

static struct file *find_fd(int fd)
{
    for (int i = 0; i < FILES; i++)
        if (table->files[i].fd == fd + 1)
            return &table->files[i];
    return NULL;
}

/* The same file, open for reading and writing, below a name that can't be swapped. */
static int reopen(int path_fd)
{
    char path[32];
    int fd;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", path_fd);
    fd = open(path, O_RDWR | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* The table is locked. */
static int enter(int path_fd, bool adopt, bool *kept)
{
    struct stat st;
    struct file *file;
    int fd;

    if (fstat(path_fd, &st) < 0)
        return -errno;
    file = find(st.st_dev, st.st_ino);
    if (file) {
        file->handles++;
        /* An adopted descriptor stays open: closing it would drop the locks. */
        *kept = adopt && path_fd != file->fd - 1;
        return file->fd - 1;
    }
    file = find_fd(-1); /* an unused entry: fd is 0 */
    if (!file)
        return -EMFILE;
    fd = adopt ? path_fd : reopen(path_fd);
    if (fd < 0)
        return fd;
    *kept = adopt;
    *file = (struct file){.dev = st.st_dev, .ino = st.st_ino, .fd = fd + 1, .handles = 1};
    return fd;
}

int lockfile_enter(int path_fd, bool adopt)
{
    bool kept = false;
    int result = -ENOMEM;

    if (lock_table()) {
        result = enter(path_fd, adopt, &kept);
        unlock_table();
    }
    if (!kept && result != path_fd)
        close(path_fd);
    return result;
}

void lockfile_leave(int fd)
{
    struct file *file;

    if (!lock_table())
        return;
    file = find_fd(fd);
    /* In a child that never joined the descriptor is not in the table, and just closed. */
    if (!file || --file->handles == 0) {
        if (file)
            memset(file, 0, sizeof(*file));
        close(fd);
    }
    unlock_table();
}

bool lockfile_known(uint64_t dev, uint64_t ino)
{
    bool known = false;

    if (lock_table()) {
        known = find(dev, ino) != NULL;
        unlock_table();
    }
    return known;
}

static int set_lock(int fd, short type, uint32_t byte, bool wait)
{
    struct flock lock = {
        .l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
    int result;

    do
        result = fcntl(fd, wait ? F_SETLKW : F_SETLK, &lock);
    while (result < 0 && errno == EINTR);
    if (result == 0)
        return 0;
    return errno == EACCES ? -EAGAIN : -errno;
}

int lockfile_claim(int fd, uint32_t byte)
{
    struct file *file;
    int result = -EBADF;

    if (!lock_table())
        return -ENOMEM;
    file = find_fd(fd);
    if (file && file->claimed[byte / 64] >> byte % 64 & 1)
        result = -EAGAIN;
    else if (file)
        result = set_lock(fd, F_WRLCK, byte, false);
    if (result == 0)
        file->claimed[byte / 64] |= UINT64_C(1) << byte % 64;
    unlock_table();
    return result;
}

void lockfile_renew(int fd, uint32_t byte)
{
    set_lock(fd, F_WRLCK, byte, false);
}

void lockfile_release(int fd, uint32_t byte)
{
    struct file *file;

    if (!lock_table())
        return;
    file = find_fd(fd);
    if (file) {
        file->claimed[byte / 64] &= ~(UINT64_C(1) << byte % 64);
        set_lock(fd, F_UNLCK, byte, false);
    }
    unlock_table();
}

bool lockfile_held(int fd, uint32_t byte)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
    struct file *file;
    bool ours = true;

    if (lock_table()) {
        file = find_fd(fd);
        ours = file && file->claimed[byte / 64] >> byte % 64 & 1;
        unlock_table();
    }
    /* F_GETLK sees no conflict with locks of our own, hence the table. */
    return ours || fcntl(fd, F_GETLK, &lock) < 0 || lock.l_type != F_UNLCK;
}

int lockfile_gate(int fd, uint32_t byte, bool exclusive, bool wait)
{
    return set_lock(fd, exclusive ? F_WRLCK : F_RDLCK, byte, wait);
}

void lockfile_ungate(int fd, uint32_t byte)
{
    set_lock(fd, F_UNLCK, byte, false);
}
