/* SPDX-License-Identifier: MIT */
/* route_word.h - the parts of slot_record.reply_to, see request.h. */
#ifndef TR_IPC_ROUTE_WORD_H
#define TR_IPC_ROUTE_WORD_H

#include <stdbool.h>
#include <stdint.h>

#define ROUTE_REQUEST       (UINT64_C(1) << 62)
#define ROUTE_NO_REDELIVER  (UINT64_C(1) << 63)
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

#endif
