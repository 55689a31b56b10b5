/* SPDX-License-Identifier: MIT */
/* `tensoring serve` runs models, which are Python classes: the Python package has it, as the
 * program tensoring-serve. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

enum { CANNOT_RUN = 126, NOT_FOUND = 127 }; /* as the shell has it */

int cmd_serve(int argc, char **argv)
{
    static char program[] = "tensoring-serve";

    (void)argc;
    argv[0] = program;
    execvp(program, argv);
    if (errno != ENOENT) {
        fprintf(stderr, "tensoring: serve: %s: %s\n", program, strerrordesc_np(errno));
        return CANNOT_RUN;
    }
    fprintf(stderr,
            "tensoring: serve: %s is not on the PATH; it comes with the Python package: "
            "activate its environment, or run python -m tensoring serve\n",
            program);
    return NOT_FOUND;
}
