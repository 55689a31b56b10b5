/* SPDX-License-Identifier: MIT */
/* arriving.h - a message on its way into this arena, from its first frame to its receipt. */
#ifndef TR_BRIDGE_ARRIVING_H
#define TR_BRIDGE_ARRIVING_H

#include "bridge.h"
#include "wire_message.h"

struct arrival {
    struct arrival *next;
    struct frame *head;          /* what told of it */
    struct frame *first, **last; /* pieces that wait for a slot */
    uint64_t kept;               /* how many these are */
    uint8_t *merged;             /* instead, if they are small: the payload */
    struct wire_message message;
    int64_t came_ns;       /* when its head came */
    uint64_t come, filled; /* bytes of its payload, here and in the slot */
    size_t tensor;         /* the next byte of the slot */
    uint64_t at;
    tr_message *slot;
    bool whole;     /* header and checksum are in the slot, too */
    bool published; /* and the slot is the queue's */
    bool noted;
    char *key;           /* of a board */
    int64_t deadline_ns; /* of a request: when its requester gives up; 0: never */
    uint64_t placed;     /* bytes of its payload that have a place in the slot */
    uint32_t landings;   /* pieces that the engine writes into the slot */
    bool left;           /* only the engine has it: it writes into the slot */
};

/* The last one of a lane; NULL: none. */
struct arrival *arrival_newest(struct lane *lane);

#endif
