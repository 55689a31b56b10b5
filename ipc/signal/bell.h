/* SPDX-License-Identifier: MIT */
/* bell.h - a descriptor that becomes readable when this participant's doorbell is rung.
 *
 *  eventfd  the one of the table that was inherited over the fork; relatives write to it
 *  uring    an io_uring waits for the doorbell; who rings makes a futex call
 *  fifo     in /dev/shm; who rings opens it by name
 *
 * All three mean the same; who rings serves each as it wants to be served, so that they mix
 * on one channel. Eventfd and FIFO belong to the participant, not to the bell: who
 * clears one wakes the other bells of the process by a descriptor of their own (kick). */
#ifndef TR_IPC_BELL_H
#define TR_IPC_BELL_H

#include "ipc/signal/uring.h"
#include "ipc/view.h"

enum bell_kind { BELL_NONE, BELL_EVENTFD, BELL_URING, BELL_FIFO };

struct bell {
    struct bell *next;
    int kick; /* eventfd that stays readable until it is cleared; the owner's */
    enum bell_kind kind;
    struct uring uring;
};

/* What TENSORING_NOTIFY asks for: BELL_NONE if it is not set. -EINVAL: a word that means
 * nothing. */
int bell_wish(enum bell_kind *kind);

/* Hang up a bell of the wished kind, or with BELL_NONE of the best that works here.
 * 0, -EOPNOTSUPP: the wished kind does not work here, -EMFILE, -errno. */
int bell_open(struct peer *me, enum bell_kind wish, struct bell *bell);

/* Take it down. NONE is allowed. */
void bell_close(struct peer *me, struct bell *bell);

/* In a forked child: drop the copy of the parent's, without touching the parent. */
void bell_drop(struct bell *bell);

int bell_fd(const struct peer *me, const struct bell *bell);

/* With what notify_arm() announces it. */
uint32_t bell_flags(const struct bell *bell);

/* The doorbell was armed, and was @p seen. 0, or -errno: this bell works no more. */
int bell_arm(struct peer *me, struct bell *bell, uint32_t seen);

/* Make it unreadable, and tell the other bells of the process. */
void bell_clear(struct peer *me, struct bell *bell);

/* Now and then: the user that may ring it has perhaps changed. */
void bell_renew(struct peer *me, struct bell *bell);

/* All who listen in this process look again: threads and bells. */
void bell_wake_self(struct peer *me);

/* Whether this thread should hang up another one: participants have come that cannot ring
 * this one, or it belongs to another thread. */
bool bell_unfit(const struct peer *me, const struct bell *bell, enum bell_kind wish);

#endif
