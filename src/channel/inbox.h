/* SPDX-License-Identifier: MIT */
/* inbox.h - requests of this process, and where the replies come. */
#ifndef TR_SRC_INBOX_H
#define TR_SRC_INBOX_H

#include <tensoring/request.h>

#include "src/arena/arena.h"

/* A request in flight. Word: bits 0-1 phase | 2 asynchronous | 3 being sent | 4-63 generation.
 * TAKING: a thread is between two stores. */
enum phase { PENDING_NONE, PENDING, PENDING_TAKING, PENDING_READY };

struct pending {
    _Atomic uint64_t word;       /* local: */
    _Atomic uint32_t slot;       /* local: of the request; when READY, of what came */
    _Atomic uint32_t channel;    /* local: of the queue it was sent to */
    _Atomic int64_t deadline_ns; /* local: INT64_MAX: none */
};

/* One participant's: a forked child makes its own. */
struct inbox {
    struct tr_arena *arena;
    tr_queue *queue;
    struct inbox *older;        /* the parent's, before a fork: kept until the end */
    uint64_t holder;            /* holder_of() when it was made */
    _Atomic uint32_t next;      /* local: hint, a pending that is free */
    _Atomic uint32_t ready;     /* local: how many asynchronous ones are READY */
    _Atomic int64_t soonest_ns; /* local: the first deadline of an asynchronous one */
    _Atomic uint64_t *tickets;  /* shared: whether each still waits */
    struct pending pending[TR_MAX_REQUESTS];
};

/* The inbox of this participant, made on first use. 0, TR_ENOSPC, TR_ENOMEM, ... */
int inbox_get(struct tr_arena *arena, struct inbox **out);
void inbox_free(struct inbox *inbox);

/* The same, if there is one: NULL, and this participant has asked nothing yet. */
struct inbox *inbox_there(const struct tr_arena *arena);

/* What a ticket is made for. */
struct asking {
    uint32_t slot, channel;
    int64_t deadline_ns; /* INT64_MAX: none */
    bool async;
};

/* Make a ticket. It does not run out before pending_sent(). 0, TR_ENOSPC. */
int pending_open(struct inbox *inbox, const struct asking *asking, uint64_t *ticket);
void pending_sent(struct inbox *inbox, uint64_t ticket);

/* What a ticket was made for. False: it has ended. */
bool pending_look(struct inbox *inbox, uint64_t ticket, struct asking *asking);

/* End one that still waits, and drop what came for it. False: it does not any more. */
bool pending_close(struct inbox *inbox, uint64_t ticket);

/* End an asynchronous one whose deadline has come without a reply. False:
 * there is none. */
bool pending_expired(struct inbox *inbox, uint64_t *ticket, struct asking *asking);

/* Whether there may be one. */
bool pending_overdue(const struct inbox *inbox);

/* What came for a ticket, whose slot is now ours. 0; -EAGAIN: nothing yet; -ESTALE: the
 * ticket has ended. */
int pending_take(struct inbox *inbox, uint64_t ticket, uint32_t *slot);

/* What came for any asynchronous one. 0, -EAGAIN. */
int pending_take_any(struct inbox *inbox, uint64_t *ticket, uint32_t *slot);

#endif
