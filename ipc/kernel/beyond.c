/* SPDX-License-Identifier: MIT */
#include "ipc/kernel/beyond.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int beyond_standard(int fd)
{
    int high, saved;

    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    high = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    saved = errno;
    close(fd);
    errno = saved;
    return high;
}
