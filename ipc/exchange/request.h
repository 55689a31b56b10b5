/* SPDX-License-Identifier: MIT */
/* request.h - the way back of a request: slot_record.reply_to.
 *
 *  bits 0-11 inbox | 12-61 ticket | 62 it is a request | 63 not redelivered
 *
 * An inbox is a queue that only its owner receives from. It belongs to a participant's index;
 * the ticket, which never comes back, tells replies to an earlier owner, or to a request that
 * was given up, from those that are waited for. A reply is a message in the inbox with the
 * same word; it may be the request's own slot. A server that begins to write
 * a reply into that forbids its redelivery first: if it dies, the next server must not get it.
 *
 * When a server dies and its request must not be redelivered, the slot itself becomes the
 * notice: ORPHAN, named for the requester. One that gets a message out of its inbox that was in
 * another channel last knows that there will be no reply.
 *
 * Behind the cells of an inbox lies one word for each request that may be in flight: it says
 * whether that ticket still waits. Nobody's reply stays behind (E17, all seq_cst):
 *
 *  server     puts the reply;   looks at the ticket: ended? takes the reply back
 *  requester  ends the ticket;  looks into the inbox, takes out what is there
 *
 * Either the server's look finds that the ticket has ended, or the put came before the end,
 * and the requester's look finds the reply. The reaper does for the dead what a requester does
 * that gives up. A requester that is stopped between its steps leaves a reply that nobody
 * waits for, and so does a server, or a request that two servers have answered: any process that
 * needs memory frees it. All of them change the whole word that they saw or put, so none can
 * take a slot that another owns by now.
 *
 * Nobody waits for room in an inbox. If its ring is full the slot itself becomes the reply:
 * ORPHAN, named for nobody, at the inbox and in none of its cells. */
#ifndef TR_IPC_REQUEST_H
#define TR_IPC_REQUEST_H

#include "ipc/exchange/channel.h"
#include "ipc/path.h"
#include "ipc/route_word.h"

/* channel.extra of an inbox: index of its owner, + 1; 0: a plain queue. How many tickets. */
enum { INBOX_OWNER = 0, INBOX_TICKETS = 1 };

/* The word of a ticket that still waits, and of one that no longer does; 0: none was given out. The
 * last one stays: the next owner of the inbox goes on from there. */
#define TICKET_ENDED         (UINT64_C(1) << 63)
#define TICKET_WAITS(ticket) ((ticket) + 1)
#define TICKET_OVER(ticket)  (TICKET_WAITS(ticket) | TICKET_ENDED)
#define TICKET_LAST(word)    (((word) & ~TICKET_ENDED) - 1)

/* Where a request wants its reply. */
struct route {
    uint32_t who; /* the requester's entry */
    struct ring inbox;
    _Atomic uint64_t *ticket; /* its word */
    uint64_t waits;           /* what that is while somebody waits */
};

/* A request that was received is answered soon: the line of its ticket, which the requester
 * wrote, comes while there is other work. A guess: nothing is checked, or read through it. */
PATH void route_fetch(const struct view *view, uint64_t word)
{
    const struct channel *inbox = view_channel(view, ROUTE_CHANNEL(word));
    uint64_t at, tickets;

    if (ROUTE_CHANNEL(word) >= view->geo.channel_count)
        return;
    tickets = shm_get(&inbox->extra[INBOX_TICKETS]);
    at = shm_get(&inbox->capacity) + (ROUTE_TICKET(word) & (tickets - 1));
    __builtin_prefetch(view->base + shm_get(&inbox->ring_off) + 8 * at);
}

/* False: it is not a request, or is corrupted. */
bool route_read(const struct view *view, uint64_t word, struct route *route);

/* Make a queue that we opened our inbox, with room for that many tickets, a power of two,
 * behind its cells. Their words; NULL: there is no such room. */
_Atomic uint64_t *inbox_own(struct self *me, uint32_t channel, uint32_t tickets);

/* End a ticket of ours that nobody waits for any more; @p drain then takes everything out of
 * the inbox. */
void ticket_give_up(_Atomic uint64_t *ticket, void (*drain)(void *context),
                    void *context);

/* Put a reply that @p me holds into an inbox. False: nobody waits for it, the slot is free.
 * Lock-free. */
bool request_answer(struct self *me, struct route *route, uint32_t slot);

/* Take a request back that nobody holds. Whether it was there; it is free then. */
bool request_retract(const struct view *view, uint32_t slot, uint64_t route);

/* Whether a cell names the slot, which @p word says is queued. Until then its sender, if it
 * lives, is between its steps, and writes the slot as its own. */
bool slot_is_placed(const struct view *view, uint32_t slot, uint64_t word);

/* Somebody needs a slot of class @p c: free replies that nobody waits for. Whether there may
 * be a free one now. */
bool request_collect(const struct view *view, uint32_t c);

/* Whether what a dead server had in its slot may be redelivered: not if it is a request that
 * the server has written into, or that was given up. */
bool request_is_good(const struct view *view, uint32_t slot);

/* For the reaper. @p word is RECEIVED by a dead one, and must not be redelivered: tell the
 * requester. False: there is none that waits, or the word has changed. */
bool request_fail_to_requester(const struct view *view, uint32_t slot, uint64_t word);

/* For the reaper, before it sweeps the slots: all tickets of @p who end, and what was put into
 * its inbox before is seen. */
void request_end_all(const struct view *view, uint32_t who);

/* For the reaper: whether a slot that is QUEUED or ORPHAN is for a dead requester. */
bool request_is_unclaimed(const struct view *view, uint32_t slot, uint64_t word);

#endif
