/* SPDX-License-Identifier: MIT */
#include "ipc/evfd.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

int evfd_open(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    return fd < 0 ? -errno : fd;
}

void evfd_table_close(struct evfd_table *table)
{
    for (uint32_t i = 0; i < table->count; i++)
        close(table->fds[i]);
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
    bool rung = write(fd, &one, sizeof(one)) == sizeof(one) || errno == EAGAIN;

    errno = saved;
    return rung;
}

void evfd_clear(int fd)
{
    uint64_t count;
    int saved = errno;

    (void)!read(fd, &count, sizeof(count));
    errno = saved;
}
