/* SPDX-License-Identifier: MIT */
#include "ipc/kernel/eventfds.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "ipc/kernel/beyond.h"

/* A program that closes all descriptors, as daemons do, may have a file of its own by our number:
 * we must not write into it. All files that have no place in a file system (eventfds, timers,
 * epoll instances) have one inode, so ours are marked by the signal that they would send, if
 * signals were asked for; a new file has none. Where the kernel keeps no such mark, the inode
 * alone decides. */
#define MARK SIGPWR

static _Atomic uint64_t nowhere_dev, nowhere_ino; /* local: */
static _Atomic int mark;                          /* local: as the kernel tells it */

/* Two of our handles may have one number, because the program closed all descriptors in between:
 * the last one closes it. */
#define COUNTED 4096
static _Atomic uint32_t holders[COUNTED]; /* local: */

static bool is_nowhere(int fd)
{
    struct stat st;

    /* relaxed: local, and always the same. */
    return fstat(fd, &st) == 0 &&
           st.st_ino == atomic_load_explicit(&nowhere_ino, memory_order_relaxed) &&
           st.st_dev == atomic_load_explicit(&nowhere_dev, memory_order_relaxed);
}

bool eventfds_ours(int fd)
{
    int saved = errno;
    /* relaxed: local, and the same once a descriptor of ours is there. */
    bool marks = atomic_load_explicit(&mark, memory_order_relaxed) == MARK;
    bool ours = marks ? fcntl(fd, F_GETSIG) == MARK : is_nowhere(fd);

    errno = saved;
    return ours;
}

static int adopt(int given)
{
    int fd = beyond_standard(given);
    struct stat st;

    if (fd < 0)
        return -errno;
    (void)fcntl(fd, F_SETSIG, MARK);
    if (fstat(fd, &st) == 0) {
        /* relaxed: local; each thread that comes here stores the same. */
        atomic_store_explicit(&nowhere_dev, st.st_dev, memory_order_relaxed);
        atomic_store_explicit(&nowhere_ino, st.st_ino, memory_order_relaxed);
        atomic_store_explicit(&mark, fcntl(fd, F_GETSIG), memory_order_relaxed);
    }
    if (fd < COUNTED)
        /* relaxed: local; only the sum counts. */
        atomic_fetch_add_explicit(&holders[fd], 1, memory_order_relaxed);
    return fd;
}

static bool last_holder(int fd)
{
    /* relaxed: local; only the sum counts. */
    return fd >= COUNTED ||
           atomic_fetch_sub_explicit(&holders[fd], 1, memory_order_relaxed) <= 1;
}

int eventfds_open(void)
{
    return adopt(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

int eventfds_epoll(void)
{
    return adopt(epoll_create1(EPOLL_CLOEXEC));
}

int eventfds_timer(void)
{
    return adopt(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
}

void eventfds_close(int fd)
{
    if (last_holder(fd) && eventfds_ours(fd))
        close(fd);
}

void eventfds_table_close(struct eventfds_table *table)
{
    for (uint32_t i = 0; i < table->count; i++)
        eventfds_close(table->fds[i]);
    free(table->fds);
    *table = (struct eventfds_table){0};
}

int eventfds_table_open(struct eventfds_table *table, uint32_t count)
{
    *table = (struct eventfds_table){.fds = calloc(count + 1, sizeof(*table->fds))};
    if (!table->fds)
        return -ENOMEM;
    for (; table->count < count; table->count++) {
        int fd = eventfds_open();

        if (fd < 0) {
            eventfds_table_close(table);
            return fd;
        }
        table->fds[table->count] = fd;
    }
    return 0;
}

bool eventfds_ring(int fd)
{
    const uint64_t one = 1;
    int saved = errno;
    /* EAGAIN: it is readable already. */
    bool rung = eventfds_ours(fd) &&
                (write(fd, &one, sizeof(one)) == sizeof(one) || errno == EAGAIN);

    errno = saved;
    return rung;
}

void eventfds_clear(int fd)
{
    uint64_t count;
    int saved = errno;

    if (eventfds_ours(fd))
        (void)!read(fd, &count, sizeof(count));
    errno = saved;
}
