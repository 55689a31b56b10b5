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

/** Name, value, message. Enum, messages, Python exceptions and the table in the guide are
 *  made from this list. Numbers are never changed or reused. */
#define TR_ERRORS(X)                                                       \
    X(AGAIN, -EAGAIN, "nothing to do without waiting")                     \
    X(INVAL, -EINVAL, "an argument is out of range")                       \
    X(NOMEM, -ENOMEM, "not enough private memory")                         \
    X(NOSPC, -ENOSPC, "not enough shared memory")                          \
    X(TIMEDOUT, -ETIMEDOUT, "the time given is over")                      \
    X(INTR, -EINTR, "a signal came while waiting")                         \
    X(ACCES, -EACCES, "not let in")                                        \
    X(PERM, -EPERM, "the kernel refused")                                  \
    X(EXIST, -EEXIST, "the name is taken")                                 \
    X(NOENT, -ENOENT, "there is nothing by that name")                     \
    X(BUSY, -EBUSY, "still in use")                                        \
    X(MSGSIZE, -EMSGSIZE, "no slot class is large enough")                 \
    X(OVERFLOW, -EOVERFLOW, "a size does not fit in 64 bits")              \
    X(NAMETOOLONG, -ENAMETOOLONG, "the name is too long")                  \
    X(NOTSUP, -EOPNOTSUPP, "this machine or arena cannot do that")         \
    X(IO, -EIO, "input or output failed")                                  \
    X(USERS, -EUSERS, "every participant entry is taken")                  \
    X(NFILE, -EMFILE, "no descriptor is left")                             \
    X(CANCELED, -ECANCELED, "the operation was cancelled")                 \
    X(CLOSED, -4097, "the channel is closed and empty")                    \
    X(PEERDIED, -4098, "the process on the other side died")               \
    X(LAYOUT, -4099, "the arena was made by an incompatible version")      \
    X(CORRUPT, -4100, "the arena's contents break a rule")                 \
    X(LAGGED, -4101, "messages were dropped before they could be read")    \
    X(FORK, -4102, "the message belongs to the parent process")            \
    X(ABANDONED, -4103, "the creator died, or we were taken for dead")     \
    X(FORMAT, -4104, "the bytes are not in the format expected")           \
    X(OBJECT, -4105, "Python objects cannot be shared as raw bytes")       \
    X(PINS, -4106, "this process holds as many shared messages as it may") \
    X(EVICTED, -4107, "the subscriber was too slow and has been evicted")  \
    X(REMOTE, -4108, "the server answered with an error")                  \
    X(STALE, -4109, "the version is not the one expected")                 \
    X(CHECKSUM, -4110, "the payload does not match its checksum")

enum {
#define TR_ERROR_ENUM(name, value, text) TR_E##name = (value),
    TR_ERRORS(TR_ERROR_ENUM)
#undef TR_ERROR_ENUM
};

/** The message of @p err. Static storage, never NULL. Threads: any. */
TR_API const char *tr_strerror(int err);

/** The name of @p err ("TR_EAGAIN"), or NULL if there is no such code. Threads: any. */
TR_API const char *tr_error_name(int err);

/** Why this thread's last failed call failed: step, arguments, limit met, way out; ""
 *  if there is nothing to add. Control characters, and what is no UTF-8, are shown as '?'. Valid until the thread's next failure. Threads: any. */
TR_API const char *tr_error_detail(void);

TR_END_DECLS
#endif
