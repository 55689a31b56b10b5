/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "ipc/kernel/os.h"
#include "src/base/error.h"
#include "src/workers/pool_internal.h"

static void reset_line(struct pool_line *line)
{
    atomic_store(&line->stop, 0);
    atomic_store(&line->ready, 0);
    atomic_store(&line->recycled, 0);
    atomic_store(&line->jobs, 0);
}

/* Watch a child that has just been made. Only where there are no pidfds at all is it taken
 * back: a worker is kept where no descriptor is free. */
static int watch(tr_pool *pool, struct child *child)
{
    if (pool_watch(pool, child) != -ENOSYS)
        return 0;
    (void)kill(child->pid,
               SIGKILL); /* nobody else waits for it, so the number is still its own */
    while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return tr_fail(TR_ENOTSUP, "pool: this kernel has no pidfds (Linux 5.4)");
}

int pool_spawn(tr_pool *pool, uint32_t at, uint32_t worker, uint32_t generation)
{
    struct child *child = &pool->child[at];
    pid_t pid;
    int result;

    reset_line(&pool->page->line[at]);
    child->worker = worker;
    child->generation = generation;
    child->draining = child->killed = false;
    child->kill_ns = INT64_MAX;
    child->started_ns = os->now_ns();
    (void)!tr_worker_prefork(NULL); /* a child would have hung without it, too */
    pid = fork();
    if (pid == 0)
        pool_child_main(pool, at);
    if (pid < 0)
        return tr_fail_errno(-errno, "pool: worker %u cannot be started", worker);
    child->pid = pid;
    result = watch(pool, child);
    if (result)
        return result;
    child->state = CHILD_ALIVE;
    pool->started++;
    return 0;
}

/* Before anything else runs in the worker. */
static void leave_behind(tr_pool *pool)
{
    pool_drop_own(pool);
    if (pool->options.flags & TR_POOL_DIE_WITH_MASTER) {
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != pool->master)
            _exit(0); /* it went before we asked */
    }
}

_Noreturn void pool_child_main(tr_pool *pool, uint32_t at)
{
    static struct tr_pool_worker self; /* one in a process */
    uint32_t round = atomic_load(&pool->page->round);

    self.ready = pool->ready;
    self.stop_fd = pool->stop_fd;
    leave_behind(pool);
    if (pool->options.child)
        pool->options.child(pool->child[at].worker, pool->options.context);
    if (pool->options.flags & TR_POOL_CLOSE_INHERITED &&
        !pool_close_inherited(pool, self.ready))
        _exit(EX_OSERR);
    sigprocmask(SIG_SETMASK, &pool->mask, NULL);
    self.page = pool->page;
    self.line = &pool->page->line[at];
    self.options = &pool->options;
    self.master = pool->master;
    self.pid = getpid();
    atomic_store(&self.looked_ns,
                 0); /* both may be a master's, which is a worker itself */
    atomic_store(&self.over, false);
    self.index = pool->child[at].worker;
    self.generation = pool->child[at].generation;
    self.round = round;
    memcpy(&self.plan, &pool->page->plan[round % 2], sizeof(self.plan));
    if (!(pool->options.flags & TR_POOL_NO_PLAN))
        (void)!tr_worker_enter(&self.plan, self.index, pool->options.enter_flags, NULL);
    if (pool->options.flags & TR_POOL_READY_AT_START)
        tr_pool_worker_ready(&self);
    uncancel_end(pool->cancel);
    _exit(pool->options.run(&self, pool->options.context) & 0xff);
}
