/* SPDX-License-Identifier: MIT */
/* receivers.h - which participants receive from a queue: one bit for each, set when it first
 * asks for a message, taken away when it leaves or has been reaped. For reports: nothing that
 * the queue does depends on it. */
#ifndef TR_IPC_RECEIVERS_H
#define TR_IPC_RECEIVERS_H

#include "ipc/view.h"

/* channel.extra of a queue: four words from here on. */
enum { QUEUE_RECEIVERS = 4 };

void receivers_note(const struct self *me, uint32_t channel);

/* The participant has gone: it receives from nothing. */
void receivers_forget(const struct view *view, uint32_t who);

/* Whether a participant that lives receives from the queue; how many do. Some system calls
 * for each. */
bool receivers_has(const struct view *view, uint32_t channel, uint32_t who);
uint32_t receivers_count(const struct view *view, uint32_t channel);

#endif
