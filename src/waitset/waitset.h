/* SPDX-License-Identifier: MIT */
/* waitset.h - what a set holds, and how other kinds of channels get into one. */
#ifndef TR_SRC_WAITSET_H
#define TR_SRC_WAITSET_H

#include <pthread.h>
#include <tensoring/waitset.h>

#include "ipc/kernel/os.h"
#include "ipc/signal/pollable.h"
#include "src/arena/arena.h"
#include "src/message/loan_needs.h"

/* Anything that can be waited for. */
struct waitable {
    _Atomic uint32_t *word; /* items or room of a channel; NULL: a descriptor */
    /* The word is in no arena and has no listeners: its writer wakes it as a futex, and rings fd,
     * an eventfd that others wait for, too: it stays readable, and only its edges count. */
    bool outside;
    /* What of TR_WAIT_READABLE, TR_WAIT_WRITABLE, TR_WAIT_HUNGUP holds now: the look of wake.h. */
    uint32_t (*ready)(const struct waitable *what);
    /* When it will be ready by the clock alone, INT64_MAX: never. NULL: never. */
    int64_t (*due)(void *context);
    /* A forked child renews what belongs to one process: word and context become those of the
     * child's own. 0, or why there is none. NULL: it belongs to all. */
    int (*renew)(struct waitable *what);
    void *context;
    bool loan; /* a slot is waited for */
    struct loan_needs needs;
    int fd; /* -1, or the descriptor; for a word outside, none is not an error */
    uint32_t want;
};

struct member {
    struct waitable what;
    uint64_t token;
    uint64_t hint;  /* notify_hint_of() */
    uint32_t ready; /* of a descriptor, at the last look */
};

struct tr_waitset {
    struct handle handle;
    struct tr_arena *arena;
    pthread_mutex_t mutex;    /* of all below */
    _Atomic uint64_t owner;   /* local: holder_of() when it was set up: a child differs */
    _Atomic uint32_t changed; /* local: futex: members come and go, threads look again */
    struct member *members;
    uint32_t count, room;
    uint32_t next;        /* where to begin, so that all get their turn */
    uint32_t descriptors; /* members that are descriptors */
    uint32_t outside;     /* members whose word is in no arena */
    bool rung;            /* a thread has slept by the doorbell: changes ring it */
    /* The pollable descriptor, see waitset_fd.c. */
    int epoll;   /* -1: there is none */
    int wake_fd; /* eventfd: readable until it is cleared */
    int timer;
    int64_t timer_at; /* when it will be readable */
    struct pollable pollable;
    enum pollable_kind requested;
    int pidfds;             /* pidfds.h's descriptor, if it is in there; -1 */
    uint32_t pidfds_serial; /* which one of that number */
    bool deaf;              /* it could not be put in there */
    bool armed;             /* unreadable, and rung when something comes */
    uint32_t idle_slices;   /* ticks since something came */
};

static inline struct tr_waitset *waitset_known(const tr_waitset *given)
{
    return handle_known(given);
}

/* The arena goes. */
void waitset_orphan(const struct tr_arena *arena);

/* A new set is this process's. */
void waitset_set_up(tr_waitset *set);

/* Join, if we are in a child; and make the set the child's own. 0, or why it can't be. */
int waitset_enter(tr_waitset *set);

/* Which rings are for what is waited for. */
uint64_t waitset_hint_of(const tr_waitset *set, const struct waitable *what);

/* Add any kind of channel. 0, TR_EINVAL, TR_ENOSPC, TR_ENOMEM. */
int waitset_add(tr_waitset *set, const struct waitable *what, uint64_t token);

/* Whether members are told by the doorbell instead of one by one. */
bool waitset_by_doorbell(const tr_waitset *set);

/* Become a listener of all members. */
void waitset_listen(tr_waitset *set);

/* Check the members; returns how many events were written. */
size_t waitset_look(tr_waitset *set, tr_event *events, size_t capacity);

/* When the first of the members will be ready by the clock alone, or INT64_MAX. */
int64_t waitset_due(const tr_waitset *set);

/* How often a descriptor is readable for nothing, at most. Tests make it an hour, so that a lost
 * wake-up shows. */
extern int64_t waitset_slice_ns;

/* These are in waitset_fd.c; the set is locked. */
int waitset_fd_open(tr_waitset *set);
void waitset_fd_close(tr_waitset *set);
void waitset_fd_drop(tr_waitset *set);
int waitset_fd_watch(tr_waitset *set, const struct waitable *what);
void waitset_fd_watch_outside(tr_waitset *set, const struct waitable *what);
void waitset_fd_unwatch(tr_waitset *set, const struct waitable *what);
/* Which of the descriptors are ready: into their members. */
void waitset_fd_look(tr_waitset *set);
/* Unreadable until something comes. */
void waitset_fd_arm(tr_waitset *set);
/* Readable: something is there, or members have come or gone. */
void waitset_fd_wake(tr_waitset *set);
/* Something is ready: the descriptor must say so. */
void waitset_fd_level(tr_waitset *set);

#endif
