/* SPDX-License-Identifier: MIT */
/* outgoing.h - from a channel of this arena to the other side. */
#ifndef TR_BRIDGE_OUTGOING_H
#define TR_BRIDGE_OUTGOING_H

#include "bridge.h"

/* Receive what there is a place in the window for, and send what there is room for. */
void outgoing_pump(struct bridge *bridge, struct channel *channel);

/* The other side has answered. False: it broke the rules. */
bool outgoing_receipt(struct lane *lane, uint64_t number);
bool outgoing_declined(struct bridge *bridge, struct lane *lane, uint64_t number,
                       const char *why);

/* Out, a board: a key that has a value there. False: it broke the rules. */
bool outgoing_key(struct lane *lane, struct wire_in *in);

/* Out, a service: the answer to a request, or why there is none. 0: it was handed to the requester,
 * which has the reply now; or a TR_E code. */
int outgoing_reply(struct lane *lane, uint64_t number, tr_message *reply);
bool outgoing_failed(struct lane *lane, uint64_t number, int32_t code, const char *why);

/* In, a service: the same, to be sent. The reply is taken over. */
void outgoing_answer(struct lane *lane, uint64_t number, tr_message *reply);
void outgoing_fault(struct lane *lane, uint64_t number, int32_t code, const char *why);

/* The lane ends: what it had in flight waits for another one. */
void outgoing_unlink(struct lane *lane);

#endif
