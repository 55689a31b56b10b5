/* SPDX-License-Identifier: MIT */
/* budget.h - how much memory the slots of an elastic arena have, and may have.
 *
 * Two counters: what all slots have, and what of it the free ones keep, so that the next loan
 * need not ask the kernel. A killed process leaves them wrong: they are hints, and recounted from
 * the records by its reaper, and by a loan that finds no room. Beyond control.warm_bytes a slot
 * gives its memory back before it is free; beyond control.memory_bytes there is no more.
 *
 * A recount beside a reservation may miss it. The limit is then exceeded by that much, until the
 * next recount. */
#ifndef TR_IPC_BUDGET_H
#define TR_IPC_BUDGET_H

#include "ipc/view.h"

/* What the slots have by their records. */
struct budget_use {
    uint64_t reserved, warm; /* all; of them the free ones */
    uint64_t received;       /* and those in the hands of receivers */
};

struct budget_use budget_use(const struct view *view);

/* Before memory is reserved. False: there is no room for it. */
bool budget_claim(const struct view *view, uint64_t bytes);

/* After it was given back. Wakes the loans that wait for it. */
void budget_return(const struct view *view, uint64_t bytes);

/* A slot will be free and keep its memory. False: that is beyond the budget. */
bool budget_keep(const struct view *view, uint64_t bytes);

/* The same without the check of the budget; and the reverse: it is no longer free. */
void budget_warmed(const struct view *view, uint64_t bytes);
void budget_cooled(const struct view *view, uint64_t bytes);

/* Make the counters right. */
void budget_recount(const struct view *view);

#endif
