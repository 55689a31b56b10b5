/* SPDX-License-Identifier: MIT */
/* version.h - which version a program was compiled with, and which library it runs with. */
#ifndef TENSORING_VERSION_H
#define TENSORING_VERSION_H

#include <tensoring/base.h>

TR_BEGIN_DECLS

/* The version of the library. The build reads it from here, nothing else repeats it. */
#define TR_VERSION_MAJOR 0
#define TR_VERSION_MINOR 1
#define TR_VERSION_PATCH 0

/** One number that grows with each version: that of this header. */
#define TR_VERSION                                                              \
    (TR_VERSION_MAJOR * UINT32_C(1000000) + TR_VERSION_MINOR * UINT32_C(1000) + \
     TR_VERSION_PATCH)

/** TR_VERSION of the library that the program runs with. Threads: any. */
TR_API uint32_t tr_version(void);

/** The same as text: "0.1.0". Static storage. Threads: any. */
TR_API const char *tr_version_text(void);

/**
 * Whether a program that was compiled with a header of version @p header can run with this
 * library: the major version is the same, and the library's minor version is the same or, from
 * 1.0 on, higher. Call TR_VERSION_CHECK() before anything else.
 * @return 0, TR_ENOTSUP (the detail names both versions).
 * Threads: any. Syscalls: none.
 */
TR_API TR_CHECK int tr_version_check(uint32_t header);
#define TR_VERSION_CHECK() tr_version_check(TR_VERSION)

TR_END_DECLS
#endif
