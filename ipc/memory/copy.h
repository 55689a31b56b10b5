/* SPDX-License-Identifier: MIT */
/* copy.h - the copy into shared memory. For large ones `rep movsb` can beat memcpy, since it
 * does not leave the lines dirty in the writer's cache; which one is found out by a short
 * calibration when an arena is made, and kept in it. */
#ifndef TR_IPC_COPY_H
#define TR_IPC_COPY_H

#include <stddef.h>
#include <stdint.h>

enum copy_routine { COPY_MEMCPY, COPY_MOVSB };

/* Below this both are equally fast. */
#define COPY_LARGE ((size_t)256 << 10)

void copy_bytes(void *to, const void *from, size_t n);

/* Measure: some milliseconds. */
enum copy_routine copy_calibrate(void);

/* Use @p routine in this process from now on, if it is there. */
void copy_choose(enum copy_routine routine);

#endif
