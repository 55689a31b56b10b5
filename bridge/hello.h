/* SPDX-License-Identifier: MIT */
/* hello.h - how two bridges begin: who they are, and what they want bridged. */
#ifndef TR_BRIDGE_HELLO_H
#define TR_BRIDGE_HELLO_H

#include "wire.h"

enum channel_kind { KIND_QUEUE = 1, KIND_BROADCAST, KIND_BOARD, KIND_SERVICE };
enum direction { DIRECTION_OUT = 1, DIRECTION_IN };

enum { HELLO_PICKLE = 1 }; /* flags: takes pickled messages */

struct hello_channel {
    uint8_t kind, direction; /* as its sender sees it */
    uint8_t verdict;         /* in a welcome: 1, it is bridged; else why says why not */
    uint32_t window;         /* how many unconfirmed messages it takes */
    uint64_t window_bytes;
    struct identity source; /* of what goes out */
    const char *name, *why;
};

struct hello {
    struct identity arena;
    uint32_t layout, flags, count;
    uint64_t largest;  /* the largest slot, in bytes */
    const char *where; /* ARENA@HOST, for people */
    struct hello_channel *channels;
};

void wire_put_hello(struct wire_out *out, enum wire_type type, const struct hello *hello);

/* Read what follows the type. False: the frame is wrong, or memory is short. Texts are the
 * frame's; hello_free() frees the rest. */
bool wire_get_hello(struct wire_in *in, struct hello *hello);
void hello_free(struct hello *hello);

#endif
