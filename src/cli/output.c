/* SPDX-License-Identifier: MIT */
/* Lost output is a failure of the command, whichever command it is: looked at on the way out,
 * which argp takes for --help, too. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

/* A file that is opened later must not become standard output by its number. What stands in
 * for the missing descriptor can't be written to, and is not passed on. */
static void fill_gap(int fd)
{
    int got;

    if (fcntl(fd, F_GETFD) >= 0)
        return;
    got = open("/dev/null", (fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
    if (got >= 0 && got != fd)
        close(got);
}

/* A reader that has seen enough (EPIPE, where SIGPIPE is ignored) needs no sentence. */
static void close_output(void)
{
    bool lost = fflush(stdout) != 0;
    int cause = lost ? errno : 0; /* of what was lost before, it is not known any more */

    if (!lost && !ferror(stdout))
        return;
    if (cause != EPIPE)
        fprintf(stderr, "tensoring: the output is lost%s%s\n", cause ? ": " : "",
                cause ? strerrordesc_np(cause) : "");
    _exit(1);
}

void guard_output(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        fill_gap(fd);
    atexit(close_output);
}
