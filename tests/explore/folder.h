/* SPDX-License-Identifier: MIT */
/* folder.h - a model of /dev/shm for actors that are processes of their own: a name and the files
 * that have it, one after another; their bytes; open file descriptions with their locks;
 * descriptors and mappings. The calls of the real code come here by way of folder_calls.c.
 *
 * A file without a name and without descriptions is gone, and the next has its number. A
 * description without descriptors and mappings is gone, and its locks with it: so dies a
 * process. */
#ifndef TR_TESTS_FOLDER_H
#define TR_TESTS_FOLDER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "tests/explore/engine.h"

#define FOLDER_NAME  "n"
#define FOLDER_FILES 8

void folder_start(void);
bool folder_matters(const void *word);
uint64_t folder_hash(uint64_t hash);
void folder_killed(struct actor *actor);

/* Which file has the name, + 1; 0: none. */
uint32_t folder_named(void);

/* What happened to a file that had the name. */
struct past {
    bool asked; /* the name was taken away by an actor that was told to (actor.giving) */
    uint8_t late; /* bit set of actors that had not joined the arena then */
};
struct past folder_past(uint32_t file);

/* Bits of actor.hand: what was true at some time in its operation. */
#define HAND_PRESENT 1u
#define HAND_ABSENT  2u
void folder_look(struct actor *me); /* it begins */

/* Whether the actor that runs has a /proc. */
bool folder_proc(void);

/* The calls, of the actor that runs. -errno on failure. */
bool folder_owns(int fd);
bool folder_maps(const void *at);
int folder_open(const char *path, int flags);
int folder_close(int fd);
int folder_stat(int fd, struct stat *st);
int folder_stat_path(const char *path, struct stat *st);
int folder_resize(int fd, uint64_t bytes);
int folder_link(int fd);
int folder_unlink(const char *path);
/* @p record: a lock of the process, which any close of the file drops; not one of the
 * description. */
int folder_lock(int fd, short type, uint32_t byte, bool record);
bool folder_locked(int fd, uint32_t byte); /* by another description, or by a process */
void *folder_map(int fd, bool page);       /* NULL: no room */
void *folder_map_private(void);
int folder_unmap(void *at);
long folder_read(int fd, void *to, uint64_t bytes, uint64_t at);
long folder_write(int fd, const void *from, uint64_t bytes, uint64_t at);
bool folder_lists(bool begin); /* whether readdir() has a name */
int folder_pid(const struct actor *actor);
bool folder_lives(int pid);

#endif
