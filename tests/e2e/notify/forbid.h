/* SPDX-License-Identifier: MIT */
/* forbid.h - a kernel without io_uring, as containers have it. */
#ifndef TESTS_E2E_NOTIFY_FORBID_H
#define TESTS_E2E_NOTIFY_FORBID_H

/* The three io_uring system calls fail with EPERM from here on, in this process and in its
 * children. 0, or -1 if there is no seccomp. */
int forbid_uring(void);

#endif
