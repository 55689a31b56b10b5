/* SPDX-License-Identifier: MIT */
/* names.c - a process is killed, or stopped, before each step in which it creates, joins, leaves,
 * sweeps or unlinks a named arena. All that come then get into the same arena in bounded time; no
 * arena that is in use loses its name; nothing is left behind.
 *
 * Or, where the mode lets others write: one of them truncates the file before each step of a sweep
 * or of a create in its place, and the process goes on.
 *
 *   crash_names kill|stop|many|truncate */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/arena/arena.h"

#define NEWCOMERS 2
#define MANY      2000 /* steps of one act */
#define COMERS    8
#define ROUNDS    100

static char name[64], path[128];
static uint32_t steps, fatal;
static int deadly;
static uint32_t mode = 0600;
static bool sweeping; /* newcomers sweep first */
static bool alone; /* nobody is killed: what create says is taken is there to attach to */

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, tr_error_detail());
    unlink(path);
    _exit(1);
}

static void must(const char *what, bool so)
{
    if (!so)
        fail(what);
}

static void step(const char *site, const void *at, enum shm_kind kind)
{
    (void)site;
    (void)at;
    (void)kind;
    if (++steps == fatal)
        raise(deadly);
}

static int create(tr_arena **arena)
{
    static const tr_slot_class class = {256, 2};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;

    options.classes = &class;
    options.class_count = 1;
    options.max_participants = 16;
    options.max_channels = 1;
    options.ring_bytes = 4096;
    options.pins = 1;
    options.mode = mode;
    return tr_arena_create(name, &options, arena);
}

/* What every program does that shares an arena by name. */
static int enter(tr_arena **arena)
{
    int code;

    do {
        code = create(arena);
        if (code == TR_EEXIST)
            code = tr_arena_attach(name, NULL, arena);
    } while (code == TR_ENOENT && !alone);
    return code;
}

static uint64_t inode_of(const tr_arena *arena)
{
    return arena_known(arena)->view.ino;
}

static uint64_t inode_of_name(void)
{
    struct stat st;

    return stat(path, &st) == 0 ? st.st_ino : 0;
}

/* The scenes: how it is before, and what the victim does. */
static void leave_by_dying(void)
{
    pid_t child = fork();
    tr_arena *arena;

    if (child == 0) {
        must("create", create(&arena) == 0);
        raise(SIGKILL);
    }
    must("wait", waitpid(child, NULL, 0) == child);
}

static void leave_in_order(void)
{
    tr_arena *arena;

    must("create", create(&arena) == 0);
    tr_arena_close(arena);
}

static tr_arena *used;

static void use(void)
{
    must("create", create(&used) == 0);
}

static void act_enter(void)
{
    tr_arena *arena;
    int code = enter(&arena);

    must("the victim enters", code == 0 || code == TR_EBUSY);
    if (code == 0)
        tr_arena_close(arena);
}

static void act_attach(void)
{
    tr_arena *arena;

    if (tr_arena_attach(name, NULL, &arena) == 0)
        tr_arena_close(arena);
}

static void act_sweep(void)
{
    must("the victim sweeps", tr_arena_sweep(name, NULL) == 0);
}

static void act_unlink(void)
{
    int code = tr_arena_unlink(name);

    must("the victim unlinks", code == 0 || code == TR_ENOENT || code == TR_EBUSY);
}

static const struct scene {
    const char *name;
    void (*prepare)(void); /* NULL: there is no such name */
    void (*act)(void);
    bool keeps;   /* an arena that is in use keeps its name */
    bool unlinks; /* the act may take the name from newcomers */
} scenes[] = {
    {"create", NULL, act_enter, false, false},
    {"create over a crashed one", leave_by_dying, act_enter, false, false},
    {"attach to a used one", use, act_attach, true, false},
    {"attach to a crashed one", leave_by_dying, act_attach, false, false},
    {"attach to one left in order", leave_in_order, act_attach, false, false},
    {"sweep of a used one", use, act_sweep, true, false},
    {"sweep of a crashed one", leave_by_dying, act_sweep, false, false},
    {"sweep of one left in order", leave_in_order, act_sweep, false, false},
    {"unlink of a used one", use, act_unlink, false, true},
    {"unlink of a crashed one", leave_by_dying, act_unlink, false, true},
};

/* A newcomer tells which arena it is in, or which code it got, and stays until told to go. */
struct report {
    int code;
    uint64_t inode;
};

struct newcomer {
    pid_t pid;
    int told, go;
};

static _Noreturn void be_newcomer(int told, int go)
{
    struct report report = {0};
    tr_arena *arena;
    char byte;

    alarm(60);
    shm_step_hook = NULL;
    if (sweeping)
        must("a newcomer sweeps", tr_arena_sweep(name, NULL) == 0);
    report.code = enter(&arena);
    if (report.code == 0)
        report.inode = inode_of(arena);
    else if (report.code == TR_EBUSY && !strstr(tr_error_detail(), "process "))
        report.code = TR_EINVAL; /* it does not say which */
    if (write(told, &report, sizeof(report)) != sizeof(report) || read(go, &byte, 1) < 0)
        _exit(1);
    if (report.code == 0)
        tr_arena_close(arena);
    _exit(0);
}

static struct newcomer start_newcomer(void)
{
    int told[2], go[2];
    struct newcomer newcomer;

    must("pipe", pipe(told) == 0 && pipe(go) == 0);
    newcomer.pid = fork();
    if (newcomer.pid == 0) {
        close(go[1]);
        be_newcomer(told[1], go[0]);
    }
    close(told[1]);
    close(go[0]);
    newcomer.told = told[0];
    newcomer.go = go[1];
    return newcomer;
}

/* What it says; code 1 if it was killed before it could. */
static struct report hear(const struct newcomer *newcomer)
{
    struct report report;

    if (read(newcomer->told, &report, sizeof(report)) != sizeof(report))
        report = (struct report){.code = 1};
    return report;
}

/* Later newcomers have inherited the pipes of earlier ones: all are told before any is awaited. */
static void dismiss(const struct newcomer *newcomers, int count)
{
    for (int i = 0; i < count; i++) {
        close(newcomers[i].go);
        close(newcomers[i].told);
    }
    for (int i = 0; i < count; i++)
        must("wait", waitpid(newcomers[i].pid, NULL, 0) == newcomers[i].pid);
}

static pid_t start_victim(const struct scene *scene, uint32_t at)
{
    pid_t pid = fork();

    if (pid == 0) {
        alarm(60);
        steps = 0;
        fatal = at;
        shm_step_hook = step;
        scene->act();
        _exit(steps < at ? 0 : 3);
    }
    return pid;
}

/* Whether the scene was played; at its end the victim was killed, stopped, or came to an end
 * because it takes fewer steps: then 0. */
static bool has_more(pid_t victim)
{
    int status;

    must("wait", waitpid(victim, &status, WUNTRACED) == victim);
    must("the victim",
         WIFSTOPPED(status) || WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    return WIFSTOPPED(status) || WIFSIGNALED(status);
}

static void end_victim(pid_t victim)
{
    int status;

    if (deadly != SIGSTOP)
        return;
    kill(victim, SIGCONT);
    must("wait", waitpid(victim, &status, 0) == victim);
    must("the victim goes on undisturbed", WIFEXITED(status));
}

/* Where all are, 0: they were told which process blocks them. */
static uint64_t meet(const struct newcomer *newcomers)
{
    uint64_t met = 0;

    for (int i = 0; i < NEWCOMERS; i++) {
        struct report report = hear(&newcomers[i]);

        must("a newcomer gets in, or is told which process blocks it",
             report.code == 0 || (report.code == TR_EBUSY && deadly == SIGSTOP));
        if (report.code == 0 && met == 0)
            met = report.inode;
        must("all are in one arena", report.code != 0 || report.inode == met);
    }
    return met;
}

static void see_the_name(const struct scene *scene, uint64_t met)
{
    must("its user keeps the name", !scene->keeps || inode_of_name() == inode_of(used));
    must("a newcomer that got in keeps the name", met == 0 || inode_of_name() == met);
}

static void play_step(const struct scene *scene, pid_t victim)
{
    struct newcomer newcomers[NEWCOMERS];
    uint64_t met;

    for (int i = 0; i < NEWCOMERS; i++)
        newcomers[i] = start_newcomer();
    met = meet(newcomers);
    see_the_name(scene, met);
    end_victim(victim);
    see_the_name(scene, scene->unlinks ? 0 : met);
    dismiss(newcomers, NEWCOMERS);
}

static void clean(void)
{
    tr_arena_close(used);
    used = NULL;
    must("sweep", tr_arena_sweep(name, NULL) == 0);
    must("nothing is left", inode_of_name() == 0);
}

/* How many steps the act has. */
static uint32_t play(const struct scene *scene)
{
    for (uint32_t at = 1; at < MANY; at++) {
        pid_t victim;
        bool more;

        if (scene->prepare)
            scene->prepare();
        victim = start_victim(scene, at);
        more = has_more(victim);
        if (more)
            play_step(scene, victim);
        see_the_name(scene, 0);
        clean();
        if (!more)
            return at - 1;
    }
    fail("too many steps");
}

/* Many come at once, to an arena that was left by dying; some are killed on the way. */
static void all_at_once(uint32_t round)
{
    struct newcomer newcomers[COMERS];
    uint64_t met = 0;

    alone = round % 2;
    leave_by_dying();
    for (int i = 0; i < COMERS; i++)
        newcomers[i] = start_newcomer();
    for (uint32_t i = 0; i < COMERS && !alone; i += 3)
        if ((round >> i / 3 & 2) == 0)
            kill(newcomers[i].pid, SIGKILL);
    for (int i = 0; i < COMERS; i++) {
        struct report report = hear(&newcomers[i]);

        must("a process that is not killed gets in",
             report.code == 0 || (report.code == 1 && !alone));
        if (report.code != 0)
            continue;
        /* What a killed one had made may have been removed before the others came. */
        if (i % 3 != 0 && met == 0)
            met = report.inode;
        must("all are in one arena", i % 3 == 0 || report.inode == met);
    }
    must("the name is that of the arena", inode_of_name() == met);
    dismiss(newcomers, COMERS);
    clean();
}

static int many_at_once(void)
{
    for (uint32_t round = 0; round < ROUNDS; round++)
        all_at_once(round);
    printf("rounds: %d of %d processes met\n", ROUNDS, COMERS);
    return 0;
}

static int truncated;         /* a descriptor of the file */
static uint32_t *steps_taken; /* by the victim and its children */

static void truncate_it(const char *site, const void *at, enum shm_kind kind)
{
    (void)site;
    (void)at;
    (void)kind;
    if (++*steps_taken == fatal)
        must("truncate", ftruncate(truncated, 0) == 0);
}

/* Whether the act has that many steps. */
static bool truncate_before(void (*act)(void), uint32_t at)
{
    pid_t victim;
    int status;

    leave_by_dying();
    truncated = open(path, O_RDWR | O_CLOEXEC);
    must("open", truncated >= 0);
    *steps_taken = 0;
    victim = fork();
    if (victim == 0) {
        alarm(60);
        fatal = at;
        shm_step_hook = truncate_it;
        act();
        _exit(0);
    }
    must("wait", waitpid(victim, &status, 0) == victim);
    must("the victim goes on", status == 0);
    close(truncated);
    (void)!tr_arena_unlink(name);
    return *steps_taken >= at;
}

static void act_create(void)
{
    tr_arena *arena;
    int code = create(&arena);

    must("the victim creates, or is told why not", code == 0 || code == TR_EEXIST);
}

static int truncate_at_each_step(void)
{
    uint32_t sweep = 0, over = 0;

    steps_taken = mmap(NULL, sizeof(*steps_taken), PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must("mmap", steps_taken != MAP_FAILED);
    mode = 0660;
    while (truncate_before(act_sweep, sweep + 1))
        sweep++;
    while (truncate_before(act_create, over + 1))
        over++;
    printf("truncations: %u in a sweep, %u in a create, all survived\n", sweep, over);
    return 0;
}

int main(int argc, char **argv)
{
    uint32_t points = 0;

    snprintf(name, sizeof(name), "tr_crash_names.%d", getpid());
    snprintf(path, sizeof(path), "/dev/shm/tensoring.%s", name);
    alarm(500);
    if (argc == 2 && strcmp(argv[1], "many") == 0)
        return many_at_once();
    if (argc == 2 && strcmp(argv[1], "truncate") == 0)
        return truncate_at_each_step();
    deadly = argc == 2 && strcmp(argv[1], "stop") == 0 ? SIGSTOP : SIGKILL;
    for (size_t i = 0; i < 2 * sizeof(scenes) / sizeof(scenes[0]); i++) {
        uint32_t here;

        sweeping = i % 2;
        here = play(&scenes[i / 2]);
        printf("%-28s %-26s %u\n", scenes[i / 2].name,
               sweeping ? "and newcomers that sweep" : "", here);
        points += here;
    }
    printf("name %s points: %u/%u survived\n", deadly == SIGSTOP ? "pause" : "crash",
           points, points);
    return 0;
}
