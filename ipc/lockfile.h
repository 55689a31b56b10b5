/* SPDX-License-Identifier: MIT */
/* lockfile.h - record locks (F_SETLK) on the arena's own file tell who lives.
 *
 * Byte i is held by participant i; the kernel drops it when the process ends, also of a
 * zombie, and a forked child does not inherit it. Closing any descriptor of the file drops
 * every lock the process has on it. Hence one descriptor a process and file, kept in a table
 * for the whole process, however many handles there are; and hence the second witness in
 * participant.h. The table vanishes in a forked child (MADV_WIPEONFORK). */
#ifndef TR_IPC_LOCKFILE_H
#define TR_IPC_LOCKFILE_H

#include <stdbool.h>
#include <stdint.h>

/* The process-wide descriptor of the file that @p path_fd (maybe O_PATH) refers to, which is
 * taken over. With @p adopt it becomes that descriptor, if there is none yet; else one is
 * opened for reading and writing. The descriptor, or -errno. */
int lockfile_enter(int path_fd, bool adopt);

/* One handle less; the last one closes the descriptor. */
void lockfile_leave(int fd);

/* Whether this process has the file open: then it must not be opened and closed. */
bool lockfile_known(uint64_t dev, uint64_t ino);

/* Take the byte for this process and handle. 0, -EAGAIN: somebody has it (maybe another
 * handle of this process), or -errno. */
int lockfile_claim(int fd, uint32_t byte);

/* Take a byte again that this process claimed and may have lost. */
void lockfile_renew(int fd, uint32_t byte);

void lockfile_release(int fd, uint32_t byte);

/* Whether anybody, this process included, holds the byte. */
bool lockfile_held(int fd, uint32_t byte);

/* A shared or exclusive lock of a byte for a short while. 0, -EAGAIN, -errno. */
int lockfile_gate(int fd, uint32_t byte, bool exclusive, bool wait);
void lockfile_ungate(int fd, uint32_t byte);

#endif
