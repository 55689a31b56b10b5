/* SPDX-License-Identifier: MIT */
/* pollable.h - a descriptor that becomes readable when this participant's doorbell is rung.
 *
 *  eventfd  the one of the table that was inherited over the fork; relatives write to it
 *  uring    an io_uring waits for the doorbell; the waker makes a futex call
 *  fifo     in /dev/shm; the waker opens it by name
 *
 * All three mean the same. The waker signals each participant in the way that its entry asks
 * for, so that the kinds mix on one channel. Eventfd and FIFO belong to the participant, not to
 * the pollable: the thread that clears one wakes the other pollables of the process through a
 * descriptor of their own (wake_fd). */
#ifndef TR_IPC_POLLABLE_H
#define TR_IPC_POLLABLE_H

#include "ipc/signal/uring_futex.h"
#include "ipc/view.h"

enum pollable_kind { POLLABLE_NONE, POLLABLE_EVENTFD, POLLABLE_URING, POLLABLE_FIFO };

struct pollable {
    struct pollable *next;
    int wake_fd; /* eventfd that stays readable until it is cleared; the owner's */
    enum pollable_kind kind;
    struct uring_futex uring;
};

/* What TENSORING_NOTIFY asks for: POLLABLE_NONE if it is not set. -EINVAL: a word that means
 * nothing. */
int pollable_requested(enum pollable_kind *kind);

/* Open a pollable descriptor of the requested kind, or with POLLABLE_NONE of the best kind that
 * works here. 0, -EOPNOTSUPP: the requested kind does not work here, -EMFILE, -errno. */
int pollable_open(struct self *me, enum pollable_kind requested,
                  struct pollable *pollable);

/* Close it. POLLABLE_NONE is allowed. */
void pollable_close(struct self *me, struct pollable *pollable);

/* Drop the copy that a forked child has of its parent's, without touching the parent. */
void pollable_drop(struct pollable *pollable);

int pollable_fd(const struct self *me, const struct pollable *pollable);

/* The flags with which notify_arm() announces it. */
uint32_t pollable_flags(const struct pollable *pollable);

/* The doorbell was armed, and was @p seen. 0, or -errno: this pollable no longer works. */
int pollable_arm(struct self *me, struct pollable *pollable, uint32_t seen);

/* Make it unreadable, and tell the other pollables of the process. */
void pollable_clear(struct self *me, struct pollable *pollable);

/* Now and then: the user that may ring it has perhaps changed. */
void pollable_renew(struct self *me, struct pollable *pollable);

/* Every listener of this process looks again: threads and pollables. */
void pollable_wake_self(struct self *me);

/* Whether this thread should open another one: participants have come that cannot signal
 * this one, or it belongs to another thread. */
bool pollable_is_unfit(const struct self *me, const struct pollable *pollable,
                       enum pollable_kind requested);

#endif
