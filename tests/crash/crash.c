/* SPDX-License-Identifier: MIT */
/* crash.c - for each operation and each of its steps in shared memory: a process is killed
 * right before that step; the others go on, reap, and the whole arena is audited.
 *
 *   crash kill|stop|fork [SCENE]
 *
 * With stop it gets SIGSTOP there instead: nothing may be taken from it, the others go on, and
 * after SIGCONT it ends its operation undisturbed.
 *
 * With fork it forks there, as another thread of it could: the child does everything
 * (child.c), or dies with a loan, and then the operation goes on undisturbed. */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/arena/arena.h"
#include "tests/crash/audit.h"
#include "tests/crash/child.h"
#include "tests/crash/scenes.h"

#define MANY_STEPS 5000

static _Atomic uint32_t *steps; /* of the victim and its children, one after the other */
static uint32_t fatal;
static int deadly; /* 0: it forks */
static struct stage *on_stage;
static const char *last_site; /* in the victim */

static void fork_here(void)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        shm_step_hook = NULL;
        alarm(60);
        crash_child(on_stage, fatal % 2);
        _exit(0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
        fprintf(stderr, "a child forked before %s\n", last_site);
        crash_fail("a child lives on", 0);
    }
}

static void step(const char *site, const void *at, enum shm_kind kind)
{
    (void)at;
    (void)kind;
    last_site = site;
    if (++*steps != fatal)
        return;
    if (deadly)
        raise(deadly);
    else
        fork_here();
}

/* What is read and written without an order, headers and such, is a step, too. */
static bool bare_step(const struct shm_access *access)
{
    if (access->bare && shm_step_hook)
        step(access->site, access->at, access->kind);
    return false;
}

static void must(const char *what, int code)
{
    if (code)
        crash_fail(what, code);
}

static void set_up(struct stage *stage, const struct scene *scene)
{
    static const tr_slot_class class = {256, CRASH_SLOTS};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_queue_options queue = TR_QUEUE_OPTIONS_INIT;
    tr_board_options board = TR_BOARD_OPTIONS_INIT;
    tr_broadcast_options broadcast = TR_BROADCAST_OPTIONS_INIT;

    memset(stage, 0, sizeof(*stage));
    options.flags = scene->flags;
    options.warm_bytes = scene->warm;
    options.classes = &class;
    options.class_count = 1;
    options.max_participants = 8;
    options.max_channels = 16;
    options.ring_bytes = 1 << 20;
    options.pins = 4;
    options.spin_ns = 0;
    queue.capacity = CRASH_CAPACITY;
    board.capacity = 4;
    broadcast.capacity = 3;
    broadcast.max_subscribers = 4;
    must("create", tr_arena_create(NULL, &options, &stage->arena));
    must("open", tr_queue_open(stage->arena, "first", &queue, &stage->first));
    must("open", tr_queue_open(stage->arena, "second", &queue, &stage->second));
    must("open", tr_queue_open(stage->arena, "spare", &queue, &stage->spare));
    must("open",
         tr_broadcast_open(stage->arena, "broadcast", &broadcast, &stage->broadcast));
    must("open", tr_board_open(stage->arena, "board", &board, &stage->board));
    must("subscribe", tr_subscription_open(stage->broadcast, NULL, &stage->subscription));
    if (!deadly) {
        must("wait set", tr_waitset_open(stage->arena, &stage->set));
        must("add", tr_waitset_add_queue(stage->set, stage->spare, TR_WAIT_READABLE,
                                         CRASH_TOKEN));
    }
    if (scene->prepare)
        scene->prepare(stage);
}

void stage_close(struct stage *stage)
{
    tr_waitset_close(stage->set);
    tr_subscription_close(stage->subscription);
    tr_board_close(stage->board);
    tr_broadcast_close(stage->broadcast);
    tr_queue_close(stage->spare);
    tr_queue_close(stage->second);
    tr_queue_close(stage->first);
    tr_queue_close(stage->third);
    tr_arena_close(stage->arena);
}

static _Noreturn void be_the_victim(struct stage *stage, const struct scene *scene,
                                    uint32_t at)
{
    alarm(60);
    if (scene->enter)
        scene->enter(stage);
    *steps = 0;
    fatal = at;
    on_stage = stage;
    shm_step_hook = step;
    shm_memory_hook = bare_step;
    scene->act(stage);
    shm_step_hook = NULL;
    _exit(*steps < at ? 0 : 3);
}

static uint32_t drain(tr_queue *queue)
{
    tr_message *message;
    uint32_t n = 0;

    while (tr_queue_receive(queue, TR_NOWAIT, &message) == 0) {
        crash_inspect(message);
        tr_message_release(message);
        n++;
    }
    return n;
}

static uint32_t hear(struct stage *stage)
{
    tr_message *message;
    uint32_t n = 0;

    while (tr_subscription_receive(stage->subscription, TR_NOWAIT, &message) == 0) {
        crash_inspect(message);
        tr_message_release(message);
        n++;
    }
    return n;
}

/* The requester is answered, or told that there will be no answer; once. */
static void hear_of_request(struct stage *stage)
{
    tr_message *reply;
    uint64_t ticket;
    int code = tr_request_next(stage->arena, TR_NOWAIT, &ticket, &reply);

    if (code != 0 && code != TR_EREMOTE && code != TR_EPEERDIED)
        crash_fail("the requester hears of it", code);
    if (code == 0)
        tr_message_release(reply);
    code = tr_request_next(stage->arena, TR_NOWAIT, &ticket, &reply);
    if (code == 0 || code == TR_EREMOTE || code == TR_EPEERDIED)
        crash_fail("the requester hears of it once", code);
}

static void one_round(struct stage *stage, tr_queue *queue)
{
    tr_message *message;

    must("send", tr_queue_send(queue, crash_loan(stage, 20), TR_NOWAIT));
    must("receive", tr_queue_receive(queue, TR_NOWAIT, &message));
    crash_inspect(message);
    tr_message_release(message);
}

/* The wait set is the survivor's; a child had only a copy. */
static void hear_spare(struct stage *stage)
{
    tr_message *message;
    tr_event event;
    size_t n;

    must("send", tr_queue_send(stage->spare, crash_loan(stage, 24), TR_NOWAIT));
    must("wait", tr_waitset_wait(stage->set, &event, 1, TR_FOREVER, &n));
    if (n != 1 || event.token != CRASH_TOKEN)
        crash_fail("a wait set finds a message", 0);
    must("receive", tr_queue_receive(stage->spare, TR_NOWAIT, &message));
    tr_message_release(message);
}

/* Everything still works for the processes that live. */
static void serve(struct stage *stage)
{
    static const char *const names[] = {"first", "second", "third", "fourth"};
    tr_message *message, *all[CRASH_SLOTS];

    for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        tr_queue *queue;

        must("open", tr_queue_open(stage->arena, names[i], NULL, &queue));
        if (i != 2) /* which may be shut down */
            one_round(stage, queue);
        tr_queue_close(queue);
    }
    must("publish",
         tr_broadcast_publish(stage->broadcast, crash_loan(stage, 21), TR_NOWAIT));
    if (hear(stage) != 1)
        crash_fail("what is published is heard", 0);
    must("put", tr_board_put(stage->board, "key", crash_loan(stage, 22), NULL));
    must("get", tr_board_get(stage->board, "key", &message, NULL));
    crash_inspect(message);
    tr_message_release(message);
    must("delete", tr_board_delete(stage->board, "key", TR_BOARD_ANY_VERSION));
    if (stage->set)
        hear_spare(stage);
    for (uint32_t i = 0; i < CRASH_SLOTS; i++)
        all[i] = crash_loan(stage, 23);
    for (uint32_t i = 0; i < CRASH_SLOTS; i++)
        tr_message_release(all[i]);
}

static void audit(struct stage *stage)
{
    struct audit found;

    audit_arena(&arena_known(stage->arena)->view, &found);
    if (found.fault)
        crash_fail(found.fault, 0);
    if (found.held || found.pins || found.living != 1)
        crash_fail("only the survivor, and it holds nothing", 0);
}

/* What the survivor had is unchanged; the victim had only copies. */
static void keep(struct stage *stage)
{
    for (uint32_t i = 0; i < 3; i++) {
        if (!stage->kept[i])
            continue;
        crash_inspect(stage->kept[i]);
        must("release what was kept", tr_message_release(stage->kept[i]));
    }
}

/* The victim is gone. */
static void inspect(struct stage *stage, const struct scene *scene, bool killed)
{
    uint32_t found, heard;

    must("reap", tr_arena_reap(stage->arena, NULL));
    keep(stage);
    audit(stage);
    found = drain(stage->first) + drain(stage->second);
    found += stage->third ? drain(stage->third) : 0;
    if (killed ? found < scene->least || found > scene->most : found != scene->done) {
        fprintf(stderr, "%u messages, expected %u to %u\n", found, scene->least,
                scene->most);
        crash_fail("as many messages as were sent", 0);
    }
    if (scene->asked)
        hear_of_request(stage);
    heard = hear(stage);
    if (heard < scene->heard_least || heard > scene->heard_most)
        crash_fail("as many messages as were published", 0);
    if (scene->after)
        scene->after(stage);
    audit(stage);
    serve(stage);
    audit(stage);
}

/* The victim is stopped: it keeps what it has, and nobody waits for it. */
static void live_beside(struct stage *stage, const struct scene *scene)
{
    tr_reap_report report = TR_REAP_REPORT_INIT;

    must("reap", tr_arena_reap(stage->arena, &report));
    if (!scene->gives && (report.dead || report.freed || report.redelivered))
        crash_fail("paused is not dead", 0);
    one_round(stage, stage->spare);
}

/* Whether the operation has a step @p at. */
static bool try_point(const struct scene *scene, uint32_t at, bool stop)
{
    struct stage stage;
    bool killed;
    int status;
    pid_t pid;

    set_up(&stage, scene);
    pid = fork();
    if (pid == 0)
        be_the_victim(&stage, scene, at);
    if (pid < 0 || waitpid(pid, &status, WUNTRACED) != pid)
        crash_fail("fork", 0);
    if (stop && WIFSTOPPED(status)) {
        live_beside(&stage, scene);
        kill(pid, SIGCONT);
        if (waitpid(pid, &status, 0) != pid)
            crash_fail("wait", 0);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 3)
            crash_fail("it goes on where it was stopped", 0);
        inspect(&stage, scene, false);
        stage_close(&stage);
        return true;
    }
    if (!deadly) {
        if (!WIFEXITED(status) || (WEXITSTATUS(status) != 3 && WEXITSTATUS(status) != 0))
            crash_fail("the operation itself", 0);
        inspect(&stage, scene, false);
        stage_close(&stage);
        return WEXITSTATUS(status) == 3;
    }
    /* 3: it was its child that died there */
    killed = WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL
                                 : scene->forks && WEXITSTATUS(status) == 3;
    if (!killed && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
        crash_fail("the operation itself", 0);
    inspect(&stage, scene, killed);
    stage_close(&stage);
    return killed;
}

int main(int argc, char **argv)
{
    bool stop = argc > 1 && strcmp(argv[1], "stop") == 0;
    bool forks = argc > 1 && strcmp(argv[1], "fork") == 0;
    const char *only = argc > 2 ? argv[2] : NULL;
    uint32_t points = 0;

    deadly = forks ? 0 : stop ? SIGSTOP : SIGKILL;
    steps = mmap(NULL, sizeof(*steps), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                 -1, 0);
    if (steps == MAP_FAILED)
        return 1;
    for (uint32_t i = 0; i < scene_count; i++) {
        const struct scene *scene = &scenes[i];
        uint32_t at = 1;

        if ((only && strcmp(only, scene->name) != 0) || (stop && scene->forks))
            continue;
        fprintf(stderr, "%s:", scene->name);
        /* Each point in a process of its own, so that one failure says where it was. */
        for (;; at++) {
            pid_t pid = fork();
            int status;

            if (pid == 0)
                _exit(try_point(scene, at, stop) ? 0 : 2);
            if (waitpid(pid, &status, 0) != pid)
                return 1;
            if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
                break;
            if (status != 0 || at > MANY_STEPS) {
                fprintf(stderr, "%s: failed at step %u\n", scene->name, at);
                return 1;
            }
        }
        fprintf(stderr, " %u points\n", at - 1);
        points += at - 1;
    }
    printf("%s points: %u/%u survived\n",
           forks  ? "fork"
           : stop ? "pause"
                  : "crash",
           points, points);
    return points == 0;
}
