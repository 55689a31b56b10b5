/* SPDX-License-Identifier: MIT */
/* life.h - a lock that lives exactly as long as the memory of the process that took it.
 *
 * Participant i holds an open-file-description lock (F_OFD_SETLK) on byte i of the arena's file.
 * The description is the participant's own. No descriptor refers to it, only a mapping of one
 * page that a forked child does not get. So the lock
 *  - stays when descriptors are closed, duplicated, passed on, or shared by CLONE_FILES;
 *  - stays while any thread lives, also when the main thread has ended;
 *  - goes with the address space: at death, also of a zombie, and when another program is
 *    executed, whatever it inherits.
 * Every handle has a page of its own.
 *
 * Where the file can't be opened again (the process has given up the rights to it, there is no
 * /proc) a record lock of the process (F_SETLK) takes its place. It is dropped when any
 * descriptor of the file is closed, so it proves less: LIFE_RECORD. */
#ifndef TR_IPC_LIFE_H
#define TR_IPC_LIFE_H

#include <stdbool.h>
#include <stdint.h>

enum life_kind {
    LIFE_RECORD, /* a free lock is no proof where there is other evidence */
    LIFE_MAPPED  /* the lock is free: the owner's memory is gone */
};

struct life {
    void *page; /* NULL: none */
    enum life_kind kind;
    uint32_t byte;
};

/* What is known of a byte. */
enum life_state { LIFE_FREE, LIFE_HELD, LIFE_UNKNOWN };

/* A description of its own of the file that @p fd (maybe O_PATH) refers to, for reading and
 * writing. The descriptor, or -errno. */
int life_open(int fd);

/* The same by the path that @p fd was opened by, for @p access (O_RDWR, O_RDONLY), and without
 * /proc, too. -ENOENT also: the path leads elsewhere by now. */
int life_open_path(int fd, const char *path, int access);

/* Take the byte. 0, -EAGAIN: somebody has it, or -errno. */
int life_take(struct life *life, int fd, uint32_t byte);

/* A record lock that was dropped is taken again. */
void life_renew(const struct life *life, int fd);

/* Give the byte back. Only in the process that took it. */
void life_end(struct life *life, int fd);

/* Whether anybody, this process included, holds the byte; @p fd is the arena's. */
enum life_state life_of(int fd, uint32_t byte);

/* A lock of the description of @p fd itself, without waiting. 0, -EAGAIN, -errno. */
int life_lock(int fd, uint32_t byte);
void life_unlock(int fd, uint32_t byte);

#endif
