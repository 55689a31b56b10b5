/* SPDX-License-Identifier: MIT */
#include "ipc/memory/backing.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "ipc/memory/reserve.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* The program has closed the descriptor, and may have a file of its own by that number. */
static int populate(const struct view *view, uint64_t off, uint64_t bytes)
{
    if (madvise(view->base + off, bytes, MADV_POPULATE_WRITE) == 0)
        return 0;
    return errno == EFAULT ? -ENOSPC : -errno;
}

int backing_reserve(const struct view *view, uint64_t off, uint64_t bytes,
                    struct shortage *shortage)
{
    struct reservation want = {.fd = view_fd(view),
                               .ask = !(view->geo.flags & SEGMENT_OVERCOMMIT),
                               .left = bytes,
                               .asked = bytes,
                               .shortage = shortage};

    if (want.ask && !limits_spend(bytes, shortage))
        return -ENOSPC;
    return want.fd < 0 ? populate(view, off, bytes) : reserve_range(&want, off, bytes);
}

int backing_punch(const struct view *view, uint64_t off, uint64_t bytes)
{
    int fd = view_fd(view);
    int result = fd < 0 ? madvise(view->base + off, bytes, MADV_REMOVE)
                        : fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                    (off_t)off, (off_t)bytes);

    return result < 0 ? -errno : 0;
}
