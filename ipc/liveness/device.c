/* SPDX-License-Identifier: MIT */
#include "ipc/liveness/device.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/kernel/beyond.h"
#include "ipc/kernel/unforked.h"

/* One for each incarnation: a descriptor that an earlier owner of the entry has left open does not
 * affect a later one. */
static struct flock byte_of(uint32_t who, uint32_t inc, short type)
{
    return (struct flock){.l_type = type,
                          .l_whence = SEEK_SET,
                          .l_start = LOCK_DEVICE + (off_t)inc * MAX_PARTICIPANTS + who,
                          .l_len = 1};
}

int device_lock(const struct view *view, uint32_t who, uint32_t inc)
{
    struct flock lock = byte_of(who, inc, F_RDLCK);
    int arena = view_fd(view), fd = arena < 0 ? -EBADF : life_open(arena), result;

    if (fd < 0 || fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return fd;
    result = -errno;
    close(fd);
    return result;
}

/* Send @p fd to the other end. */
static int put_into(int socket, int fd)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(fd))];
    } control = {.head = {.cmsg_level = SOL_SOCKET,
                          .cmsg_type = SCM_RIGHTS,
                          .cmsg_len = CMSG_LEN(sizeof(fd))}};
    char nothing = 0;
    struct iovec byte = {&nothing, 1};
    struct msghdr message = {.msg_iov = &byte,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};

    memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
    return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == 1 ? 0 : -errno;
}

static int lock_last(const struct view *view, uint32_t who, uint32_t inc)
{
    int ends[2], result, fd = device_lock(view, who, inc);

    if (fd < 0)
        return fd;
    result = socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) < 0 ? -errno : 0;
    if (result == 0) {
        result = put_into(ends[0], fd);
        close(ends[0]);
        if (result < 0)
            close(ends[1]);
    }
    close(fd);
    if (result < 0)
        return result;
    fd = beyond_standard(ends[1]);
    return fd < 0 ? -errno : fd;
}

int device_lock_last(const struct view *view, uint32_t who, uint32_t inc)
{
    int result;

    unforked_begin();
    result = lock_last(view, who, inc);
    unforked_end();
    return result;
}

bool device_busy(const struct view *view, uint32_t who, uint32_t inc)
{
    struct flock lock = byte_of(who, inc, F_WRLCK);
    int saved = errno;
    bool busy = fcntl(view_fd(view), F_OFD_GETLK, &lock) < 0 || lock.l_type != F_UNLCK;

    errno = saved;
    return busy;
}
