/* SPDX-License-Identifier: MIT */
/* uring_futex.h - a futex that epoll can wait for: an io_uring whose descriptor becomes readable
 * when a shared futex is woken (Linux 6.7). No descriptor changes hands, and a waker need
 * not know. Debian 12's liburing has no helper for it, so the entry is filled by hand.
 *
 * IORING_SETUP_SINGLE_ISSUER: a forked child that submits by mistake is refused, instead of
 * posting into its parent's ring. Not DEFER_TASKRUN: such a ring does not wake a poller of its
 * descriptor. Not COOP_TASKRUN: with it, a thread that arms and then computes would keep the
 * notice from another thread that polls. */
#ifndef TR_IPC_URING_FUTEX_H
#define TR_IPC_URING_FUTEX_H

#include <liburing.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct uring_futex {
    struct io_uring ring;
    pthread_t thread; /* that made the ring: only it may submit */
    bool open;
    bool waiting;      /* a wait is under way */
    uint64_t dev, ino; /* of the descriptor */
};

/* Whether it works here, proven once per process by a real wake-up. */
bool uring_futex_works(void);

/* A ring of the calling thread. 0, -errno. */
int uring_futex_open(struct uring_futex *uring);

/* Cancels what is under way. */
void uring_futex_close(struct uring_futex *uring);

/* What epoll waits for. */
int uring_futex_fd(const struct uring_futex *uring);

/* Whether the calling thread may arm it. */
bool uring_futex_mine(const struct uring_futex *uring);

/* Become readable when @p word is woken, or is not @p seen any more. 0, -errno. */
int uring_futex_arm(struct uring_futex *uring, const _Atomic uint32_t *word,
                    uint32_t seen);

/* Take what has happened; unreadable afterwards. */
void uring_futex_clear(struct uring_futex *uring);

#endif
