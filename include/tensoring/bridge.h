/* SPDX-License-Identifier: MIT */
/* bridge.h - start `tensoring bridge` for an arena, and look after it.
 *
 * The program carries messages between this arena and one on another host. It is a child of this
 * process: the library links no engine and starts no thread. It is `tensoring bridge keep`, which
 * starts the bridge again when that dies, and ends when this process ends. If that keeper itself is
 * killed, the bridge goes on alone, until the next call with this bridge starts new ones, or until
 * this process ends. Only if both are killed does nothing cross before the next call.
 *
 *     tr_bridge_options options = TR_BRIDGE_OPTIONS_INIT;
 *     options.peer = "host-b:7411", options.key = "host-a.key", options.peer_key = "host-b.pub";
 *     tr_bridge_start(arena, &options, &bridge);
 *     tr_bridge_queue(bridge, "jobs", TR_BRIDGE_OUT, 16);
 *     tr_bridge_wait(bridge, TR_BRIDGE_CONNECTED, 5000000000);
 *     ... tr_queue_send(jobs, message, 1000000000) as ever ...
 *     tr_bridge_stop(bridge, 1000000000);
 *     tr_bridge_close(bridge);
 *
 * See docs/how-to/bridge.md for keys, promises and what is told of failures. */
#ifndef TENSORING_BRIDGE_H
#define TENSORING_BRIDGE_H

#include <tensoring/queue.h>

TR_BEGIN_DECLS

/** A bridge that this process has started. Threads: one. */
typedef struct tr_bridge tr_bridge;

enum {
    /** No keys and no encryption: only in a network that others cannot reach. */
    TR_BRIDGE_PLAIN_TRUST_NETWORK = 1u << 0,
    /** Pickled objects may cross, if the other side allows them, too. They run code there. */
    TR_BRIDGE_ALLOW_PICKLE = 1u << 1
};

typedef enum tr_bridge_direction {
    TR_BRIDGE_OUT = 0, /**< what is sent here is received there */
    TR_BRIDGE_IN = 1   /**< what is sent there is received here */
} tr_bridge_direction;

/** What becomes of requests that had been sent when the link was cut. */
typedef enum tr_bridge_on_cut {
    /** They fail: the requester gets TR_EREMOTE, and the request may have run. */
    TR_BRIDGE_FAIL = 0,
    /** They are sent again when the link is back, and may run twice. */
    TR_BRIDGE_RETRY = 1
} tr_bridge_on_cut;

typedef enum tr_bridge_state {
    TR_BRIDGE_CONNECTED = 0 /**< the link to the other bridge is up */
} tr_bridge_state;

/** Start from TR_BRIDGE_OPTIONS_INIT. Texts are copied. Fields are only ever added at the end. */
typedef struct tr_bridge_options {
    uint32_t struct_size;
    uint32_t flags; /**< TR_BRIDGE_... */
    /** HOST:PORT where the other bridge listens; ucx://HOST:PORT: through UCX, without keys; or: */
    const char *peer;
    /** The same where this one listens. Port 0: any that is free, another at each start. */
    const char *bind;
    const char *key;      /**< the file of the secret key of this side */
    const char *peer_key; /**< with peer: the file of the public key of the other side */
    const char *allow; /**< with bind: public keys that may connect: a file or a folder */
    /** The program; NULL: tensoring-bridge, as PATH has it. */
    const char *program;
    uint64_t window_bytes; /**< unconfirmed bytes of a queue; 0: 64 MiB */
} tr_bridge_options;
TR_ASSERT_SIZE(tr_bridge_options, 64);
/* clang-format off */
#define TR_BRIDGE_OPTIONS_INIT {sizeof(tr_bridge_options), 0, NULL, NULL, NULL, NULL, NULL, NULL, 0}
/* clang-format on */

/** What the bridge says of itself: at most a second ago while it has something to do. */
typedef struct tr_bridge_status {
    uint32_t struct_size; /**< in: sizeof(tr_bridge_status) of the caller */
    uint32_t connected;   /**< 1: the link is up */
    int32_t pid;          /**< the process that carries messages; 0: there is none now */
    uint32_t reserved;
    int64_t link_ns;    /**< how long the link has been up, or down */
    uint64_t in_flight; /**< out: sent, and not confirmed */
    /* Since that process started: */
    uint64_t confirmed; /**< out: published there, and released here */
    uint64_t published; /**< in: published here */
    uint64_t repeated;  /**< in: offered again, recognised and not published again */
    uint64_t doubled;   /**< in: may have been published twice: this bridge was killed */
    /** Where it listens, with the port that it got; or where the other bridge listens. */
    char endpoint[128];
    char why[256]; /**< why the link is down; "" */
} tr_bridge_status;
TR_ASSERT_SIZE(tr_bridge_status, 448);
#define TR_BRIDGE_STATUS_INIT TR_RESULT_INIT(tr_bridge_status)

/**
 * Start a bridge of @p arena. It begins when it has a queue.
 * @param arena  with a name: the program attaches to it by that name, as the same user
 * @return 0, TR_EINVAL (options that do not go together, an arena without a name), TR_ENOENT (there
 *         is no such program), TR_EACCES, TR_ENOMEM, TR_ENFILE, TR_EAGAIN (no process can be made).
 * Owner:   the caller, until tr_bridge_close(). The arena must outlive it.
 * Threads: any. Syscalls: a process is made.
 * Crash:   the program stops by itself: it confirms what is on its way for up to 5 s, and what it
 *          still holds then is delivered here.
 */
TR_API TR_CHECK int tr_bridge_start(tr_arena *arena, const tr_bridge_options *options,
                                    tr_bridge **out);

/**
 * Bridge the queue @p name, which has the same name on the other side, where it must be bridged in
 * the other direction. It is made if it is not there. Its option max_deliveries must be 255: each
 * death of the sending bridge counts as a delivery.
 *
 * A bridge that runs already is replaced by one that has this queue, too: what was on its way is
 * confirmed first.
 *
 * @param window  how many messages may be unconfirmed; 0: 16. The largest that was given holds for
 *                all queues of the bridge
 * @return 0, TR_EINVAL, TR_ENAMETOOLONG, TR_EEXIST (it is bridged already), TR_EFORK,
 *         TR_ECLOSED (the bridge was stopped), TR_EPEERDIED (the program has ended: it says
 *         why on standard error), TR_ENOMEM, and as tr_bridge_start().
 * Threads: one. Progress: lock-free. Syscalls: some.
 */
TR_API TR_CHECK int tr_bridge_queue(tr_bridge *bridge, const char *name,
                                    tr_bridge_direction direction, uint32_t window);

/**
 * Bridge the broadcast @p name. What comes faster than the link takes it is dropped, and the status
 * counts it.
 * @return as tr_bridge_queue().
 * Threads: one. Progress: lock-free. Syscalls: some.
 */
TR_API TR_CHECK int tr_bridge_broadcast(tr_bridge *bridge, const char *name,
                                        tr_bridge_direction direction);

/**
 * Bridge the board @p name: the newest value of each key is the newest there, too. After a cut
 * only that is sent. Put to it on the side from which it comes alone.
 * @return as tr_bridge_queue().
 * Threads: one. Progress: lock-free. Syscalls: some.
 */
TR_API TR_CHECK int tr_bridge_board(tr_bridge *bridge, const char *name,
                                    tr_bridge_direction direction);

/**
 * Bridge the service @p name: a queue of requests (request.h), whose answers come back.
 * TR_BRIDGE_OUT: requests that are made here are answered by servers there; TR_BRIDGE_IN: servers
 * here answer requests that are made there. What a call returns means what it means in one arena;
 * a deadline travels as the time that is left.
 * @param on_cut  with TR_BRIDGE_OUT; else TR_BRIDGE_FAIL, as the side of the requesters decides
 * @param window  how many requests may be without an answer; as tr_bridge_queue()
 * @return as tr_bridge_queue(), and TR_EINVAL (TR_BRIDGE_RETRY with TR_BRIDGE_IN).
 * Threads: one. Progress: lock-free. Syscalls: some.
 */
TR_API TR_CHECK int tr_bridge_service(tr_bridge *bridge, const char *name,
                                      tr_bridge_direction direction,
                                      tr_bridge_on_cut on_cut, uint32_t window);

/**
 * Wait until the bridge is in @p state.
 * @return 0, TR_EAGAIN (TR_NOWAIT) and TR_ETIMEDOUT (the detail says why the link is down),
 *         TR_EINTR, and as tr_bridge_queue().
 * Threads: one. Progress: blocks; it looks every 10 ms. Syscalls: some.
 */
TR_API TR_CHECK int tr_bridge_wait(tr_bridge *bridge, tr_bridge_state state,
                                   int64_t timeout_ns);

/**
 * What the bridge does. All is 0 until it has begun.
 * @return 0, TR_EINVAL, TR_EFORK, TR_EPEERDIED (the program has ended: it says why on standard
 *         error), and as tr_board_open().
 * Threads: one. Progress: lock-free. Syscalls: some.
 */
TR_API TR_CHECK int tr_bridge_status_read(tr_bridge *bridge, tr_bridge_status *status);

/**
 * Take no more messages, wait for the receipts of those that are on their way, and end the program.
 * What is not confirmed when the time is over stays in the queue here, and may have arrived.
 * @return 0, TR_ETIMEDOUT (the program had to be ended), TR_EINVAL, TR_EFORK.
 * Threads: one. Progress: blocks. Syscalls: some. Crash: as tr_bridge_start().
 */
TR_API TR_CHECK int tr_bridge_stop(tr_bridge *bridge, int64_t timeout_ns);

/** Free it. A bridge that was not stopped is stopped, with a time of 0. Never fails; NULL is
 *  allowed. In a child of the process that started it, the program goes on. Threads: one. */
TR_API void tr_bridge_close(tr_bridge *bridge);

TR_END_DECLS
#endif
