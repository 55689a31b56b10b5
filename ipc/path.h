/* SPDX-License-Identifier: MIT */
/* path.h - what the compiler cannot know of the data path: what each message goes through,
 * and what few do. A function that is rare and inlined makes the common one save registers
 * and spread over more lines of code. */
#ifndef TR_IPC_PATH_H
#define TR_IPC_PATH_H

#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* A part of a function of the data path. */
#define PATH static inline __attribute__((always_inline))

/* The same for one that another file calls: link-time optimisation makes it a part of its
 * callers, so it should have few. clang decides by itself, and does not let such a function call
 * static ones. */
#ifdef __clang__
#define PATH_ACROSS
#else
#define PATH_ACROSS inline __attribute__((always_inline))
#endif

/* What the data path calls now and then. */
#define ASIDE __attribute__((noinline))

/* What it almost never calls. */
#define RARE __attribute__((noinline, cold))

/* Fetch a line that is read and then written: at once, instead of first to be read. On x86-64
 * that takes -mprfchw, see src/CMakeLists.txt. Part of its caller, since a function that does
 * nothing but this has no effect that gcc knows of, and is left out. */
PATH void fetch_to_write(const void *line)
{
    __builtin_prefetch(line, 1);
}

#endif
