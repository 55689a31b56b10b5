/* SPDX-License-Identifier: MIT */
/* error.h - one table of results, and the sentence that explains the last failure.
 *
 * Every call that can fail returns 0 or one of these negative codes. A code that errno
 * has a word for has errno's number; the library's own lie below -4096. */
#ifndef TENSORING_ERROR_H
#define TENSORING_ERROR_H

#include <errno.h>

#include <tensoring/base.h>

TR_BEGIN_DECLS

/** Name, value, message. Enum, messages, Python exceptions and the table in
 *  docs/reference/errors.md are made from this list. Numbers are never changed or reused. */
#define TR_ERRORS(X)                                                            \
    X(AGAIN, -EAGAIN, "would block")                                            \
    X(INVAL, -EINVAL, "invalid argument")                                       \
    X(NOMEM, -ENOMEM, "out of private memory")                                  \
    X(NOSPC, -ENOSPC, "out of shared memory")                                   \
    X(TIMEDOUT, -ETIMEDOUT, "timed out")                                        \
    X(INTR, -EINTR, "interrupted by a signal")                                  \
    X(ACCES, -EACCES, "permission denied")                                      \
    X(PERM, -EPERM, "operation not permitted by the kernel")                    \
    X(EXIST, -EEXIST, "already exists")                                         \
    X(NOENT, -ENOENT, "not found")                                              \
    X(BUSY, -EBUSY, "in use")                                                   \
    X(MSGSIZE, -EMSGSIZE, "message too large for every slot class")             \
    X(OVERFLOW, -EOVERFLOW, "too large for the buffer or for 64 bits")          \
    X(NAMETOOLONG, -ENAMETOOLONG, "the name is too long")                       \
    X(NOTSUP, -EOPNOTSUPP, "not supported by this machine, library or arena")   \
    X(IO, -EIO, "input or output failed")                                       \
    X(USERS, -EUSERS, "too many participants")                                  \
    X(NFILE, -EMFILE, "too many open files")                                    \
    X(CANCELED, -ECANCELED, "the operation was canceled")                       \
    X(CLOSED, -4097, "the channel is closed and empty")                         \
    X(PEERDIED, -4098, "the other process died")                                \
    X(LAYOUT, -4099, "the arena was made by an incompatible version")           \
    X(CORRUPT, -4100, "the arena is corrupted")                                 \
    X(LAGGED, -4101, "messages were dropped before they were read")             \
    X(FORK, -4102, "the message belongs to the parent process")                 \
    X(ABANDONED, -4103, "the creator died, or this process was taken for dead") \
    X(FORMAT, -4104, "invalid format")                                          \
    X(OBJECT, -4105, "Python objects cannot be shared as raw bytes")            \
    X(PINS, -4106, "too many shared messages are held by this process")         \
    X(EVICTED, -4107, "the subscriber was too slow and was evicted")            \
    X(REMOTE, -4108, "the server answered with an error")                       \
    X(STALE, -4109, "the version is not the expected one")                      \
    X(CHECKSUM, -4110, "the checksum of the payload does not match")

enum {
#define TR_ERROR_ENUM(name, value, text) TR_E##name = (value),
    TR_ERRORS(TR_ERROR_ENUM)
#undef TR_ERROR_ENUM
};

/** The message of @p err. Static storage, never NULL. Threads: any. */
TR_API const char *tr_strerror(int err);

/** The name of @p err ("TR_EAGAIN"), or NULL if there is no such code. Threads: any. */
TR_API const char *tr_error_name(int err);

/** Why this thread's last failed call failed: step, arguments, limit met, way out; "" if there is
 *  nothing to add. Control characters, and bytes that are not UTF-8, are shown as '?'. Valid
 *  until the thread's next failure. Threads: any. */
TR_API const char *tr_error_detail(void);

TR_END_DECLS
#endif
