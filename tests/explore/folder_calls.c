/* SPDX-License-Identifier: MIT */
/* folder_calls.c - what ipc/ and src/ ask of the kernel about named arenas, asked of folder.c where
 * an actor asks; all others get the kernel's answer. The linker redirects the calls here
 * (-Wl,--wrap), in this program only.
 *
 * Also what is private to a process and has nothing to do with names: handles are given back
 * when the next run begins, messages and notifiers are left out. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "ipc/kernel/limits.h"
#include "ipc/liveness/pidfds.h"
#include "ipc/signal/fifo.h"
#include "ipc/signal/notify.h"
#include "src/base/handle.h"
#include "src/message/message_table.h"
#include "tests/explore/folder.h"
#include "tests/explore/folder_calls.h"

#define HANDLES 64

#define WRAP(type, name, ...)        \
    type __real_##name(__VA_ARGS__); \
    type __wrap_##name(__VA_ARGS__); \
    type __wrap_##name(__VA_ARGS__)

static bool
    plain; /* an actor's call that is not of the model, as that for memory of a handle */

static bool modelled(void)
{
    return engine_elsewhere() && !plain;
}

/* A path that leads to a file of the model, or is a name there. */
static bool shared_path(const char *path)
{
    return strncmp(path, "/dev/shm/", 9) == 0;
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list more;
    mode_t mode;

    va_start(more, flags);
    mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
    va_end(more);
    if (!modelled())
        return __real_open(path, flags, mode);
    engine_call("open", shared_path(path));
    return (int)engine_answer(folder_open(path, flags));
}

WRAP(int, close, int fd)
{
    return modelled() && folder_owns(fd) ? (int)engine_answer(folder_close(fd))
                                         : __real_close(fd);
}

WRAP(int, fstat, int fd, struct stat *st)
{
    if (!modelled())
        return __real_fstat(fd, st);
    engine_call("fstat", false);
    return (int)engine_answer(folder_owns(fd) ? folder_stat(fd, st) : -EBADF);
}

WRAP(int, lstat, const char *path, struct stat *st)
{
    int result;

    if (!modelled())
        return __real_lstat(path, st);
    engine_call("lstat", true);
    result = folder_stat_path(path, st);
    engine_note(engine_elsewhere(), result < 0 ? 0 : st->st_ino);
    return (int)engine_answer(result);
}

/* Of /proc/self/ns: all actors are in one namespace. */
WRAP(int, stat, const char *path, struct stat *st)
{
    if (!modelled())
        return __real_stat(path, st);
    *st = (struct stat){.st_ino = 1};
    return folder_proc() ? 0 : -1;
}

WRAP(int, linkat, int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    if (!modelled())
        return __real_linkat(from_fd, from, to_fd, to, flags);
    if (*from && !folder_proc()) {
        errno = ENOENT;
        return -1;
    }
    engine_call("linkat", true);
    return (int)engine_answer(
        folder_link(*from ? atoi(from + strlen("/proc/self/fd/")) : from_fd));
}

WRAP(int, unlink, const char *path)
{
    if (!modelled())
        return __real_unlink(path);
    engine_call("unlink", true);
    return (int)engine_answer(folder_unlink(path));
}

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...)
{
    struct flock *lock;
    va_list more;

    va_start(more, command);
    lock = va_arg(more, void *);
    va_end(more);
    if (!modelled())
        return __real_fcntl(fd, command, lock);
    if (command == F_OFD_SETLK || command == F_SETLK) {
        engine_call(lock->l_type == F_UNLCK ? "unlock" : "lock", true);
        return (int)engine_answer(
            folder_lock(fd, lock->l_type, (uint32_t)lock->l_start, command == F_SETLK));
    }
    if (command != F_OFD_GETLK)
        engine_fail("a call of fcntl() that the model does not know");
    engine_call("see a lock", true);
    if (!folder_locked(fd, (uint32_t)lock->l_start))
        lock->l_type = F_UNLCK;
    return engine_answer(lock->l_type) < 0;
}

WRAP(void *, mmap, void *at, size_t bytes, int how, int flags, int fd, off_t off)
{
    if (!modelled())
        return __real_mmap(at, bytes, how, flags, fd, off);
    return flags & MAP_ANONYMOUS ? folder_map_private()
                                 : folder_map(fd, how == PROT_NONE);
}

WRAP(int, munmap, void *at, size_t bytes)
{
    return modelled() && folder_maps(at) ? folder_unmap(at) : __real_munmap(at, bytes);
}

WRAP(int, madvise, void *at, size_t bytes, int advice)
{
    return modelled() && folder_maps(at) ? 0 : __real_madvise(at, bytes, advice);
}

WRAP(int, ftruncate, int fd, off_t bytes)
{
    return modelled() ? folder_resize(fd, (uint64_t)bytes) : __real_ftruncate(fd, bytes);
}

WRAP(int, fallocate, int fd, int mode, off_t at, off_t bytes)
{
    return modelled() ? 0 : __real_fallocate(fd, mode, at, bytes);
}

WRAP(int, fchmod, int fd, mode_t mode)
{
    return modelled() ? 0 : __real_fchmod(fd, mode);
}

/* Such accesses: the magic, which is there before the name, and the pid that removes the name, for
 * a sentence. Neither decides anything. */
WRAP(ssize_t, pread, int fd, void *to, size_t bytes, off_t at)
{
    if (!modelled())
        return __real_pread(fd, to, bytes, at);
    engine_call("pread", false);
    return folder_read(fd, to, bytes, (uint64_t)at);
}

WRAP(ssize_t, pwrite, int fd, const void *from, size_t bytes, off_t at)
{
    if (!modelled())
        return __real_pwrite(fd, from, bytes, at);
    engine_call("pwrite", false);
    return folder_write(fd, from, bytes, (uint64_t)at);
}

WRAP(DIR *, opendir, const char *path)
{
    static char listing;

    if (!modelled())
        return __real_opendir(path);
    folder_lists(true);
    return (DIR *)(void *)&listing;
}

WRAP(struct dirent *, readdir, DIR *directory)
{
    static struct dirent entry;

    if (!modelled())
        return __real_readdir(directory);
    engine_call("readdir", true);
    strcpy(entry.d_name, "tensoring." FOLDER_NAME);
    return engine_answer(folder_lists(false)) ? &entry : NULL;
}

WRAP(int, closedir, DIR *directory)
{
    return modelled() ? 0 : __real_closedir(directory);
}

WRAP(int, kill, pid_t pid, int number)
{
    if (!modelled())
        return __real_kill(pid, number);
    engine_call("kill", true);
    return (int)engine_answer(folder_lives(pid) ? 0 : -ESRCH);
}

WRAP(pid_t, getpid, void)
{
    return modelled() ? folder_pid(engine_elsewhere()) : __real_getpid();
}

WRAP(int, nanosleep, const struct timespec *time, struct timespec *rest)
{
    if (!modelled())
        return __real_nanosleep(time, rest);
    engine_call("pause", false);
    engine_nap();
    return 0;
}

WRAP(ssize_t, getrandom, void *to, size_t bytes, unsigned flags)
{
    if (!modelled())
        return __real_getrandom(to, bytes, flags);
    memset(to, 1, bytes);
    return (ssize_t)bytes;
}

WRAP(bool, limits_file, int fd, bool named, uint64_t bytes, uint64_t file,
     uint64_t mapped, struct shortage *shortage)
{
    return modelled() || __real_limits_file(fd, named, bytes, file, mapped, shortage);
}

WRAP(bool, limits_memory, const char *root, uint64_t bytes, struct shortage *shortage)
{
    return modelled() || __real_limits_memory(root, bytes, shortage);
}

WRAP(uint32_t, fifo_sweep, void)
{
    return modelled() ? 0 : __real_fifo_sweep();
}

static void *handles[HANDLES];
static uint32_t handle_count;

WRAP(void *, handle_new, struct handle_kind *kind)
{
    void *handle;

    plain = true;
    handle = __real_handle_new(kind);
    plain = false;
    if (modelled()) {
        if (handle_count == HANDLES)
            abort();
        handles[handle_count++] = handle;
    }
    return handle;
}

WRAP(void, handle_free, void *handle)
{
    for (uint32_t i = 0; i < handle_count; i++)
        if (handles[i] == handle)
            handles[i] = handles[--handle_count];
    __real_handle_free(handle);
}

void folder_calls_start(void)
{
    while (handle_count > 0)
        __real_handle_free(handles[--handle_count]);
}

static struct message_table no_messages;

WRAP(struct message_table *, message_table_take, uint32_t count)
{
    return modelled() ? &no_messages : __real_message_table_take(count);
}

WRAP(void, message_table_put_back, struct message_table *table, uint32_t count)
{
    if (!modelled())
        __real_message_table_put_back(table, count);
}

WRAP(int, notify_open, struct view *view, uint32_t eventfds)
{
    return modelled() ? 0 : __real_notify_open(view, eventfds);
}

WRAP(int, pidfds_open, struct view *view)
{
    return modelled() ? 0 : __real_pidfds_open(view);
}
