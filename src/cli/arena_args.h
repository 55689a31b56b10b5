/* SPDX-License-Identifier: MIT */
/* arena_args.h - what ls, stat, who, reap and gc take. */
#ifndef TR_CLI_ARENA_ARGS_H
#define TR_CLI_ARENA_ARGS_H

#include <stdbool.h>
#include <stdint.h>

enum wants {
    WANTS_NOTHING,
    WANTS_AN_ARENA, /* a name, a path, or --pid */
    WANTS_A_NAME,
    MAY_HAVE_A_PREFIX /* and --dry-run */
};

struct arena_args {
    bool json, dry_run;
    enum wants wants;
    const char *name; /* NULL: not given */
    uint32_t pid;     /* 0: not given */
};

/* Ends the program with a usage message if they are wrong. */
struct arena_args take_arena_args(int argc, char **argv, enum wants wants,
                                  const char *doc);

#endif
