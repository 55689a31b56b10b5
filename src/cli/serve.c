/* SPDX-License-Identifier: MIT */
/* Commands that are programs of their own. `tensoring serve` runs models, which are Python
 * classes: the Python package has it, as the program tensoring-serve. `tensoring bridge` has an
 * engine for networks, which nothing else here depends on. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

enum { CANNOT_RUN = 126, NOT_FOUND = 127 }; /* as the shell has it */

/* Become @p program; if it is not there, say @p advice. */
static int become(const char *command, char *program, char **argv, const char *advice)
{
    argv[0] = program;
    execvp(program, argv);
    if (errno != ENOENT) {
        fprintf(stderr, "tensoring: %s: %s: %s\n", command, program,
                strerrordesc_np(errno));
        return CANNOT_RUN;
    }
    fprintf(stderr, "tensoring: %s: %s is not on the PATH; %s\n", command, program,
            advice);
    return NOT_FOUND;
}

int cmd_serve(int argc, char **argv)
{
    static char program[] = "tensoring-serve";

    (void)argc;
    return become("serve", program, argv,
                  "it comes with the Python package: activate its environment, or run "
                  "python -m tensoring serve");
}

int cmd_bridge(int argc, char **argv)
{
    static char program[] = "tensoring-bridge";

    (void)argc;
    return become("bridge", program, argv,
                  "install Debian's or Python's package tensoring-bridge, or build "
                  "tensoring with -DTR_BRIDGE=zmq, which needs libzmq");
}
