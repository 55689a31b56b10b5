/* SPDX-License-Identifier: MIT */
#include "kept.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "say.h"

void kept_word(char word[64], pid_t keeper, pid_t program)
{
    int pidfd = pidfd_open(program, 0);

    if (pidfd >= 0)
        fcntl(pidfd, F_SETFD, 0);
    snprintf(word, 64, "--kept=%d:%d:%d", (int)keeper, dup(STDIN_FILENO), pidfd);
}

static void close_at_exec(int fd)
{
    if (fd >= 0)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
}

void kept_open(struct kept *kept, const char *word)
{
    int keeper;

    *kept = (struct kept){
        .keeper = getppid(), .input = -1, .program = -1, .stop_ns = KEPT_STOP_NS};
    if (!word || sscanf(word, "%d:%d:%d", &keeper, &kept->input, &kept->program) != 3)
        return;
    kept->keeper = keeper;
    close_at_exec(kept->input);
    close_at_exec(kept->program);
    prctl(PR_SET_PDEATHSIG, KEPT_SIGNAL);
}

static bool readable(int fd)
{
    struct pollfd one = {fd, POLLIN, 0};

    return fd >= 0 && poll(&one, 1, 0) > 0;
}

/* True: it is over. Lines that the keeper had not read are told to the next one, too. */
static bool take_input(struct kept *kept)
{
    char text[4096], *rest = text, *line;
    unsigned long long ms;
    bool stops = false;
    ssize_t got;

    if (!readable(kept->input))
        return false;
    got = read(kept->input, text, sizeof(text) - 1);
    if (got <= 0)
        return true;
    text[got] = 0;
    while ((line = strsep(&rest, "\n")))
        if (sscanf(line, "stop %llu", &ms) == 1) {
            kept->stop_ns = (int64_t)ms * 1000000;
            stops = true;
        }
    return stops;
}

bool kept_look(struct kept *kept)
{
    if (kept->input < 0 || kept->over || getppid() == kept->keeper)
        return false;
    if (!kept->alone)
        say("its keeper (pid %d) is gone: this bridge goes on until its program ends, or "
            "starts another one",
            (int)kept->keeper);
    kept->alone = true;
    kept->over = take_input(kept) || readable(kept->program);
    return kept->over;
}

void kept_fds(const struct kept *kept, struct pollfd fds[2])
{
    bool watch = kept->alone && !kept->over;

    fds[0] = (struct pollfd){watch ? kept->input : -1, POLLIN, 0};
    fds[1] = (struct pollfd){watch ? kept->program : -1, POLLIN, 0};
}
