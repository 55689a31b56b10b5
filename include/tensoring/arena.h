/* SPDX-License-Identifier: MIT */
/* arena.h - one shared-memory object that processes exchange messages in.
 *
 * Create it in the master before the fork (anonymous: workers inherit it and it vanishes
 * with the last of them) or under a name (others attach). A handle made before the fork
 * just works in the child. Close it in the end. */
#ifndef TENSORING_ARENA_H
#define TENSORING_ARENA_H

#include <tensoring/base.h>
#include <tensoring/error.h>

TR_BEGIN_DECLS

#define TR_MAX_PARTICIPANTS 256
#define TR_MAX_CHANNELS     1024
#define TR_MAX_SLOTS        (1u << 20) /**< of all classes together */
#define TR_MAX_CLASSES      16
#define TR_MAX_ARENA_NAME   200 /**< bytes, without the 0: UTF-8, no control characters */

/** Slots of one size. A loan takes the smallest class that fits; it waits if that one has no free
 *  slot. In a TR_ARENA_ELASTIC arena it takes a larger one then. */
typedef struct tr_slot_class {
    uint64_t slot_bytes; /**< payload of one slot; rounded up to 64, from 4096 to 4096 */
    uint64_t count;
} tr_slot_class;
TR_ASSERT_SIZE(tr_slot_class, 16);

enum {
    TR_ARENA_POPULATE = 1u << 0, /**< touch every page now: no fault later */
    TR_ARENA_HUGE = 1u << 1, /**< ask for 2 MiB pages; tr_arena_info tells what came */
    TR_ARENA_LAZY = 1u << 2, /**< reserve a slot's memory when it is first loaned */
    TR_ARENA_ALLOW_PICKLE = 1u << 3, /**< Python may send arbitrary objects */
    TR_ARENA_CRC32C = 1u << 4,       /**< senders checksum payloads, receivers verify */
    TR_ARENA_OVERCOMMIT = 1u << 5,   /**< do not ask whether the machine and the memory
                                          cgroups have what is reserved: where they do
                                          not, the kernel kills some process */
    /** Core dumps of the arena's users hold it, twice; else none does. */
    TR_ARENA_DUMP = 1u << 6,
    /** A loan is filled with zeros, and so is a request that is reused for its reply. Else it
     *  shows what the slot's last user left there, as malloc() does. */
    TR_ARENA_SCRUB = 1u << 7,
    /** A slot has only the memory that its messages need, by the page: many slots with room for
     *  large messages cost what is in them. Loans that need memory and releases that give it back
     *  make system calls. Implies TR_ARENA_LAZY. */
    TR_ARENA_ELASTIC = 1u << 8
};

/** What to create. Fields are only ever added at the end; what the caller's header lacks
 *  takes its default. Start from TR_ARENA_OPTIONS_INIT. */
typedef struct tr_arena_options {
    uint32_t struct_size;         /**< sizeof(tr_arena_options) of the caller */
    uint32_t flags;               /**< TR_ARENA_... */
    const tr_slot_class *classes; /**< NULL: 256 of 4 KiB, 64 of 1 MiB */
    uint32_t class_count;
    uint32_t max_participants; /**< default 64, at most TR_MAX_PARTICIPANTS */
    uint32_t max_channels;     /**< default 64 */
    uint32_t mode;             /**< permission bits of a named arena: 0600, 0660, 0666 */
    uint64_t ring_bytes;       /**< shared by the rings and tables of all channels, 8 a
                                       cell; default 4 MiB */
    int64_t spin_ns;           /**< how long a wait may spin before it sleeps: -1 adapts,
                                       0 never spins; default -1 */
    /** Descriptors made now, for tr_waitset_fd() in children; default 0: made on first use where
     *  the backend can. */
    uint32_t eventfds;
    uint32_t pins; /**< shared messages one participant may hold, default 64 */
    uint32_t uid;  /**< owner of a named arena, UINT32_MAX: the caller */
    uint32_t gid;
    /** TR_ARENA_ELASTIC: limit of what all slots have, in whole pages. A loan beyond it waits as if
     *  there were no slot. Default 0: none. */
    uint64_t memory_bytes;
    /** How much of that slots keep when they are freed; default 0: a quarter of memory_bytes, or
     *  16 MiB. */
    uint64_t warm_bytes;
} tr_arena_options;
TR_ASSERT_SIZE(tr_arena_options, 80);
/* clang-format off */
#define TR_ARENA_OPTIONS_INIT {sizeof(tr_arena_options), 0, NULL, 0, 64, 64, 0600, \
                               UINT64_C(4) << 20, -1, 0, 64, UINT32_MAX, UINT32_MAX, 0, 0}
/* clang-format on */

enum {
    /** Trust a file that one of our groups may write and not everybody, whatever its owner. Every
     *  member of the group can make one, and take the name first. */
    TR_ATTACH_GROUP = 1u << 0
};

/** Whose arenas to trust, besides those of the caller's own effective user and of root, and how
 *  long to wait for one. Any user can be the first to take a name, and would get what is sent to
 *  it. Start from TR_ATTACH_OPTIONS_INIT. */
typedef struct tr_attach_options {
    uint32_t struct_size; /**< sizeof(tr_attach_options) of the caller */
    uint32_t flags;       /**< TR_ATTACH_... */
    uint32_t owner;       /**< a user whose arenas are trusted, whatever their mode;
                               UINT32_MAX: nobody else */
    uint32_t reserved;    /**< 0 */
    /** How long to wait for an arena of that name; 0: do not. */
    int64_t timeout_ns;
} tr_attach_options;
TR_ASSERT_SIZE(tr_attach_options, 24);
/* clang-format off */
#define TR_ATTACH_OPTIONS_INIT {sizeof(tr_attach_options), 0, UINT32_MAX, 0, 0}
/* clang-format on */

/** What an arena turned out to be. */
typedef struct tr_arena_info {
    uint32_t struct_size; /**< in: sizeof(tr_arena_info) of the caller */
    uint32_t flags;       /**< TR_ARENA_... as asked for at create */
    uint64_t total_bytes;
    uint64_t huge_bytes;     /**< mapped here by pages larger than the base page */
    uint64_t resident_bytes; /**< reserved by now: total_bytes unless TR_ARENA_LAZY */
    uint64_t populate_ns;    /**< what TR_ARENA_POPULATE took in the creator */
    uint32_t class_count;
    uint32_t max_participants;
    uint32_t max_channels;
    uint32_t layout;         /**< version of the shared layout */
    uint32_t self;           /**< index of this process among the participants */
    uint32_t copy_routine;   /**< for large copies: 0 memcpy, 1 rep movsb */
    const void *base;        /**< the arena here, for programs that register its memory */
    int fd;                  /**< its descriptor; stays the arena's */
    int huge_error;          /**< 0 or the TR_E... with which large pages were refused */
    uint64_t slots_bytes;    /**< TR_ARENA_ELASTIC: what slots have now */
    uint64_t warm_bytes;     /**< and of that, what free ones keep */
    uint64_t memory_bytes;   /**< the limit; 0: none */
    uint64_t received_bytes; /**< of slots_bytes, what receivers have in hand */
    /** 1: the program may close descriptors of the arena's file. 0: that drops the lock which shows
     * that this process lives, because the process may not open the file again. */
    uint32_t closing_is_safe;
    uint32_t reserved; /**< 0 */
    uint64_t nonce; /**< random: an arena that is made later under the name has another */
} tr_arena_info;
TR_ASSERT_SIZE(tr_arena_info, 128);
#define TR_ARENA_INFO_INIT TR_RESULT_INIT(tr_arena_info)

/** What a reap found and did. */
typedef struct tr_reap_report {
    uint32_t struct_size; /**< in: sizeof(tr_reap_report) of the caller */
    uint32_t dead;        /**< participants found dead and swept */
    uint32_t freed;       /**< slots that are free again */
    uint32_t redelivered; /**< messages that go to another receiver */
    uint32_t dropped; /**< messages given up: policy drop, or max_deliveries reached */
} tr_reap_report;
TR_ASSERT_SIZE(tr_reap_report, 20);
#define TR_REAP_REPORT_INIT TR_RESULT_INIT(tr_reap_report)

/**
 * Create an arena, reserve its memory, and join it. A name is taken over if all users of its
 * arena have died.
 *
 * @param name_or_null  NULL: anonymous, inherited over fork. Else up to
 *                      TR_MAX_ARENA_NAME bytes without '/' and control characters, beginning with a
 *                      letter, digit or '_'; the arena appears as /dev/shm/tensoring.NAME.
 * @param options       NULL for defaults
 * @return 0, TR_EINVAL, TR_ENAMETOOLONG, TR_EOVERFLOW, TR_EEXIST (somebody uses the arena of
 *         that name, or its users left it without a crash), TR_EBUSY (another process has been
 *         removing the name for a second: it is stopped), TR_EACCES, TR_EPERM, TR_ENFILE,
 *         TR_ENOMEM, TR_ENOSPC (the detail says how much was asked for, how much there is, which
 *         limit it met and what to do), TR_EIO (the kernel can't give what else is needed, a lock
 *         for one: the detail says what). On error nothing is left behind.
 *
 * What is reserved now (all of it, unless TR_ARENA_LAZY) is compared with what the machine
 * has (MemAvailable and SwapFree) and with every memory cgroup above the process, before and
 * while it is reserved; RLIMIT_FSIZE with the whole arena, RLIMIT_AS with its two mappings,
 * /dev/shm, of a named one, with what is reserved.
 *
 * Owner:    the caller, until tr_arena_close().
 * Threads:  any. Progress: bounded by the kernel's work, and a second. Syscalls: some dozens.
 * Crash:    nothing is left: a name appears only when the arena behind it is whole and has
 *           been joined, and then the next create takes it over.
 */
TR_API TR_CHECK int tr_arena_create(const char *name_or_null,
                                    const tr_arena_options *options, tr_arena **out);

/**
 * Attach to a named arena and join it. Owner, mode, size and every offset are checked
 * before anything in it is used; symbolic links are not followed. Arenas of the caller's
 * own effective user and of root are trusted, those of others on request alone.
 *
 * @param options  NULL for defaults
 * @return 0, TR_EINVAL, TR_ENAMETOOLONG, TR_ENOENT (also: it was just removed), TR_ETIMEDOUT
 *         (with a timeout in place of TR_ENOENT), TR_EINTR (while it waited), TR_EACCES (its
 *         mode does not permit it, or its owner is not trusted: the detail names the owner, and
 *         the option that would trust it),
 *         TR_EAGAIN (still being made), TR_EABANDONED, TR_ELAYOUT, TR_ECORRUPT, TR_EUSERS,
 *         TR_ENFILE, TR_ENOMEM, TR_EIO (as tr_arena_create()).
 * Owner:   the caller, until tr_arena_close(). Threads: any. Progress: waits for the timeout,
 *          and a second at most for entries and names that change hands. Syscalls: some dozens.
 * Crash:   the entry taken is reaped by the others.
 */
TR_API TR_CHECK int tr_arena_attach(const char *name, const tr_attach_options *options,
                                    tr_arena **out);

/**
 * Attach by a descriptor of the arena that was inherited or received (SCM_RIGHTS). The
 * descriptor is duplicated; the caller keeps its own. Its owner and mode are not asked: a name
 * can be taken by anybody, the process that gave the descriptor answers for it.
 * @return as tr_arena_attach(); a number that is not open is TR_EINVAL.
 * Owner: the caller. Threads: any. Progress, Syscalls, Crash: as tr_arena_attach().
 */
TR_API TR_CHECK int tr_arena_attach_fd(int fd, tr_arena **out);

/** Leave and unmap. Never fails; NULL is allowed. What this process still holds is given
 *  back; pointers into the arena and handles of its channels are invalid afterwards.
 *  Threads: one. */
TR_API void tr_arena_close(tr_arena *arena);

/**
 * Remove the name of an arena. Processes that are attached go on.
 * @return 0, TR_EINVAL, TR_ENAMETOOLONG, TR_ENOENT, TR_EACCES, TR_EPERM, TR_EBUSY (another
 *         process has been removing it for a second: it is stopped), TR_ENFILE, TR_EIO.
 * Threads: any. Progress: waits a second at most. Syscalls: a dozen. Crash: done or not done.
 */
TR_API TR_CHECK int tr_arena_unlink(const char *name);

/**
 * Remove every named arena whose name begins with @p prefix ("" for all), that this user
 * may remove, and whose participants are all proven dead. Living ones are left alone.
 * Whatever the prefix, this user's FIFOs (/dev/shm/tensoring-fifo.*) that no process has open
 * any more are removed, too: those that processes of anonymous arenas left when they were killed.
 * @param removed  how many names of arenas were removed; may be NULL
 * @return 0, TR_EINVAL, TR_EIO.
 * Threads: any. Syscalls: some a name. Crash: the rest stays for the next sweep.
 */
TR_API TR_CHECK int tr_arena_sweep(const char *prefix, uint32_t *removed);

/**
 * Look for dead participants and take over what they held. Any participant may do it at
 * any time; waiting calls do it by themselves. In a pre-fork master, call it from the
 * SIGCHLD path: that is the fastest way. It may be called in a signal handler.
 * @param report  may be NULL
 * @return 0, TR_EINVAL (struct_size), TR_ECORRUPT, and what every call on the arena may return:
 *         TR_EABANDONED (others took this process for dead and gave away what it held: close and
 *         attach again), and what joining in a forked child returns: TR_EUSERS, TR_ENFILE,
 *         TR_ENOENT (the arena was removed), TR_EAGAIN (in a signal handler that has interrupted
 *         the joining).
 * Threads: any. Progress: lock-free. Syscalls: one or two a living participant.
 * Crash: the next reaper starts over.
 */
TR_API TR_CHECK int tr_arena_reap(tr_arena *arena, tr_reap_report *report);

/** Give idle memory of a TR_ARENA_LAZY arena back to the system: slots that are free now. It
 *  holds them for a moment, one at a time: a tr_message_loan() with TR_NOWAIT that finds no other
 *  free slot then returns TR_EAGAIN, one with a timeout gets the slot.
 *  @param bytes how much; may be NULL
 *  @return 0, TR_ENOTSUP (not lazy).
 *  Threads: any. Syscalls: one a free slot. Crash: nothing is lost. */
TR_API TR_CHECK int tr_arena_trim(tr_arena *arena, uint64_t *bytes);

/** Its name, "" if it has none: an anonymous arena, or one that was attached by a descriptor. NULL
 *  if @p arena was closed. Lives as long as the handle. Threads: any. */
TR_API const char *tr_arena_name(const tr_arena *arena);

/** What the arena is.
 *  @return 0, TR_EINVAL (struct_size).
 *  Threads: any. Syscalls: some (it reads what the kernel says of the mapping). */
TR_API TR_CHECK int tr_arena_info_get(tr_arena *arena, tr_arena_info *info);

/** Change how long waits of this handle may spin: -1 adapts, 0 never, else nanoseconds.
 *  Less than -1 changes nothing. Threads: any. */
TR_API void tr_arena_set_spin(tr_arena *arena, int64_t spin_ns);

/** Whether waits of this handle end with TR_EINTR when a signal handler has run (true), or go on
 *  until their deadline (false, the default). Sleeps are sliced, so that handlers run in any case.
 *  Threads: any. */
TR_API void tr_arena_set_interruptible(tr_arena *arena, bool on);

TR_END_DECLS
#endif
