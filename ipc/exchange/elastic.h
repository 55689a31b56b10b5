/* SPDX-License-Identifier: MIT */
/* elastic.h - a slot of an elastic arena, and the memory for what will be in it. */
#ifndef TR_IPC_ELASTIC_H
#define TR_IPC_ELASTIC_H

#include "ipc/kernel/limits.h"
#include "ipc/view.h"

/* What is wanted, and what was found. */
struct elastic_spec {
    struct self *me;
    uint64_t bytes; /* from the start of the payload on */
    uint32_t c;     /* the smallest class that fits */
    uint32_t slot;
    struct shortage shortage;
};

/* Whether there would be room for @p bytes if free slots gave back what they keep. */
bool elastic_has_room(const struct view *view, uint64_t bytes);

/* A slot that is ours gets memory. Where there is no room within the limit, or the machine has
 * none left, free slots give back what they keep, and what nobody reads any more is freed. 0;
 * -ENOBUFS, no room; -errno with a shortage. */
int elastic_reserve(struct self *me, uint32_t slot, uint64_t bytes,
                    struct shortage *shortage);

/* A slot with its memory. @p found: spec->slot is ours already, and was free. 0; -EAGAIN, no slot
 * or no room; -errno with a shortage. Without 0 nothing is ours. */
int elastic_loan(struct elastic_spec *spec, bool found);

/* Whether elastic_attempt() would find a slot of class @p c or a larger one, and memory for
 * @p bytes. No message is lost for the answer. */
bool elastic_may_loan(const struct view *view, uint32_t c, uint64_t bytes);

/* The same for wait_for(): a try that takes a slot and gives it back wakes others that do the
 * same, so the check of the memory comes first. */
int elastic_attempt(void *spec);

#endif
