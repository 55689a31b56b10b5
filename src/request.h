/* SPDX-License-Identifier: MIT */
/* request.h - what this process has asked, and its inbox. */
#ifndef TR_SRC_REQUEST_H
#define TR_SRC_REQUEST_H

#include <tensoring/request.h>

#include "ipc/request.h"
#include "src/message.h"
#include "src/queue.h"

/* A request in flight. Word: bits 0-1 phase | bit 2 asynchronous | 3-63 generation. */
enum phase { PENDING_NOT, PENDING, PENDING_TAKING, PENDING_READY };

struct pending {
    _Atomic uint64_t word; /* local: */
    _Atomic uint32_t slot; /* local: of the request; when READY, of what came */
    tr_queue *queue;       /* it was sent to */
};

/* Of one participant: a forked child makes its own. */
struct inbox {
    struct tr_arena *arena;
    tr_queue *queue;
    struct inbox *older;    /* the parent's, before a fork: kept until the end */
    uint64_t holder;        /* holder_of() when it was made */
    _Atomic uint32_t next;  /* local: hint, a pending that is free */
    _Atomic uint32_t ready; /* local: how many asynchronous ones are READY */
    struct pending pending[TR_MAX_REQUESTS];
};

/* The inbox of this participant, made on first use. 0, TR_ENOSPC, TR_ENOMEM, ... */
int inbox_get(struct tr_arena *arena, struct inbox **out);
void inbox_free(struct inbox *inbox);

/* Make a ticket. 0, TR_ENOSPC. */
int pending_open(struct inbox *inbox, bool async, tr_queue *queue, uint32_t slot,
                 uint64_t *ticket);

/* End one that still waits. False: it does not any more. */
bool pending_close(struct inbox *inbox, uint64_t ticket);

/* What came for a ticket, whose slot is now ours. 0; -EAGAIN: nothing yet; -ESTALE: the
 * ticket has ended. */
int pending_take(struct inbox *inbox, uint64_t ticket, uint32_t *slot);

/* What came for any asynchronous one. 0, -EAGAIN. */
int pending_take_any(struct inbox *inbox, uint64_t *ticket, uint32_t *slot);

/* Whether a message comes from a queue and asks for a reply. */
bool message_is_request(const struct message *message);

/* For tr_release(): an unanswered request is let go. Whether it is gone. */
bool request_let_go(struct message *message);

#endif
