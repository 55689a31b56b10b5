/* SPDX-License-Identifier: MIT */
/* enter_bind.h - which processors the threads of this process run on. */
#ifndef TR_SRC_ENTER_BIND_H
#define TR_SRC_ENTER_BIND_H

#include <sys/types.h>

#include <tensoring/plan.h>

/* The mask of the calling thread. 0 or -errno. */
int bind_get(tr_cpuset *out);

/* Move every thread of process @p pid (0: this one), those included that are born
 * meanwhile. *tasks counts them; may be NULL. 0 or -errno. */
int bind_process(pid_t pid, const tr_cpuset *set, uint32_t *tasks);

#endif
