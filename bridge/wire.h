/* SPDX-License-Identifier: MIT */
/* wire.h - what two bridges say to each other. Little-endian, no padding.
 *
 *  0  magic "TRBR" | 4  version u16 | 6  type u8 | 7  0 | 8  the rest, by type
 *
 * A text is its length u16, its bytes, and a 0. A reader checks each length before it reads, and
 * takes nothing from a frame that is too short, too long or of another version. Times are
 * durations, never clocks: the clocks of two hosts differ. */
#ifndef TR_BRIDGE_WIRE_H
#define TR_BRIDGE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tensoring/message.h>

#define WIRE_VERSION      3
#define WIRE_MAX_HEAD     (UINT64_C(64) << 20) /* one frame, without a chunk's data */
#define WIRE_INLINE       32768 /* payloads up to this are in the message's frame */
#define WIRE_CHUNK_BYTES  (256 << 10)
#define WIRE_MAX_CHANNELS 4096

enum wire_type {
    WIRE_NOTHING = 0,
    WIRE_HELLO = 1, /* connector: what it has, and what it wants bridged */
    WIRE_WELCOME,   /* listener: the same, with a verdict on each channel */
    WIRE_REFUSED,   /* no link: a text */
    WIRE_MESSAGE,
    WIRE_CHUNK, /* a piece of the payload of the message that came last in its channel */
    WIRE_RECEIPT,
    WIRE_DECLINED, /* this message cannot be taken: a text */
    WIRE_NOTICE,   /* for the status of the other side: a text about a channel */
    WIRE_PING,
    WIRE_BYE, /* the other side stops: a text */
    WIRE_KEY, /* of a board: the message that follows is its value, or it was deleted; the other
                * way: that side has a value of it */
    WIRE_FAULT /* a request has failed: code and text */
};

enum wire_receipt { RECEIPT_PUBLISHED, RECEIPT_REPEATED };

struct identity {
    uint8_t bytes[16];
};

/* A frame that is being written. Once memory is short, failed stays true. */
struct wire_out {
    uint8_t *bytes;
    size_t used, room;
    bool failed;
};

/* A frame that is being read. Once something is wrong, failed stays true and all is 0 or "". */
struct wire_in {
    const uint8_t *at, *end;
    bool failed;
};

void wire_begin(struct wire_out *out, enum wire_type type);
void wire_put(struct wire_out *out, const void *bytes, size_t count);
void wire_put_u8(struct wire_out *out, uint8_t value);
void wire_put_u16(struct wire_out *out, uint16_t value);
void wire_put_u32(struct wire_out *out, uint32_t value);
void wire_put_u64(struct wire_out *out, uint64_t value);
void wire_put_text(struct wire_out *out, const char *text); /* cut at 65,535 bytes */
void wire_free(struct wire_out *out);

void wire_get(struct wire_in *in, void *bytes, size_t count);
uint8_t wire_get_u8(struct wire_in *in);
uint16_t wire_get_u16(struct wire_in *in);
uint32_t wire_get_u32(struct wire_in *in);
uint64_t wire_get_u64(struct wire_in *in);
const char *wire_get_text(struct wire_in *in); /* in the frame */

/* Read the first 8 bytes. The type; 0, and why not in @p why, if the frame is not of ours. */
enum wire_type wire_open(struct wire_in *in, const void *bytes, size_t count,
                         const char **why);

/* Whether all of the frame was read, and nothing was wrong. */
bool wire_done(const struct wire_in *in);

#endif
