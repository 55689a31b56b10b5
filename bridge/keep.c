/* SPDX-License-Identifier: MIT */
#include "keep.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include <tensoring/error.h>
#include <tensoring/pool.h>

#include "kept.h"
#include "say.h"

#define QUIET_MS   30 /* arguments that come together are taken together */
#define LOOK_MS    1000
#define DRAIN_NS   INT64_C(5000000000)
#define BACKOFF_NS INT64_C(100000000)
#define MOST_NS    INT64_C(30000000000)
#define LINE       4096

struct keep {
    char **args; /* of the bridge; ends with NULL */
    size_t count;
    char line[LINE]; /* what has come of the next one */
    size_t used;
    tr_pool *pool;
    pid_t parent;
    bool changed, over;
    int64_t stop_ns; /* how long it may take to stop */
    int exit_code;   /* of a bridge that will never run */
};

static bool add(struct keep *keep, const char *word)
{
    char **more = realloc(keep->args, (keep->count + 2) * sizeof(*more));

    if (!more)
        return false;
    keep->args = more;
    more[keep->count] = strdup(word);
    more[keep->count + 1] = NULL;
    if (!more[keep->count])
        return false;
    keep->count++;
    return true;
}

static void free_args(struct keep *keep)
{
    for (size_t i = 0; i < keep->count; i++)
        free(keep->args[i]);
    free(keep->args);
}

static void take_line(struct keep *keep, const char *line)
{
    unsigned long long ms;

    if (strncmp(line, "--", 2) == 0 && add(keep, line))
        keep->changed = true;
    else if (sscanf(line, "stop %llu", &ms) == 1)
        keep->stop_ns = (int64_t)ms * 1000000;
    else
        say("the input has the line '%s', which means nothing", line);
}

/* The end of the input is the end of the bridge. */
static void take_input(struct keep *keep)
{
    ssize_t got = read(STDIN_FILENO, keep->line + keep->used, LINE - 1 - keep->used);
    char *end;

    if (got <= 0) {
        keep->over = got == 0 || (errno != EINTR && errno != EAGAIN);
        return;
    }
    keep->used += (size_t)got;
    keep->line[keep->used] = 0;
    while ((end = strchr(keep->line, '\n'))) {
        *end = 0;
        take_line(keep, keep->line);
        keep->used -= (size_t)(end + 1 - keep->line);
        memmove(keep->line, end + 1, keep->used + 1);
    }
    if (keep->used == LINE - 1) {
        say("a line of the input is too long");
        keep->over = true;
    }
}

/* The same program, as a bridge. Its input is not that of the keeper. */
static int become(tr_pool_worker *worker, void *context)
{
    struct keep *keep = context;
    char word[64];

    (void)worker;
    kept_word(word, getppid(), keep->parent);
    if (!add(keep, word))
        return EX_OSERR;
    if (!freopen("/dev/null", "r", stdin))
        close(STDIN_FILENO);
    execv("/proc/self/exe", keep->args);
    say("/proc/self/exe cannot be run: %s", strerror(errno));
    return EX_UNAVAILABLE;
}

static void died(const tr_pool_death *death, void *context)
{
    struct keep *keep = context;

    if (death->signal && !death->expected)
        say("the bridge (pid %d) was killed by signal %d; the next one starts in %.1f s",
            death->pid, death->signal, (double)death->restart_ns / 1e9);
    if (death->exit_code == EX_USAGE || death->exit_code == EX_UNAVAILABLE)
        keep->exit_code = death->exit_code;
}

static int start(struct keep *keep)
{
    tr_pool_options options = TR_POOL_OPTIONS_INIT;
    char text[WHY_TEXT];
    int result;

    options.workers = 1;
    options.flags = TR_POOL_NO_PLAN | TR_POOL_DIE_WITH_MASTER | TR_POOL_READY_AT_START;
    options.restart = TR_RESTART_ALWAYS;
    options.run = become;
    options.died = died;
    options.context = keep;
    options.backoff_ns = BACKOFF_NS;
    options.backoff_max_ns = MOST_NS;
    options.drain_ns = -1;
    options.stop_signal = SIGTERM;
    result = tr_pool_start(&options, &keep->pool);
    if (result)
        say("%s", say_failure(text, "the bridge cannot be started", result));
    return result;
}

/* The next bridge has all arguments; this one confirms what is on its way, and ends. */
static int renew(struct keep *keep)
{
    keep->changed = false;
    if (!keep->pool)
        return start(keep);
    tr_pool_signal(keep->pool, SIGTERM);
    return 0;
}

static int look(struct keep *keep)
{
    struct pollfd fds[] = {{STDIN_FILENO, POLLIN, 0}, {-1, POLLIN, 0}};
    int result = 0, ready;

    if (keep->pool)
        result = tr_pool_fd(keep->pool, &fds[1].fd);
    if (result)
        return result;
    ready = poll(fds, 2, keep->changed ? QUIET_MS : LOOK_MS);
    if (ready > 0 && fds[0].revents)
        take_input(keep);
    else if (ready == 0 && keep->changed)
        result = renew(keep);
    if (keep->pool && !result)
        result = tr_pool_step(keep->pool, TR_NOWAIT);
    if (getppid() != keep->parent)
        keep->over = true; /* another process may still have the other end of the input */
    return result == TR_EAGAIN || result == TR_EINTR ? 0 : result;
}

/* The second SIGTERM says: now. */
static void stop(struct keep *keep)
{
    if (!keep->pool)
        return;
    if (tr_pool_stop(keep->pool, keep->stop_ns) == TR_ETIMEDOUT) {
        tr_pool_signal(keep->pool, SIGTERM);
        (void)!tr_pool_stop(keep->pool, INT64_C(1000000000));
    }
    tr_pool_close(keep->pool);
}

static bool add_all(struct keep *keep, int argc, char **argv)
{
    bool added = add(keep, "tensoring-bridge");

    for (int i = 1; added && i < argc; i++)
        added = add(keep, argv[i]);
    /* The keeper says when it has been long enough. */
    return added && add(keep, "--grace=3600");
}

int keep_main(int argc, char **argv)
{
    struct keep keep = {.parent = getppid(), .stop_ns = DRAIN_NS};
    int result = 0;

    if (!add_all(&keep, argc, argv))
        result = TR_ENOMEM;
    while (!keep.over && !keep.exit_code && !result)
        result = look(&keep);
    stop(&keep);
    free_args(&keep);
    return keep.exit_code ? keep.exit_code : result ? EX_OSERR : 0;
}
