/* SPDX-License-Identifier: MIT */
/* number.h - which handle has a descriptor's number.
 *
 * A program that closes all descriptors, as daemons do, leaves handles with closed numbers. A
 * later handle may get one of these numbers, even for the same file: then the later handle owns
 * it, and the earlier one must not close it. */
#ifndef TR_IPC_NUMBER_H
#define TR_IPC_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

/* A descriptor has just been opened: the number is the caller's, whichever handle
 * had it before. Returns the argument for number_is_ours(). */
uint64_t number_take(int fd);

/* Whether nobody has taken the number since. */
bool number_is_ours(int fd, uint64_t taken);

#endif
