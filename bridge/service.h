/* SPDX-License-Identifier: MIT */
/* service.h - requests of the other side, asked of the servers in this arena. */
#ifndef TR_BRIDGE_SERVICE_H
#define TR_BRIDGE_SERVICE_H

#include "bridge.h"

#define SERVICE_TOKEN UINT64_MAX /* of the wait set: replies may be there */

/* Send a request that has come on @p lane under @p number. @p deadline_ns: 0, or when its requester
 * gives up. 0: it was taken over, and will be answered. TR_EAGAIN: no room now; ... */
int service_ask(struct bridge *bridge, struct lane *lane, uint64_t number,
                tr_message *request, int64_t deadline_ns);

/* Pass on the answers that are there. */
void service_answers(struct bridge *bridge);

/* The lane ends: nobody waits for the answers any more. */
void service_unlink(struct bridge *bridge, struct lane *lane);

#endif
