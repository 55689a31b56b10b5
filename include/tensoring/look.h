/* SPDX-License-Identifier: MIT */
/* look.h - look at an arena from outside, without joining it.
 *
 * A look takes no entry, so it works on an arena that is full; it wakes nobody and is counted
 * nowhere. It maps nothing of the arena and writes nothing to it: it reads the tables once (the
 * payloads never) into memory of its own, and answers from there. Figures are from slightly
 * different moments, since others go on working. */
#ifndef TENSORING_LOOK_H
#define TENSORING_LOOK_H

#include <tensoring/stats.h>

TR_BEGIN_DECLS

/** What the tables of an arena said. Threads: one. */
typedef struct tr_look tr_look;

/**
 * Look at a named arena. Permission to read its file is enough.
 * @return 0, TR_EINVAL, TR_ENAMETOOLONG, TR_ENOENT, TR_EACCES, TR_EABANDONED (not ready, its
 *         creator died), TR_EAGAIN (still being made), TR_ELAYOUT, TR_ECORRUPT, TR_ENFILE,
 *         TR_ENOMEM, TR_EIO.
 * Owner:   the caller, until tr_look_close(). Threads: any.
 * Syscalls: some, and the copying of 512 bytes a slot (that was used).
 */
TR_API TR_CHECK int tr_look_open(const char *name, tr_look **out);

/**
 * Look at the arena behind a descriptor, as of an anonymous one: /proc/PID/fd/N of a process
 * that has it, where the link says "/memfd:tensoring (deleted)". It is duplicated.
 * @return as tr_look_open().
 * Owner:   as tr_look_open(); the descriptor stays the caller's. Threads: any.
 * Syscalls: as tr_look_open().
 */
TR_API TR_CHECK int tr_look_open_fd(int fd, tr_look **out);

/** NULL is allowed. Threads: one. */
TR_API void tr_look_close(tr_look *look);

/** As tr_stats_get().
 *  @return 0, TR_EINVAL (struct_size, NULL). Threads: one. Syscalls: none. */
TR_API TR_CHECK int tr_look_stats(const tr_look *look, tr_stats *stats);

/** As tr_stats_participants(). Which processes are alive is checked now; the rest is from the
 *  opening.
 *  @return 0, TR_EINVAL (element_bytes, NULL). Threads: one. Syscalls: as
 *  tr_stats_participants(). */
TR_API TR_CHECK int tr_look_participants(const tr_look *look, tr_participant_stats *out,
                                         size_t element_bytes, size_t capacity,
                                         size_t *count);

/** As tr_stats_channels(). Which processes are alive is checked now; the rest is from the opening.
 *  @return 0, TR_EINVAL (element_bytes, NULL). Threads: one. Syscalls: as tr_stats_channels(). */
TR_API TR_CHECK int tr_look_channels(const tr_look *look, tr_channel_stats *out,
                                     size_t element_bytes, size_t capacity,
                                     size_t *count);

/** As tr_stats_classes().
 *  @return 0, TR_EINVAL (element_bytes, NULL). Threads: one. Syscalls: none. */
TR_API TR_CHECK int tr_look_classes(const tr_look *look, tr_class_stats *out,
                                    size_t element_bytes, size_t capacity, size_t *count);

/** What the arena is. There is no mapping: base is NULL, fd -1, self UINT32_MAX, huge_bytes 0.
 *  @return 0, TR_EINVAL (struct_size, NULL). Threads: one. Syscalls: one. */
TR_API TR_CHECK int tr_look_info(const tr_look *look, tr_arena_info *info);

TR_END_DECLS
#endif
