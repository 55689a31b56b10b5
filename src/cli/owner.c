/* SPDX-License-Identifier: MIT */
#include "owner.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"

bool is_of_another(const struct stat *file)
{
    return geteuid() == 0 && file->st_uid != 0;
}

/* A user that has no account (of a container) has the group of its file. No other user can trace
 * the child or read its memory, as it began with more rights (PR_SET_DUMPABLE). */
static int become(const struct stat *file)
{
    const struct passwd *user = getpwuid(file->st_uid);
    gid_t group = user ? user->pw_gid : file->st_gid;
    int failed;

    if (file->st_uid == geteuid())
        return 0;
    failed = user ? initgroups(user->pw_name, group) : setgroups(1, &group);
    return failed < 0 || setgid(group) < 0 || setuid(file->st_uid) < 0 ? -errno : 0;
}

static _Noreturn void child(const struct stat *file, int (*work)(void *context),
                            void *context)
{
    int result = become(file), code;

    if (result < 0) {
        fprintf(stderr, "tensoring: become user %u: %s\n", file->st_uid,
                strerrordesc_np(-result));
        _exit(255);
    }
    code = work(context);
    _exit(output_lost() ? 1 : code);
}

/* The owner may stop or kill it; it must not keep us waiting. */
static int end_of(pid_t pid, const struct stat *file)
{
    int status = 0;

    while (waitpid(pid, &status, WUNTRACED) < 0 && errno == EINTR)
        continue;
    if (WIFEXITED(status) && WEXITSTATUS(status) != 255)
        return WEXITSTATUS(status);
    if (WIFSTOPPED(status)) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    if (!WIFEXITED(status))
        fprintf(stderr, "tensoring: process %d, which acted as user %u, %s: %s\n",
                (int)pid, file->st_uid, WIFSTOPPED(status) ? "was stopped" : "died",
                strsignal(WIFSTOPPED(status) ? WSTOPSIG(status) : WTERMSIG(status)));
    return -1;
}

int as_owner(const struct stat *file, int (*work)(void *context), void *context)
{
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0)
        child(file, work, context);
    if (pid > 0)
        return end_of(pid, file);
    fprintf(stderr, "tensoring: fork: %s\n", strerrordesc_np(errno));
    return -1;
}
