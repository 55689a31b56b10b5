/* SPDX-License-Identifier: MIT */
/* contention.h - whether a processor that spins is taken from somebody: there is only one for all
 * participants, by number, affinity or the quota of their cgroup, or more threads of the
 * machine are runnable than it has. */
#ifndef TR_IPC_CONTENTION_H
#define TR_IPC_CONTENTION_H

#include "ipc/view.h"

/* Asks the kernel: some microseconds. */
bool cpu_contended(const struct self *me);

#endif
