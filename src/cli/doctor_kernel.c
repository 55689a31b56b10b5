/* SPDX-License-Identifier: MIT */
/* System calls that tensoring can use, asked for themselves: a container's filter may forbid
 * what the kernel has. */
#include <errno.h>
#include <linux/io_uring.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "doctor.h"

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

static const char *why(int result)
{
    switch (result) {
    case ENOSYS:
        return "this kernel does not have it";
    case EPERM:
    case EACCES:
        return "it is forbidden here (a container's filter, or a sysctl)";
    default:
        return strerrordesc_np(result);
    }
}

static void look_at_version(struct findings *to)
{
    struct utsname name;

    if (!uname(&name))
        text_of(found(to, "kernel", FINE), "%s %s, %s", name.sysname, name.release,
                name.machine);
}

/* Whether a ring knows this operation. */
static bool ring_knows(int ring, unsigned operation)
{
    enum { OPERATIONS = 256 };
    struct io_uring_probe *probe = calloc(
        1, sizeof(*probe) + OPERATIONS * sizeof(struct io_uring_probe_op));
    bool known;

    if (!probe)
        return false;
    known = syscall(SYS_io_uring_register, ring, IORING_REGISTER_PROBE, probe,
                    OPERATIONS) >= 0 &&
            operation <= probe->last_op &&
            (probe->ops[operation].flags & IO_URING_OP_SUPPORTED);
    free(probe);
    return known;
}

static void look_at_io_uring(struct findings *to)
{
    enum { FUTEX_WAITV = 53 }; /* IORING_OP_FUTEX_WAITV, which older headers lack */
    struct io_uring_params params;
    struct finding *one;
    int ring;

    memset(&params, 0, sizeof(params));
    ring = (int)syscall(SYS_io_uring_setup, 2, &params);
    if (ring < 0) {
        one = found(to, "io_uring", NOTE);
        text_of(one, "not available: %s", why(errno));
        advise(one,
               "event loops use eventfds or FIFOs instead, files are read by threads; "
               "see /proc/sys/kernel/io_uring_disabled, or docker's --security-opt "
               "seccomp=...");
        return;
    }
    one = found(to, "io_uring", ring_knows(ring, FUTEX_WAITV) ? FINE : NOTE);
    text_of(one, one->verdict == FINE
                     ? "there, with futexes"
                     : "there, without futexes (Linux 6.7): event loops use "
                       "eventfds or FIFOs instead");
    close(ring);
}

static void look_at_futex_waitv(struct findings *to)
{
    /* No waiter: EINVAL if the call is there. */
    struct finding *one;

    syscall(SYS_futex_waitv, NULL, 0, 0, NULL, 0);
    one = found(to, "futex_waitv", errno == EINVAL ? FINE : NOTE);
    text_of(one, "%s", one->verdict == FINE ? "there" : why(errno));
    if (one->verdict != FINE)
        advise(one, "waiting on several channels takes more system calls (Linux 5.16)");
}

static void look_at_pidfd(struct findings *to)
{
    int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    struct finding *one = found(to, "pidfd", fd < 0 ? WARN : FINE);

    text_of(one, "%s", fd < 0 ? why(errno) : "there");
    if (fd < 0)
        advise(one, "tr_pool and tensoring run need it (Linux 5.4)");
    else
        close(fd);
}

static void look_at_memfd(struct findings *to)
{
    int fd = memfd_create("tensoring-doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct finding *one = found(to, "memfd", fd < 0 ? BAD : FINE);

    text_of(one, "%s", fd < 0 ? why(errno) : "there, with seals");
    if (fd < 0)
        advise(one, "anonymous arenas need it (Linux 3.17)");
    else
        close(fd);
}

void examine_kernel(struct findings *to)
{
    look_at_version(to);
    look_at_memfd(to);
    look_at_pidfd(to);
    look_at_futex_waitv(to);
    look_at_io_uring(to);
}
