/* SPDX-License-Identifier: MIT */
/* beyond.h - descriptors beyond the three standard ones.
 *
 * In a process that has closed its standard output, the next file that is opened becomes it by its
 * number: printed text would be written into the arena. So what is open for writing gets
 * a higher number. */
#ifndef TR_IPC_BEYOND_H
#define TR_IPC_BEYOND_H

/* The same file by a number above 2; @p fd is closed if it is not. It may be -1: then, and if there
 * is no number left, -1 with errno. */
int beyond_standard(int fd);

/* A duplicate by a number above 2 that is closed on exec, or -errno. */
int beyond_copy(int fd);

#endif
