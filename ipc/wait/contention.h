/* SPDX-License-Identifier: MIT */
/* contention.h - whether spinning would take CPU time from another thread: all participants share
 * one processor, by number, affinity or the quota of their cgroup, or more threads are runnable
 * than the machine has processors. */
#ifndef TR_IPC_CONTENTION_H
#define TR_IPC_CONTENTION_H

#include "ipc/view.h"

/* Asks the kernel: some microseconds. */
bool cpu_contended(const struct self *me);

#endif
