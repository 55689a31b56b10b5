/* SPDX-License-Identifier: MIT */
/* loader.h - .npy files straight into slots, and back.
 *
 *  one file    tr_npy_load() - a loaned message: send it, or use it and release it
 *  many        tr_loader_open() - tr_loader_run() ... - tr_loader_close()
 *  the other way  tr_npy_store()
 *
 * A file that is written while it is read is refused, by its size and its time of change. Not
 * seen are writes through a mapping (their time is that of the first write to a page), and, on
 * kernels before 6.13, those within the tick (some ms) of the change before: give files their
 * name when they are whole, as tr_npy_store() does.
 *
 * A file is read whole to the start of a slot; the tensor is where the array lies in it. So
 * nothing is copied after the kernel has put it there, and the slot must hold the file with
 * its header (128 bytes, mostly). What NumPy's reader refuses, or would have to evaluate,
 * is refused: see npy.h. */
#ifndef TENSORING_LOADER_H
#define TENSORING_LOADER_H

#include <tensoring/queue.h>

TR_BEGIN_DECLS

typedef struct tr_loader tr_loader; /**< Threads: one */

enum {
    TR_LOADER_UNORDERED = 1u << 0, /**< publish as they come, not in the order given */
    TR_LOADER_DIRECT = 1u << 1,    /**< past the page cache, where the file system can:
                                        for data that is read once */
    TR_LOADER_PREAD = 1u << 2      /**< no io_uring */
};

/** Start from TR_LOADER_OPTIONS_INIT. */
typedef struct tr_loader_options {
    uint32_t struct_size;
    uint32_t flags;        /**< TR_LOADER_... */
    uint32_t depth;        /**< files read at the same time, 1 to 1024; default 32 */
    uint32_t header_limit; /**< as for tr_npy_decode(); 0: its default */
} tr_loader_options;
TR_ASSERT_SIZE(tr_loader_options, 16);
/* clang-format off */
#define TR_LOADER_OPTIONS_INIT {sizeof(tr_loader_options), 0, 32, 0}
/* clang-format on */

/** What a run did. */
typedef struct tr_loader_report {
    uint32_t struct_size; /**< in: sizeof(tr_loader_report) of the caller */
    uint32_t uring;       /**< 1: by io_uring, 0: by pread() */
    uint32_t registered;  /**< 1: slots were registered with io_uring */
    uint32_t direct;      /**< files that were read past the page cache */
    uint64_t loaded;      /**< files that were published */
    uint64_t failed;
    uint64_t bytes; /**< of the files published */
} tr_loader_report;
TR_ASSERT_SIZE(tr_loader_report, 40);
#define TR_LOADER_REPORT_INIT TR_RESULT_INIT(tr_loader_report)

/** A file that could not be loaded: which of those given, why (TR_E...), and a sentence
 *  that names it. The others go on. Called in the thread of the run. */
typedef void tr_loader_failed(void *context, size_t index, int error, const char *detail);

/**
 * Load one file into a new message, as if it had been loaned and filled.
 *
 * @param timeout_ns  how long to wait for a slot
 * @return 0, TR_EINVAL, TR_ENOENT, TR_EACCES, TR_EIO (also: the file shrank or grew while
 *         it was read), TR_EBUSY (another process has a lease on it), TR_EFORMAT, TR_EOBJECT,
 *         TR_ENOTSUP, TR_EOVERFLOW, TR_EMSGSIZE (no slot is as large as the file), TR_ENFILE, and
 *         as tr_message_loan(). The detail names the file.
 * Owner: the caller. Threads: any. Syscalls: five. Crash: reap frees the slot.
 */
TR_API TR_CHECK int tr_npy_load(tr_arena *arena, const char *path, int64_t timeout_ns,
                                tr_message **out);

/**
 * Make a loader. What lies in the page cache it copies at once; for the rest it uses
 * io_uring where that works (and where the ring can outlive the process in order: see device.h;
 * else pread()), and registers the slots with it for TR_LOADER_DIRECT if the
 * limit on locked memory allows.
 * @return 0, TR_EINVAL, TR_ENOMEM, and what joining in a forked child returns.
 * Owner: the caller, until tr_loader_close().
 * Threads: any. Syscalls: some. Crash: nothing is shared.
 */
TR_API TR_CHECK int tr_loader_open(tr_arena *arena, const tr_loader_options *options,
                                   tr_loader **out);

/** Free the loader; waits for reads that are under way. NULL is allowed. Threads: one. */
TR_API void tr_loader_close(tr_loader *loader);

/**
 * Read @p n files and send each to @p queue when it is complete. The header's
 * correlation_id is the index of its path.
 *
 * @param timeout_ns  for the whole run: how long to wait for slots and for room
 * @param failed      told of each file that fails; may be NULL
 * @param report      may be NULL
 * @return 0 if every file was sent or reported; TR_EINVAL, TR_ETIMEDOUT, TR_EAGAIN,
 *         TR_EINTR, TR_ECLOSED, TR_EFORK, TR_ECORRUPT: the run ended before, files not
 *         sent were given up.
 * Threads:  one.
 * Progress: blocks up to the timeout, and as long as reading takes.
 * Syscalls: four a file and less than one for its bytes.
 * Crash:    what was sent stays; reap frees the slots of the rest, those that the kernel still
 *           reads into when it is done.
 */
TR_API TR_CHECK int tr_loader_run(tr_loader *loader, const char *const paths[], size_t n,
                                  tr_queue *queue, int64_t timeout_ns,
                                  tr_loader_failed *failed, void *context,
                                  tr_loader_report *report);

/**
 * Write tensor @p index of a message as a .npy file that NumPy reads. The file appears under
 * its name when it is whole, taking the place of one that is there. Any number of threads and
 * processes may store to one path: each file that appears is whole.
 *
 * @return 0, TR_EINVAL, TR_ENOENT, TR_EACCES, TR_ENOSPC, TR_EIO, TR_ENFILE, TR_ENOMEM,
 *         TR_ENAMETOOLONG, and as tr_npy_encode(). The detail names the file.
 * Threads: one for the message. Syscalls: five. Crash: a file
 * ".tensoring-NUMBER.tmp" may be left in the same folder.
 */
TR_API TR_CHECK int tr_npy_store(const tr_message *message, size_t index,
                                 const char *path);

TR_END_DECLS
#endif
