/* SPDX-License-Identifier: MIT */
/* Lost output is a failure of the command, whichever command it is: looked at on the way out,
 * which argp takes for --help, too. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "cli.h"

/* A file that is opened later must not become standard output by its number. Its substitute
 * cannot be written to, and is closed on exec. */
static void fill_gap(int fd)
{
    int got;

    if (fcntl(fd, F_GETFD) >= 0)
        return;
    got = open("/dev/null", (fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
    if (got >= 0 && got != fd)
        close(got);
}

static int cause; /* of the first write that failed; 0: none did */

/* stdio forgets why a write failed that it does before the end. */
static ssize_t write_all(void *cookie, const char *text, size_t size)
{
    size_t done = 0;

    (void)cookie;
    while (done < size) {
        ssize_t put = write(STDOUT_FILENO, text + done, size - done);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0) {
            cause = cause ? cause : errno;
            return 0;
        }
        done += (size_t)put;
    }
    return (ssize_t)done;
}

/* Standard output by write_all(). Without memory for it the reasons of early failures stay
 * unknown. */
static void remember_causes(void)
{
    FILE *file = fopencookie(NULL, "w", (cookie_io_functions_t){.write = write_all});

    if (!file)
        return;
    if (isatty(STDOUT_FILENO))
        setvbuf(file, NULL, _IOLBF, 0);
    stdout = file;
}

/* A reader that has seen enough (EPIPE, where SIGPIPE is ignored) needs no sentence. */
bool output_lost(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return false;
    if (cause != EPIPE)
        fprintf(stderr, "tensoring: the output is lost%s%s\n", cause ? ": " : "",
                cause ? strerrordesc_np(cause) : "");
    return true;
}

static void close_output(void)
{
    if (output_lost())
        _exit(1);
}

void guard_output(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        fill_gap(fd);
    remember_causes();
    atexit(close_output);
}
