/* SPDX-License-Identifier: MIT */
/* n copies of a command: the pool's workers become it. Signals come from a descriptor:
 * those that mean "end" drain the pool, all others go to the workers. */
#include <argp.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <tensoring/pool.h>

#include "cli.h"
#include "plan_args.h"

enum {
    KEY_RESTART = 0x200,
    KEY_DRAIN,
    KEY_BACKOFF,
    KEY_NO_BIND,
    KEY_KEEP_ENV,
    KEY_QUIET
};
enum { CANNOT_RUN = 126, NOT_FOUND = 127 }; /* as the shell has it */

struct args {
    struct plan_args plan;
    tr_pool_options pool;
    bool quiet;
    char **command;
};

/* What the pool's callbacks need. */
struct run {
    char **command;
    sigset_t mask; /* that the command starts with */
    bool quiet;
    bool draining;
    bool broken;          /* the command cannot be run: no use in trying again */
    _Atomic int *refused; /* shared with the workers: errno of an execvp(), or 0 */
    int exit_code;
};

static const struct argp_option options[] = {
    {"restart", KEY_RESTART, "WHEN", 0, "on-failure (default), always or never", 0},
    {"drain", KEY_DRAIN, "SECONDS", 0, "Time from SIGTERM to SIGKILL; default 30", 0},
    {"backoff", KEY_BACKOFF, "MS", 0,
     "Delay of the restart after a failure, doubled in a row up to 10 s; default 100", 0},
    {"no-bind", KEY_NO_BIND, NULL, 0, "Set thread counts, but bind nothing", 0},
    {"keep-env", KEY_KEEP_ENV, NULL, 0, "Keep variables that are already set", 0},
    {"quiet", 'q', NULL, 0, "Do not report workers that end", 0},
    {0}};

static uint32_t restart_arg(const struct argp_state *state, const char *text)
{
    if (!strcmp(text, "on-failure"))
        return TR_RESTART_ON_FAILURE;
    if (!strcmp(text, "always"))
        return TR_RESTART_ALWAYS;
    if (strcmp(text, "never") != 0)
        argp_error(state, "--restart must be on-failure, always or never, not '%s'",
                   text);
    return TR_RESTART_NEVER;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct args *args = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &args->plan;
        args->pool = (tr_pool_options)TR_POOL_OPTIONS_INIT;
        return 0;
    case KEY_RESTART:
        args->pool.restart = restart_arg(state, arg);
        return 0;
    case KEY_DRAIN:
        args->pool.drain_ns = (int64_t)number_arg(state, arg, "--drain", 0, 1000000) *
                              1000000000;
        return 0;
    case KEY_BACKOFF:
        args->pool.backoff_ns = (int64_t)number_arg(state, arg, "--backoff", 0, 10000) *
                                1000000;
        return 0;
    case KEY_NO_BIND:
        args->pool.enter_flags |= TR_ENTER_NO_BIND;
        return 0;
    case KEY_KEEP_ENV:
        args->pool.enter_flags |= TR_ENTER_KEEP_ENV;
        return 0;
    case 'q':
        args->quiet = true;
        return 0;
    case ARGP_KEY_ARGS:
        args->command = state->argv + state->next;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "no command is given; say what to run");
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int become(tr_pool_worker *worker, void *context)
{
    const struct run *run = context;

    (void)worker;
    sigprocmask(SIG_SETMASK, &run->mask, NULL);
    execvp(run->command[0], run->command);
    atomic_store(run->refused, errno);
    return errno == ENOENT ? NOT_FOUND : CANNOT_RUN;
}

static void tell(const tr_pool_death *death)
{
    char how[64], next[64] = "";

    if (death->signal)
        snprintf(how, sizeof(how), "killed by signal %d (%s)", death->signal,
                 sigabbrev_np(death->signal) ? sigabbrev_np(death->signal) : "?");
    else
        snprintf(how, sizeof(how), "ended with %d", death->exit_code);
    if (death->restart_ns >= 0)
        snprintf(next, sizeof(next), "; starts again in %.1f s",
                 (double)death->restart_ns / 1e9);
    fprintf(stderr, "tensoring: worker %u (process %d) %s after %.1f s%s\n",
            death->worker, death->pid, how, (double)death->lived_ns / 1e9, next);
}

static void note_death(const tr_pool_death *death, void *context)
{
    struct run *run = context;
    int refused = atomic_load(run->refused);

    if (refused) {
        if (!run->broken)
            fprintf(stderr, "tensoring: run: %s: %s; no copy is started again\n",
                    run->command[0],
                    refused == ENOENT ? "there is no such command"
                                      : strerrordesc_np(refused));
        run->broken = true;
        run->exit_code = refused == ENOENT ? NOT_FOUND : CANNOT_RUN;
        return;
    }
    if (!run->quiet && (death->signal || death->exit_code != 0))
        tell(death);
    if (death->restart_ns < 0 &&
        !run->draining) { /* the worst of the copies that are not restarted */
        int code = death->signal ? 128 + death->signal : death->exit_code;

        run->exit_code = code > run->exit_code ? code : run->exit_code;
    }
}

static void obey(tr_pool *pool, struct run *run, uint32_t signal)
{
    if (signal != SIGTERM && signal != SIGINT && signal != SIGQUIT) {
        tr_pool_signal(pool, (int)signal);
        return;
    }
    if (run->draining)
        tr_pool_signal(pool, SIGKILL);
    run->draining = true;
    tr_pool_drain(pool);
}

static int supervise(tr_pool *pool, struct run *run, int signals)
{
    struct pollfd watched[2] = {{.fd = signals, .events = POLLIN}, {.events = POLLIN}};
    int failed = tr_pool_fd(pool, &watched[1].fd);

    if (failed)
        return complain("run", failed);
    for (;;) {
        struct signalfd_siginfo info;
        int result = tr_pool_step(pool, TR_NOWAIT);

        if (result == TR_ECLOSED)
            return run->exit_code;
        if (result && result != TR_EAGAIN && result != TR_EINTR)
            return complain("run", result);
        if (run->broken && !run->draining) {
            run->draining = true;
            tr_pool_drain(pool);
        }
        if (!result)
            continue;
        if (poll(watched, 2, -1) < 0 && errno != EINTR)
            return complain("run: poll", TR_EIO);
        while (read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
            obey(pool, run, info.ssi_signo);
    }
}

/* Block what is taken from the descriptor, so that it is not delivered. */
static int take_signals(sigset_t *before)
{
    static const int taken[] = {SIGTERM, SIGINT,  SIGQUIT,  SIGHUP, SIGUSR1,
                                SIGUSR2, SIGCONT, SIGWINCH, SIGALRM};
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
        sigaddset(&set, taken[i]);
    sigprocmask(SIG_BLOCK, &set, before);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int cmd_run(int argc, char **argv)
{
    static const struct argp_child children[] = {
        {&plan_argp, 0, NULL, 0}, {&help_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        options,
        parse,
        "-- COMMAND [ARGUMENT...]",
        "Start n copies of a command, each on cores of its own, with its thread count in "
        "the "
        "environment and TENSORING_WORKER=i/n; start them again when they fail.",
        children,
        NULL,
        NULL};
    struct args args = {0};
    struct run run = {0};
    tr_pool *pool;
    int signals, code, result;

    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &args);
    run.command = args.command;
    run.quiet = args.quiet;
    run.refused = mmap(NULL, sizeof(*run.refused), PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (run.refused == MAP_FAILED)
        return complain("run: a page to share", TR_ENOMEM);
    signals = take_signals(&run.mask);
    if (signals < 0)
        return complain("run: a descriptor for signals", TR_ENFILE);
    args.pool.workers = args.plan.workers;
    args.pool.plan = &args.plan.options;
    args.pool.flags = TR_POOL_READY_AT_START | TR_POOL_DIE_WITH_MASTER;
    args.pool.stop_signal = SIGTERM;
    args.pool.run = become;
    args.pool.died = note_death;
    args.pool.context = &run;
    result = tr_pool_start(&args.pool, &pool);
    if (result)
        return complain("run", result);
    code = supervise(pool, &run, signals);
    tr_pool_close(pool);
    close(signals);
    return code;
}
