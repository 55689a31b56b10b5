/* SPDX-License-Identifier: MIT */
/* request.h - the way back of a request: slot_record.reply_to.
 *
 *  bits 0-11 inbox | 12-61 ticket | 62 it is a request | 63 spoilt
 *
 * An inbox is a queue that only its owner receives from. It belongs to a participant's index;
 * the ticket, which never comes back, tells replies to an earlier owner, or to a request that
 * was given up, from those that are waited for. A reply is a message in the inbox with the
 * same word; it may be the request's own slot. Who begins to write a reply into that spoils
 * the request first: should it die, the next server must not have it.
 *
 * When a server dies and its request is not to be redelivered, the slot itself becomes the
 * notice: ORPHAN, named for the requester. Who gets a message out of its inbox that was in
 * another channel last knows that there will be no reply.
 *
 * Nobody's reply stays behind: who put one, or a notice, then changes the requester's entry
 * from LIVE to LIVE. Did the reaper close the entry before, this fails, and the slot is
 * taken back; did it close it after, it read that change, and its sweep finds the slot. */
#ifndef TR_IPC_REQUEST_H
#define TR_IPC_REQUEST_H

#include "ipc/channel.h"

/* channel.extra of an inbox: index of its owner, + 1. 0: a plain queue. */
enum { INBOX_OWNER = 0 };

#define ROUTE_REQUEST       (UINT64_C(1) << 62)
#define ROUTE_SPOILT        (UINT64_C(1) << 63)
#define ROUTE_TICKET(word)  ((word) >> 12 & ((UINT64_C(1) << 50) - 1))
#define ROUTE_CHANNEL(word) ((uint32_t)((word)&0xfff))

static inline uint64_t route_word(uint32_t inbox, uint64_t ticket)
{
    return ROUTE_REQUEST | ticket << 12 | inbox;
}

static inline bool route_is_request(uint64_t word)
{
    return word & ROUTE_REQUEST;
}

/* Where a request wants its reply. */
struct route {
    uint32_t who; /* the requester's entry */
    struct ring inbox;
};

/* False: it is no request, or a rule is broken. */
bool route_read(const struct view *view, uint64_t word, struct route *route);

/* Make a queue that we opened our inbox. */
void inbox_own(struct peer *me, uint32_t channel);

/* Put a reply that @p me holds into an inbox. 0; -EAGAIN: no room, it is held as it was;
 * -EPIPE: the requester is dead, the slot is free. */
int request_answer(struct peer *me, struct route *route, uint32_t slot);

/* Take a request back that nobody has received. Whether it was there; it is free then. */
bool request_retract(struct peer *me, uint32_t slot, uint32_t channel, uint64_t route);

/* Whether the request in a slot must not be redelivered. */
bool request_is_spoilt(const struct view *view, uint32_t slot);

/* For the reaper. @p word is RECEIVED by a dead one, and not to be redelivered: tell the
 * requester. False: there is none who lives, or the word has changed. */
bool request_bounce(const struct view *view, uint32_t slot, uint64_t word);

/* For the reaper. Of a slot that is QUEUED or ORPHAN: whether it is for a dead requester. */
bool request_unwanted(const struct view *view, uint32_t slot, uint64_t word);

/* The channel whose receivers a slot that is ORPHAN waits for. */
uint32_t orphan_channel(const struct view *view, uint32_t slot, uint64_t word);

/* Say that a channel may have orphans, and wake. */
void orphan_announce(const struct view *view, struct channel *channel);

#endif
