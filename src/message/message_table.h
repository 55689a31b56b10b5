/* SPDX-License-Identifier: MIT */
/* message_table.h - memory for the handles of an arena's messages, which stays readable.
 *
 * A table is taken out of a store of this process, and goes back there when its arena is
 * closed. Its memory is given back to the system then; what stays is the range of addresses,
 * which reads as 0, so that no handle fits any more, and the tag that each handle had last.
 * Sizes are powers of 2, so that the store holds no more than twice what was in use at once. */
#ifndef TR_SRC_MESSAGE_TABLE_H
#define TR_SRC_MESSAGE_TABLE_H

#include "src/message/message.h"

struct message_table {
    struct message *messages;
    uint16_t *tags; /* the last ones that were in use before */
    uint32_t room;  /* messages: a power of 2 */
    struct message_table *next;
    _Atomic uint32_t taken; /* local: 1 while an arena has it */
};

/* A table for @p count messages, all 0. NULL: no memory, or addresses that leave no room for
 * a tag. */
struct message_table *message_table_take(uint32_t count);

/* Free what its messages have, keep their tags, and put it back. */
void message_table_put_back(struct message_table *table, uint32_t count);

#endif
