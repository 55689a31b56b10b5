/* SPDX-License-Identifier: MIT */
#include "ipc/memory/reserve.h"

#include <errno.h>
#include <fcntl.h>

#include "ipc/layout.h"

#define RESERVE_PIECE (UINT64_C(64) << 20)

/* Kernels before 6.10 undo a fallocate() that a signal interrupts, whatever it is for: less
 * at a time then, or a timer could keep it from ever coming to an end. */
static int reserve_piece(int fd, uint64_t at, uint64_t bytes)
{
    uint64_t step = bytes;

    while (bytes > 0) {
        uint64_t now = bytes < step ? bytes : step;

        if (fallocate(fd, 0, (off_t)at, (off_t)now) == 0) {
            at += now;
            bytes -= now;
        } else if (errno == EINTR) {
            step = now / 2 > ARENA_PAGE ? now / 2 : ARENA_PAGE;
        } else {
            return -errno;
        }
    }
    return 0;
}

int reserve_range(struct reservation *want, uint64_t at, uint64_t bytes)
{
    int result = 0;

    while (result == 0 && bytes > 0) {
        uint64_t now = bytes < RESERVE_PIECE ? bytes : RESERVE_PIECE;

        if (want->ask && want->asked - want->left >= RESERVE_PIECE) {
            if (!limits_memory("", want->left, want->shortage))
                return -ENOSPC;
            want->asked = want->left;
        }
        result = reserve_piece(want->fd, at, now);
        at += now;
        bytes -= now;
        want->left -= now;
    }
    if (result < 0 &&
        (result != -ENOSPC || !limits_full(want->fd, want->asked, want->shortage)))
        want->shortage->limit = SHORTAGE_KERNEL;
    return result;
}
