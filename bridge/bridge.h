/* SPDX-License-Identifier: MIT */
/* bridge.h - one running bridge: its channels, its links, and a lane for each channel of a link.
 *
 *     channel  a queue, broadcast or board of this arena, and the direction in which it goes
 *     link     a connection to another bridge, that has said hello
 *     lane     a channel on a link
 *
 * What goes out is held by its channel until a receipt comes (window.h); what comes in waits in
 * its lane until there is room for it here (incoming.h). One thread does it all. */
#ifndef TR_BRIDGE_BRIDGE_H
#define TR_BRIDGE_BRIDGE_H

#include <tensoring/board.h>
#include <tensoring/broadcast.h>
#include <tensoring/queue.h>
#include <tensoring/waitset.h>

#include "engine.h"
#include "hello.h"
#include "identity.h"
#include "kept.h"
#include "mirror.h"
#include "note.h"
#include "options.h"
#include "say.h"
#include "window.h"

/* What is done every few seconds is done that much early if something else has woken us, as the
 * wait set does four times a second. */
#define EARLY_NS INT64_C(250000000)

struct bridge;
struct link;
struct arrival;

struct counts {
    uint64_t confirmed; /* out: published there, and released here */
    uint64_t published; /* in: published here */
    uint64_t repeated;  /* in: offered again, and known by the note */
    uint64_t doubled;   /* in: an earlier bridge may have published it, too */
    uint64_t missed;    /* out, of broadcasts: dropped before they were sent */
};

struct channel {
    enum channel_kind kind;
    enum direction direction;
    const char *name;
    uint32_t index;
    tr_queue *queue;
    tr_broadcast *broadcast;
    tr_board *board;
    struct identity source; /* out: of the queue here */
    bool ready;             /* out: it may have messages; in: it may have room */
    bool watched;           /* it is in the wait set */
    bool retries;           /* a service: requests are sent again after a cut */
    struct window window;   /* out: what it holds */
    uint64_t numbers;       /* out, of a board: of the last value that was sent */
    struct counts counts;
    char why[WHY_TEXT]; /* why something does not go on; "" */
};

struct lane {
    struct channel *channel;
    struct link *link;
    uint32_t number; /* of the channel, on the wire */
    uint32_t window; /* out: what the other side takes; in: what we said that we take */
    uint64_t window_bytes;
    uint32_t in_flight; /* out: sent, or being sent */
    uint64_t in_flight_bytes;
    uint32_t waiting; /* arrived, and not handed over yet */
    uint64_t waiting_bytes;
    struct note note; /* in */
    struct arrival *first, **last;
    uint64_t waiting_heads; /* in: bytes of what told of the messages that wait here */
    uint64_t declined;      /* in: what follows of this message is not wanted */
    bool passes_over;       /* in: whether there is such a message */
    char why[WHY_TEXT];     /* refused, if the channel is not bridged on this link */
    bool open;
    uint32_t id; /* never used again */

    /* Out, a broadcast or a board: each lane has its own view of it. */
    tr_subscription *subscription;
    uint64_t last_sequence; /* that it has received, + 1; 0: none */
    struct mirror mirror;
    uint32_t bound; /* messages in the window that are for this lane alone */
    bool ready, watched;
    bool stuck; /* something of it must wait, and so must what comes after */

    /* In, a board: what the next message is the value of. */
    char *key;
    uint64_t key_number;
    uint32_t told; /* cursor: the keys up to there were told to the other side */
    bool told_all;
};

struct link {
    struct link *next;
    uint64_t number; /* of the engine */
    bool up;         /* both have said hello */
    bool blocked;    /* there was no room to send */
    struct identity arena;
    char where[160];
    char key[41]; /* the public key of the other side; "": not known */
    uint32_t flags;
    uint64_t largest;
    struct lane *lanes;
    uint32_t lane_count;
    int64_t heard_ns, pinged_ns;
};

struct bridge {
    const struct options *options;
    struct kept kept;
    const struct engine_calls *calls;
    struct engine *engine;
    struct engine_keys keys;
    tr_arena *arena;
    tr_board *board;
    tr_waitset *waitset;
    struct identity identity;
    uint64_t nonce;   /* of the arena, and what identities are made of */
    uint64_t largest; /* slot here */
    uint32_t layout, flags;
    uint32_t participant;   /* of this process in the arena */
    uint64_t device, inode; /* of the arena's file */
    char where[160];
    struct channel *channels;
    uint32_t count;
    struct link *links;
    struct wire_out out; /* a frame that is being made */
    uint32_t lanes_made;
    struct ticket *tickets; /* requests of the other side that servers here have */
    bool answers;           /* there may be some */
    uint32_t turn;          /* which channel comes first */

    int64_t retry_ns;   /* in: wait that long for a slot; 0: nothing waits */
    int64_t suspect_ns; /* listener: until then it is looked often which link was lost */
    int64_t connect_ns; /* connector: when to try again; 0: not waiting for that */
    int64_t hello_ns;   /* until when a welcome must come; 0: none is due */
    int64_t backoff_ns; /* the next pause between two tries */
    int64_t broken_ns;  /* when a link ended because a side broke the rules */
    int64_t changed_ns; /* when the link came up or went down */
    uint64_t strangers, reconnects, other_arena;
    struct identity last_arena; /* connector: of the other side */
    char last_where[160];
    char why[WHY_TEXT]; /* why the link is down */
    char stranger[WHY_TEXT];
    bool tell; /* the status has changed */
    bool stops;
    char status_key[32];
    uint64_t status_version;
    int64_t status_ns;    /* when the status was written */
    uint64_t status_work; /* what had been done by then */
};

#endif
