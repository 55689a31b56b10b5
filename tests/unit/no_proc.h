/* SPDX-License-Identifier: MIT */
/* no_proc.h - a process that has no /proc, as in a bare chroot. */
#ifndef TR_TESTS_UNIT_NO_PROC_H
#define TR_TESTS_UNIT_NO_PROC_H

#include <sched.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <unistd.h>

/* Take /proc away, in a mount namespace of its own. False: that is not allowed here. */
static inline bool lose_proc(void)
{
    return unshare(CLONE_NEWNS) == 0 &&
           mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0 &&
           umount2("/proc", MNT_DETACH) == 0 && access("/proc/self", F_OK) < 0;
}

#endif
