/* SPDX-License-Identifier: MIT */
/* attempt.h - what a wait tries repeatedly. */
#ifndef TR_IPC_ATTEMPT_H
#define TR_IPC_ATTEMPT_H

#include <stdbool.h>

/* One try: 0 done; -EAGAIN not yet; another code ends the wait. */
typedef int wait_try(void *context);

/* Whether nothing can have changed since the last try: one load, for the spin. The checks that
 * matter, after an announcement and now and then, are tries. */
typedef bool wait_idle(const void *context);

#endif
