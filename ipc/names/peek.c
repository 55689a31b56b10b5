/* SPDX-License-Identifier: MIT */
#include "ipc/names/peek.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/names/look.h"

int peek_open(const char *name, struct peek *peek, struct segment_report *report)
{
    peek->view.lock_fd = segment_open(name, TRUST_OWN, report);
    return peek->view.lock_fd < 0 ? peek->view.lock_fd
                                  : look_control(&peek->view, &peek->st, report);
}

void peek_end(struct peek *peek)
{
    if (peek->view.lock_fd >= 0)
        close(peek->view.lock_fd);
    peek->view.lock_fd = -1;
}

/* Close it through a mapping of what comes before the channels. */
static int close_mapped(const struct peek *peek, bool crashed)
{
    struct view view = peek->view;
    uint64_t bytes = view.geo.channels_off;
    int result;

    view.base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, view.lock_fd, 0);
    if (view.base == MAP_FAILED)
        return -errno;
    result = participant_close_arena(&view, crashed) == ADMISSION_CLOSED ? 0 : -EEXIST;
    munmap(view.base, bytes);
    return result;
}

/* The child of a process that may have threads: it takes no lock, and returns nowhere. No core is
 * written. No handler of the program is called, for SIGBUS neither: all signals are blocked, and
 * a blocked fault ends the process. */
static _Noreturn void close_and_exit(const struct peek *peek, bool crashed)
{
    prctl(PR_SET_DUMPABLE, 0);
    _exit(-close_mapped(peek, crashed));
}

/* As fork(), without the program's handlers of it (pthread_atfork) and its SIGCHLD: the child
 * is hidden from the program, whose wait() does not see it either. */
static pid_t fork_quietly(void)
{
    return (pid_t)syscall(SYS_clone, 0UL, NULL, NULL, NULL, 0UL);
}

static int close_in_child(const struct peek *peek, bool crashed)
{
    sigset_t all, before;
    int status = -1;
    pid_t pid;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    pid = fork_quietly();
    if (pid == 0)
        close_and_exit(peek, crashed);
    if (pid > 0)
        while (waitpid(pid, &status, __WALL) < 0 && errno == EINTR)
            continue;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pid < 0)
        return -ENOMEM;
    return WIFEXITED(status) ? -WEXITSTATUS(status) : -EEXIST;
}

int peek_close_arena(const struct peek *peek, bool crashed)
{
    return peek->st.st_mode & 066 ? close_in_child(peek, crashed)
                                  : close_mapped(peek, crashed);
}
