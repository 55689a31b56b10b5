/* SPDX-License-Identifier: MIT */
/* names.c - processes that create, attach to, sweep and unlink arenas by name, at random, and
 * that are killed anywhere in it.
 *
 * Of the names, the first is never unlinked on purpose: as long as a process lives that has
 * the arena, the name leads to it, and nobody makes another one under it. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/storm/storm.h"

#define NAMES  3
#define KEPT   0 /* the one that is not unlinked on purpose */
#define FOLDER "/dev/shm/"
#define FILES  "tensoring."

struct namer {
    struct worker worker;
    tr_arena *arena[NAMES];
    bool child; /* its arenas are inherited */
};

static void name_of(const struct storm *storm, uint32_t i, char name[96])
{
    snprintf(name, 96, "%s.n%u", storm->name, i);
}

static void tell(struct namer *namer, const char *what, int code)
{
    char text[128];

    snprintf(text, sizeof(text), "names: %s: %s", what, tr_error_name(code));
    worker_fail(&namer->worker, text);
}

static int create(const struct storm *storm, uint32_t i, tr_arena **arena)
{
    static const tr_slot_class class = {256, 4};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    char name[96];

    options.classes = &class;
    options.class_count = 1;
    options.max_participants = 16;
    options.max_channels = 4;
    options.ring_bytes = 65536;
    name_of(storm, i, name);
    return tr_arena_create(name, &options, arena);
}

static void create_one(struct namer *namer, uint32_t i)
{
    int code = create(namer->worker.storm, i, &namer->arena[i]);

    if (code == 0)
        atomic_fetch_add(&namer->worker.ledger->names.created, 1);
    else if (code != TR_EEXIST && code != TR_EBUSY)
        tell(namer, "create", code);
}

static void attach_one(struct namer *namer, uint32_t i)
{
    char name[96];
    int code;

    name_of(namer->worker.storm, i, name);
    code = tr_arena_attach(name, NULL, &namer->arena[i]);
    if (code == 0)
        atomic_fetch_add(&namer->worker.ledger->names.attached, 1);
    else if (code != TR_ENOENT && code != TR_EUSERS && code != TR_EBUSY)
        tell(namer, "attach", code);
}

/* The arena works, and its name still leads to it. */
static void use_one(struct namer *namer, uint32_t i)
{
    tr_arena_info info = TR_ARENA_INFO_INIT;
    struct stat ours, named;
    char name[96], path[128];
    tr_message *message;
    int code = tr_message_loan_bytes(namer->arena[i], 64, TR_NOWAIT, &message);

    if (code == 0)
        code = tr_message_release(message);
    if (code == TR_ENOENT && namer->child)
        return;
    if (code != 0 && code != TR_EAGAIN)
        tell(namer, "loan", code);
    code = tr_arena_info_get(namer->arena[i], &info);
    if (code)
        tell(namer, "info", code);
    name_of(namer->worker.storm, i, name);
    snprintf(path, sizeof(path), FOLDER FILES "%s", name);
    if (i == KEPT && fstat(info.fd, &ours) == 0 &&
        (stat(path, &named) || named.st_ino != ours.st_ino)) {
        fprintf(stderr, "names: %s has lost its name\n", name);
        atomic_fetch_add(&namer->worker.ledger->names.split, 1);
        atomic_store(&namer->worker.ledger->stop, 1);
    }
}

static void sweep(struct namer *namer)
{
    char prefix[96];
    uint32_t removed = 0;
    int code;

    snprintf(prefix, sizeof(prefix), "%s.n", namer->worker.storm->name);
    code = tr_arena_sweep(prefix, &removed);
    if (code)
        tell(namer, "sweep", code);
    atomic_fetch_add(&namer->worker.ledger->names.swept, removed);
}

static void unlink_one(struct namer *namer, uint32_t i)
{
    char name[96];
    int code;

    if (i == KEPT)
        return;
    name_of(namer->worker.storm, i, name);
    code = tr_arena_unlink(name);
    if (code == 0)
        atomic_fetch_add(&namer->worker.ledger->names.unlinked, 1);
    else if (code != TR_ENOENT && code != TR_EBUSY)
        tell(namer, "unlink", code);
}

/* A child uses what it inherited. Is the parent dead before the child has joined, the arena
 * has nobody, and may be swept. */
static void fork_one(struct namer *namer)
{
    pid_t pid = fork();

    if (pid == 0) {
        namer->worker = worker_like(&namer->worker);
        namer->child = true;
        for (uint32_t i = 0; i < NAMES; i++)
            if (namer->arena[i] && worker_random(&namer->worker, 2))
                use_one(namer, i);
        _exit(0);
    }
    if (worker_random(&namer->worker, 2))
        worker_bury(&namer->worker, pid);
}

static void act(struct namer *namer)
{
    uint32_t i = worker_random(&namer->worker, NAMES);
    uint32_t dice = worker_random(&namer->worker, 100);

    if (dice < 10) {
        sweep(namer);
    } else if (dice < 15) {
        unlink_one(namer, i);
    } else if (dice < 18) {
        fork_one(namer);
    } else if (dice < 19) {
        raise(SIGKILL);
    } else if (!namer->arena[i]) {
        if (dice % 2)
            create_one(namer, i);
        else
            attach_one(namer, i);
    } else if (dice < 70) {
        use_one(namer, i);
    } else {
        tr_arena_close(namer->arena[i]);
        namer->arena[i] = NULL;
    }
}

_Noreturn void names_work(struct storm *storm, uint32_t self, uint64_t seed)
{
    struct worker first = {
        .storm = storm, .ledger = storm->ledger, .self = self, .random = seed | 1};
    struct namer namer = {.worker = worker_like(&first)};

    while (!worker_stopping(&namer.worker)) {
        atomic_fetch_add(&storm->ledger->wild[WILD_NAMES], 1);
        act(&namer);
    }
    _exit(0);
}

/* Whether a file of ours is left. */
static bool left_over(const struct storm *storm)
{
    char ours[128];
    DIR *folder = opendir(FOLDER);
    struct dirent *entry;
    bool any = false;

    snprintf(ours, sizeof(ours), FILES "%s.", storm->name);
    while (folder && !any && (entry = readdir(folder)))
        any = strncmp(entry->d_name, ours, strlen(ours)) == 0;
    if (folder)
        closedir(folder);
    return any;
}

const char *names_judge(struct storm *storm)
{
    char name[96];
    tr_arena *arena;

    snprintf(name, sizeof(name), "%s.n", storm->name);
    if (tr_arena_sweep(name, NULL))
        return "a sweep failed";
    if (left_over(storm))
        return "a name that a sweep does not remove";
    for (uint32_t i = 0; i < NAMES; i++) {
        if (create(storm, i, &arena))
            return "a name under which nothing can be made";
        tr_arena_close(arena);
        name_of(storm, i, name);
        if (tr_arena_unlink(name))
            return "a name that cannot be unlinked";
    }
    return NULL;
}

void names_remove(const struct storm *storm)
{
    char name[96];

    for (uint32_t i = 0; i < NAMES; i++) {
        name_of(storm, i, name);
        (void)!tr_arena_unlink(name);
    }
}
