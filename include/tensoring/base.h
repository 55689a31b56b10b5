/* SPDX-License-Identifier: MIT */
/* base.h - what every header of tensoring uses, and the words in which functions are
 * documented.
 *
 *  Owner     which side must give the thing back, and which has it after an error.
 *  Threads   "any": many threads at once; "one": the caller keeps others away.
 *  Progress  "wait-free": a bounded number of own steps; "lock-free": some thread
 *            always progresses, also when others are stopped or killed; "blocks": up to the
 *            timeout, no longer.
 *  Syscalls  what the common case costs.
 *  Crash     what others see when the caller is killed inside, or right after.
 *            A call that says no Owner hands nothing over; one that says no Crash leaves nothing
 *            that others could see.
 *  @return   0 or a negative TR_E... code: the complete list of this call.
 *
 * NULL: an argument may be NULL only where the function says so. Else it is TR_EINVAL, and nothing
 * has happened. A function without a code returns 0, false or NULL then, unless it names another
 * value, and does nothing. To close NULL does nothing. A handle that was closed (a message: sent
 * or released) counts as NULL. A closed arena takes the use of what was opened
 * in it with it: that can still be closed. Time-outs are TR_FOREVER, TR_NOWAIT or more;
 * flags that have no meaning and reserved fields that are not 0 are TR_EINVAL. So is a
 * struct_size under 8 or not a multiple of 4; one that is larger than this library knows is
 * TR_EINVAL for a struct that the call fills, and for options if a byte beyond is not 0.
 *
 * A struct that begins with struct_size may grow at its end: start from its _INIT macro, and a
 * program that was compiled with an older header gets and gives the fields that it knows. A call
 * that fills an array takes the size of one element, sizeof(array[0]), too. A struct
 * that the library hands to a callback says in struct_size what the library has filled. A struct
 * without struct_size does not grow.
 *
 * A call that writes text or bytes into a buffer of the caller says how many it needs, the 0 of a
 * text among them, whether or not they fit. A buffer that is too small is TR_EOVERFLOW; what is in
 * it then means nothing, but a text ends with a 0. NULL with a capacity of 0 asks for the size
 * alone and returns 0.
 *
 * Nothing in the library prints, exits, changes errno on purpose, or installs a signal
 * handler. */
#ifndef TENSORING_BASE_H
#define TENSORING_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TR_API   __attribute__((visibility("default"))) /* the rest is hidden */
#define TR_CHECK __attribute__((warn_unused_result))

#ifdef __cplusplus
#define TR_ASSERT_SIZE(type, n) static_assert(sizeof(type) == (n), "ABI: " #type)
#define TR_BEGIN_DECLS          extern "C" {
/** What the _INIT macros of structs for results are made of: struct_size is set, all else is 0. */
#define TR_RESULT_INIT(type)                           \
    ([]() -> type {                                    \
        type tr_made_ = type();                        \
        tr_made_.struct_size = (uint32_t)sizeof(type); \
        return tr_made_;                               \
    }())
#define TR_END_DECLS }
#else
#define TR_ASSERT_SIZE(type, n) _Static_assert(sizeof(type) == (n), "ABI: " #type)
#define TR_BEGIN_DECLS
/* clang-format off */
#define TR_RESULT_INIT(type) {.struct_size = sizeof(type)}
/* clang-format on */
#define TR_END_DECLS
#endif

/** Timeouts are nanoseconds on CLOCK_MONOTONIC, relative to the call. */
#define TR_NOWAIT  INT64_C(0)
#define TR_FOREVER INT64_C(-1)

typedef struct tr_arena tr_arena;     /**< one mapping of one arena. Threads: any */
typedef struct tr_message tr_message; /**< a slot, loaned or received. Threads: one */
typedef struct tr_queue tr_queue;     /**< each message to one receiver. Threads: any */

#endif
