/* SPDX-License-Identifier: MIT */
#include "ipc/evfd.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

/* All files that have no place in a file system (eventfds, timers, epoll instances) have one
 * inode. A program that closes all descriptors, as daemons do, may have a file of its own by our
 * number: it must get no 8 bytes of ours. Another such file refuses them, but for an eventfd. */
static _Atomic uint64_t nowhere_dev, nowhere_ino; /* local: */

static bool is_nowhere(int fd)
{
    struct stat st;

    /* relaxed: local, and always the same. */
    return fstat(fd, &st) == 0 &&
           st.st_ino == atomic_load_explicit(&nowhere_ino, memory_order_relaxed) &&
           st.st_dev == atomic_load_explicit(&nowhere_dev, memory_order_relaxed);
}

static int learn(int fd)
{
    struct stat st;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) == 0) {
        /* relaxed: local, as above. */
        atomic_store_explicit(&nowhere_dev, st.st_dev, memory_order_relaxed);
        atomic_store_explicit(&nowhere_ino, st.st_ino, memory_order_relaxed);
    }
    return fd;
}

int evfd_open(void)
{
    return learn(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

int evfd_epoll(void)
{
    return learn(epoll_create1(EPOLL_CLOEXEC));
}

void evfd_close(int fd)
{
    if (is_nowhere(fd))
        close(fd);
}

void evfd_table_close(struct evfd_table *table)
{
    for (uint32_t i = 0; i < table->count; i++)
        evfd_close(table->fds[i]);
    free(table->fds);
    *table = (struct evfd_table){0};
}

int evfd_table_open(struct evfd_table *table, uint32_t count)
{
    *table = (struct evfd_table){.fds = calloc(count + 1, sizeof(*table->fds))};
    if (!table->fds)
        return -ENOMEM;
    for (; table->count < count; table->count++) {
        int fd = evfd_open();

        if (fd < 0) {
            evfd_table_close(table);
            return fd;
        }
        table->fds[table->count] = fd;
    }
    return 0;
}

bool evfd_ring(int fd)
{
    const uint64_t one = 1;
    int saved = errno;
    /* EAGAIN: it is readable already. */
    bool rung = is_nowhere(fd) &&
                (write(fd, &one, sizeof(one)) == sizeof(one) || errno == EAGAIN);

    errno = saved;
    return rung;
}

void evfd_clear(int fd)
{
    uint64_t count;
    int saved = errno;

    if (is_nowhere(fd))
        (void)!read(fd, &count, sizeof(count));
    errno = saved;
}
