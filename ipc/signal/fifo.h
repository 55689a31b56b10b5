/* SPDX-License-Identifier: MIT */
/* fifo.h - a FIFO for each participant that wants to be told by descriptor where neither
 * eventfds were inherited nor io_uring is allowed. The listener makes it under a name that holds
 * the arena's nonce and a random key, which its entry tells; a waker opens it once, and keeps it
 * open. Nobody else can know the name before the file is there: another user that makes files by
 * the names that come next cannot prevent listening.
 *
 * A listener that leaves removes the name, the reaper does it for the dead. Where nobody is left
 * to reap, a sweep does it: of names whose FIFO nobody reads, for the kernel closes what a dead
 * one had open, whatever pid namespace it lived in. That is proof, because
 *  - a FIFO is made and opened under another name (".new"), and renamed then: what bears its
 *    name has a reader from the beginning. A sweep may take the ".new" from under a living
 *    maker, which then finds that it can't be renamed, and makes another;
 *  - the name is removed before the FIFO is closed, and not used again: the next FIFO of the
 *    same listener has another key. (So a waker that had the last one open rings the right one,
 *    too.)
 * A lock or a pid in the name would prove as little, and a pid means nothing elsewhere. */
#ifndef TR_IPC_FIFO_H
#define TR_IPC_FIFO_H

#include "ipc/view.h"

#define FIFO_PATH 96

struct fifo_cache {
    struct {
        uint64_t key;
        int fd;       /* + 1, 0: not open */
        uint64_t ino; /* of the FIFO, in case the number is another file's by now */
        bool writer;  /* we may not read: writing to one that died is a signal */
    } of[MAX_PARTICIPANTS];
};

/* A key that nobody can guess. */
uint64_t fifo_new_key(void);

void fifo_path(const struct view *view, uint64_t key, char path[FIFO_PATH]);

/* The listener's end of a new FIFO. The descriptor; -EAGAIN: somebody made a file by that name,
 * or a sweep came between, so try another key; -errno. */
int fifo_make(const struct view *view, uint64_t key);

/* What tells its file from another that the number may stand for later; 0: none. */
uint64_t fifo_inode(int fd);

/* Close it if it still is the FIFO of that inode. */
void fifo_close(int fd, uint64_t ino);

/* Let the users of the arena signal it: its group if the arena has one, and everybody,
 * for writing alone, as soon as there are participants of other users. 0600 otherwise. */
void fifo_permit(const struct view *view, int fd);

/* Remove the name. Nothing happens if there is none. */
void fifo_remove(const struct view *view, uint64_t key);

/* Make the FIFO of participant @p who readable. Callers take turns. False: it can't be told. */
bool fifo_ring(const struct view *view, struct fifo_cache *cache, uint32_t who,
               uint64_t key);

/* The same without the cache, for callers that cannot use it now. */
bool fifo_ring_once(const struct view *view, uint64_t key);

/* Make it unreadable. */
void fifo_clear(int fd);

void fifo_forget(struct fifo_cache *cache, uint32_t who);
void fifo_cache_close(struct fifo_cache *cache);

/* Remove our own names (of this user) whose listeners are gone; how many. */
uint32_t fifo_sweep(void);

#endif
