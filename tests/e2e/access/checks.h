/* SPDX-License-Identifier: MIT */
/* checks.h - each check in a process of its own, which may give up rights and limits. */
#ifndef TR_TESTS_CHECKS_H
#define TR_TESTS_CHECKS_H

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tensoring/tensoring.h>

#define SKIPPED 77

struct check {
    const char *name;
    void (*run)(void);
};

static inline _Noreturn void skip(const char *why)
{
    printf("skipped: %s\n", why);
    fflush(stdout);
    _exit(SKIPPED);
}

static inline void expect(const char *what, int ok)
{
    if (ok)
        return;
    fprintf(stderr, "not so: %s (%s)\n", what, tr_error_detail());
    _exit(1);
}

/* That code, and a reason. */
static inline void expect_code(const char *what, int code, int expected)
{
    if (code != expected)
        fprintf(stderr, "%s: %s, expected %s\n", what, tr_error_name(code),
                tr_error_name(expected));
    expect(what, code == expected && (code == 0 || tr_error_detail()[0]));
}

/* Run @p body in a child. What it exits with. */
static inline int in_child(void (*body)(void))
{
    int status;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        alarm(60);
        body();
        _exit(0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return 1;
    if (WIFSIGNALED(status))
        fprintf(stderr, "killed by signal %d\n", WTERMSIG(status));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static inline int run_checks(const struct check checks[], size_t count)
{
    size_t skipped = 0, failed = 0;

    for (size_t i = 0; i < count; i++) {
        int result;

        printf("%s\n", checks[i].name);
        result = in_child(checks[i].run);
        skipped += result == SKIPPED;
        failed += result != 0 && result != SKIPPED;
        if (result != 0 && result != SKIPPED)
            printf("FAILED: %s\n", checks[i].name);
    }
    return failed ? 1 : skipped == count ? SKIPPED : 0;
}

#endif
