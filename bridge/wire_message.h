/* SPDX-License-Identifier: MIT */
/* wire_message.h - a message of a channel as a frame: header, tensors, and a small payload. */
#ifndef TR_BRIDGE_WIRE_MESSAGE_H
#define TR_BRIDGE_WIRE_MESSAGE_H

#include "wire.h"

struct wire_message {
    uint32_t channel; /* place in the connector's hello */
    uint32_t count;   /* tensors */
    uint64_t number;  /* sequence in the queue that it comes from */
    uint64_t payload_bytes;
    tr_origin origin;       /* where it was sent first; source 0: nowhere that counts */
    tr_header header;       /* deadline_ns is what was left, 0: none */
    tr_tensor_spec *specs;  /* their strings lie in the frame */
    uint64_t *nbytes;       /* of each tensor */
    const uint8_t *payload; /* payload_bytes of it, or NULL: chunks follow */
};

/* The bytes of all its tensors. */
uint64_t message_bytes(const tr_message *message);

/* Write @p message, and its payload if it has at most WIRE_INLINE bytes. @p left_ns: until its
 * deadline, 0 if it has none. */
void wire_put_message(struct wire_out *out, uint32_t channel, const tr_message *message,
                      const tr_header *header, const tr_origin *origin, int64_t left_ns);

/* Read what follows the type. False: the frame is wrong, or memory is short. What it points to
 * is the frame's; wire_message_free() frees the rest. */
bool wire_get_message(struct wire_in *in, struct wire_message *message);
void wire_message_free(struct wire_message *message);

#endif
