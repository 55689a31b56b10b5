/* SPDX-License-Identifier: MIT */
#include "ipc/kernel/beyond.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int copy_beyond(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

int beyond_copy(int fd)
{
    int copy = copy_beyond(fd);

    return copy < 0 ? -errno : copy;
}

int beyond_standard(int fd)
{
    int high, saved;

    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    high = copy_beyond(fd);
    saved = errno;
    close(fd);
    errno = saved;
    return high;
}
