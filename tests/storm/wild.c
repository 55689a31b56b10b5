/* SPDX-License-Identifier: MIT */
/* wild.c - what programs do to themselves while they have messages in hand. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/storm/storm.h"

#define THREADS 3
#define MIB     (UINT64_C(1) << 20)

/* What a worker holds across what it does to itself. */
struct held {
    struct worker by; /* with a hand of its own, because the worker goes on */
    tr_message *received, *loaned, *pinned;
    uint64_t number, loan_number, pin_number;
};

static void take_hold(struct worker *worker, struct held *held)
{
    memset(held, 0, sizeof(*held));
    held->by = worker_like(worker);
    held->received = worker_receive(&held->by, &held->number);
    held->loan_number = storm_random(&worker->random) >> 1;
    held->loaned = worker_loan(worker, held->loan_number);
    if (tr_board_get(worker->storm->board, "one", &held->pinned, NULL))
        held->pinned = NULL;
    if (held->pinned)
        held->pin_number = proof_read(tr_message_tensor(held->pinned, 0)->data,
                                      tr_message_tensor(held->pinned, 0)->nbytes);
}

static void verify_held(struct worker *worker, const struct held *held)
{
    if (held->received)
        worker_verify(worker, held->received, held->number);
    if (held->loaned)
        worker_verify(worker, held->loaned, held->loan_number);
    if (held->pinned)
        worker_verify(worker, held->pinned, held->pin_number);
}

static void let_go(struct worker *worker, struct held *held)
{
    verify_held(worker, held);
    if (held->received)
        worker_release(&held->by, held->received);
    if (held->loaned && tr_message_release(held->loaned))
        worker_fail(worker, "release a loan");
    if (held->pinned && tr_message_release(held->pinned))
        worker_fail(worker, "release what the board has");
}

/* --- fork --------------------------------------------------------------------------- */

/* None of them is the child's: each call says so, and nothing happens. */
static void try_inherited(struct worker *child, const struct held *parents)
{
    tr_message *const all[] = {parents->received, parents->loaned, parents->pinned};

    for (uint32_t i = 0; i < 3; i++)
        if (all[i] && tr_message_release(all[i]) == 0)
            worker_fail(child, "released what is the parent's");
    if (parents->loaned &&
        tr_queue_send(child->storm->front, parents->loaned, TR_NOWAIT) == 0)
        worker_fail(child, "sent what is the parent's");
}

static _Noreturn void be_a_child(struct worker *child, const struct held *parents)
{
    struct held held;
    uint32_t end = worker_random(child, 4);

    if (worker_random(child, 2))
        try_inherited(child, parents);
    worker_acts(child, worker_random(child, 4));
    take_hold(child, &held);
    try_inherited(child, parents);
    verify_held(child, &held);
    if (end == 0)
        raise(SIGKILL);
    if (end == 1) /* all that it inherited, and what it holds */
        tr_arena_close(child->storm->arena);
    else if (end == 2)
        let_go(child, &held);
    _exit(0);
}

static void fork_with_messages(struct worker *worker)
{
    struct worker child = worker_like(worker);
    struct held held;
    pid_t pid;

    take_hold(worker, &held);
    pid = fork();
    if (pid == 0)
        be_a_child(&child, &held);
    if (worker_random(worker, 2))
        worker_bury(worker, pid); /* else it lives beside us; the storm buries it */
    let_go(worker, &held);
}

/* --- exec --------------------------------------------------------------------------- */

static _Noreturn void execute(struct worker *worker)
{
    char path[64], self[16], seed[32], wild[16], main_pid[16];
    struct held held;

    take_hold(worker, &held);
    if (worker_random(worker, 3) == 0)
        execl("/bin/true", "true", (char *)NULL);
    snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)worker->storm->main_pid,
             worker->storm->ledger_fd);
    snprintf(main_pid, sizeof(main_pid), "%d", (int)worker->storm->main_pid);
    snprintf(self, sizeof(self), "%u", worker->self);
    snprintf(seed, sizeof(seed), "%llu",
             (unsigned long long)storm_random(&worker->random));
    snprintf(wild, sizeof(wild), "%u", worker->storm->wild);
    execl("/proc/self/exe", "storm", "exec", path, worker->storm->name, self, seed, wild,
          main_pid, (char *)NULL);
    worker_fail(worker, "exec");
}

/* A stranger of the same process id. */
int wild_executed(int argc, char **argv)
{
    struct storm storm = {0};
    int fd;

    if (argc < 8)
        return 2;
    storm.wild = (uint32_t)atoi(argv[6]);
    storm.main_pid = atoi(argv[7]);
    storm.ledger_fd = atoi(strrchr(argv[2], '/') + 1);
    fd = open(argv[2], O_RDWR | O_CLOEXEC);
    storm.ledger = mmap(NULL, sizeof(*storm.ledger), PROT_READ | PROT_WRITE, MAP_SHARED,
                        fd, 0);
    if (fd < 0 || storm.ledger == MAP_FAILED) {
        fprintf(stderr, "storm: no ledger at %s\n", argv[2]);
        return 1;
    }
    snprintf(storm.name, sizeof(storm.name), "%s", argv[3]);
    if (tr_arena_attach(storm.name, NULL, &storm.arena) || storm_open(&storm)) {
        fprintf(stderr, "storm: attach after exec: %s\n", tr_error_detail());
        return 1;
    }
    storm_work(&storm, (uint32_t)atoi(argv[4]), strtoull(argv[5], NULL, 10));
}

/* --- descriptors -------------------------------------------------------------------- */

/* An empty memfd, as it was made. */
static void check_other(struct worker *worker, int fd)
{
    char path[32], name[64] = "", text[160];
    struct stat st;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (readlink(path, name, sizeof(name) - 1) > 0 && strstr(name, "other") &&
        fstat(fd, &st) == 0 && st.st_size == 0)
        return;
    snprintf(text, sizeof(text), "descriptor %d is not the library's, and is now: %s", fd,
             name);
    worker_fail(worker, text);
}

/* As daemons do; then the numbers are other files', which nobody touches. */
static void close_all(struct worker *worker)
{
    struct held held;
    int others[8];
    uint32_t count = worker_random(worker, 8);

    take_hold(worker, &held);
    if (close_range(3, ~0U, 0))
        worker_fail(worker, "close_range");
    for (uint32_t i = 0; i < count; i++)
        others[i] = memfd_create("other", MFD_CLOEXEC);
    worker->closed = true;
    worker_acts(worker, worker_random(worker, 3));
    if (!worker->set_lent)
        tr_waitset_close(worker->set);
    worker->set = NULL;
    worker_acts(worker, 20);
    let_go(worker, &held);
    for (uint32_t i = 0; i < count; i++)
        check_other(worker, others[i]);
}

/* --- threads ------------------------------------------------------------------------ */

static void *go_on(void *context)
{
    struct worker *worker = context;

    while (!worker_stopping(worker)) {
        worker_act(worker);
        pthread_testcancel();
    }
    return NULL;
}

/* Threads end inside calls; what they held stays with the process until it ends. Others must
 * still be able to use the library. */
static _Noreturn void cancel_threads(struct worker *worker)
{
    struct worker others[THREADS];
    pthread_t threads[THREADS];
    uint32_t count = 0;

    worker->set_lent = true; /* to them */
    for (; count < THREADS; count++) {
        others[count] = worker_like(worker);
        if (pthread_create(&threads[count], NULL, go_on, &others[count]))
            break;
    }
    worker_acts(worker, 1 + worker_random(worker, 20));
    for (uint32_t i = 0; i < count; i++)
        pthread_cancel(threads[i]);
    for (uint32_t i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    worker_acts(worker, 10);
    if (worker_random(worker, 2))
        tr_arena_close(worker->storm->arena);
    _exit(0);
}

/* --- namespaces --------------------------------------------------------------------- */

static void write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    if (write(fd, text, strlen(text)) < 0)
        close(fd);
    else
        close(fd);
}

/* The first process of its pid namespace. */
static _Noreturn void live_apart(struct worker *worker)
{
    struct storm own = *worker->storm;
    struct held held;

    if (worker_random(worker, 2)) {
        worker_expect(worker, "attach", tr_arena_attach(own.name, NULL, &own.arena));
        worker_expect(worker, "open", storm_open(&own));
        worker->storm = &own;
    }
    worker_acts(worker, 10);
    take_hold(worker, &held);
    if (worker_random(worker, 2))
        raise(SIGKILL); /* which its own namespace can't: it is the first */
    let_go(worker, &held);
    _exit(0);
}

static _Noreturn void leave_namespaces(struct worker *worker)
{
    static const int kinds[] = {CLONE_NEWPID, CLONE_NEWPID | CLONE_NEWUSER,
                                CLONE_NEWPID | CLONE_NEWTIME};
    int kind = kinds[worker_random(worker, 3)];
    struct worker child = worker_like(worker);
    pid_t pid;

    if (unshare(kind))
        _exit(0); /* not allowed here */
    if (kind & CLONE_NEWTIME)
        write_text("/proc/self/timens_offsets", "monotonic 100000 0\n");
    pid = fork();
    if (pid == 0)
        live_apart(&child);
    if (pid > 0 && worker_random(worker, 4) == 0)
        kill(pid, SIGKILL);
    worker_bury(worker, pid);
    _exit(0);
}

static void visit_namespaces(struct worker *worker)
{
    struct worker child = worker_like(worker);
    pid_t pid = fork();

    if (pid == 0)
        leave_namespaces(&child);
    worker_bury(worker, pid);
}

/* --- memory ------------------------------------------------------------------------- */

/* Memory of this process, in bytes. */
static uint64_t address_space(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");

    if (file) {
        if (fscanf(file, "%lu", &pages) != 1)
            pages = 0;
        fclose(file);
    }
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void touch_stack(void)
{
    volatile char deep[256 * 1024];

    for (size_t i = 0; i < sizeof(deep); i += 4096)
        deep[i] = 1;
}

static void limit_address_space(struct worker *worker)
{
    uint64_t left = worker_random(worker, 8) * MIB / 2 + address_space();
    struct rlimit limit = {left, left};

    touch_stack();
    if (setrlimit(RLIMIT_AS, &limit))
        worker_fail(worker, "setrlimit");
}

static void limit_memory(const struct storm *storm)
{
    char path[160];

    snprintf(path, sizeof(path), "%s/cgroup.procs", storm->cgroup);
    write_text(path, "0");
}

/* Calls may say that there is no memory; a worker that the kernel kills for it dies like others. */
static _Noreturn void be_poor(struct worker *worker)
{
    struct storm own = *worker->storm;

    worker->poor = true;
    if (own.cgroup[0] && worker_random(worker, 2))
        limit_memory(&own);
    else
        limit_address_space(worker);
    if (worker_random(worker, 2) == 0) {
        if (tr_arena_attach(own.name, NULL, &own.arena) || storm_open(&own))
            _exit(0);
        worker->storm = &own;
    }
    worker_acts(worker, 20);
    _exit(0);
}

static void have_a_poor_child(struct worker *worker)
{
    struct worker child = worker_like(worker);
    pid_t pid = fork();

    if (pid == 0)
        be_poor(&child);
    worker_bury(worker, pid);
}

static bool make_cgroup(struct storm *storm, const char *root, const char *file)
{
    char path[192];

    snprintf(storm->cgroup, sizeof(storm->cgroup), "%s/tensoring.storm.%d", root,
             (int)getpid());
    if (mkdir(storm->cgroup, 0700))
        return false;
    snprintf(path, sizeof(path), "%s/%s", storm->cgroup, file);
    if (access(path, W_OK) == 0) {
        write_text(path, "8388608");
        return true;
    }
    rmdir(storm->cgroup);
    return false;
}

void wild_set_up(struct storm *storm)
{
    if (!(storm->wild & 1U << WILD_LIMIT) ||
        (!make_cgroup(storm, "/sys/fs/cgroup/memory", "memory.limit_in_bytes") &&
         !make_cgroup(storm, "/sys/fs/cgroup", "memory.max")))
        storm->cgroup[0] = 0;
}

void wild_tear_down(struct storm *storm)
{
    if (storm->cgroup[0])
        rmdir(storm->cgroup);
    storm->cgroup[0] = 0;
}

/* ------------------------------------------------------------------------------------ */

void wild_act(struct worker *worker, enum wild what)
{
    if (!(worker->storm->wild & 1U << what))
        return;
    atomic_fetch_add(&worker->ledger->wild[what], 1);
    switch (what) {
    case WILD_FORK:
        fork_with_messages(worker);
        break;
    case WILD_EXEC:
        execute(worker);
    case WILD_CLOSE:
        close_all(worker);
        break;
    case WILD_CANCEL:
        cancel_threads(worker);
    case WILD_NAMESPACE:
        visit_namespaces(worker);
        break;
    case WILD_LIMIT:
        have_a_poor_child(worker);
        break;
    case WILD_NAMES: /* names.c */
    case WILD_LAZY:  /* of the arena */
    case WILD_COUNT:
        break;
    }
}
