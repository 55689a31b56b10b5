/* SPDX-License-Identifier: MIT */
/* request_explain.h - why there is no reply or room, for the sentence of an error. */
#ifndef TR_SRC_REQUEST_EXPLAIN_H
#define TR_SRC_REQUEST_EXPLAIN_H

#include "src/arena/arena.h"

/* Added to the sentence of an error: which process has the request in hand that may be in @p
 * slot; how many serve a queue; and which have how many of its messages, for which all slots are
 * looked at. */
void request_explain_one(const struct tr_arena *arena, uint32_t slot, uint64_t route);
void request_explain_service(const struct tr_arena *arena, uint32_t channel);
void request_explain_queue(const struct tr_arena *arena, uint32_t channel);

#endif
