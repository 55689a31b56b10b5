/* SPDX-License-Identifier: MIT */
/* namespaces.c - which processes live, seen from another pid namespace; and names that the dead
 * left. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>

#include "tests/e2e/access/checks.h"

static int ends[2]; /* the inner one tells that it is ready */

static void own_shm(void)
{
    if (unshare(CLONE_NEWNS) < 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("own", "/dev/shm", "tmpfs", 0, "size=16m,mode=1777") < 0)
        skip("no tmpfs of our own");
    expect("pipe", pipe(ends) == 0);
}

static tr_arena *create(const char *name)
{
    static const tr_slot_class class = {4096, 4};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_arena *arena;

    options.classes = &class;
    options.class_count = 1;
    options.ring_bytes = 65536;
    expect_code("create", tr_arena_create(name, &options, &arena), 0);
    return arena;
}

static void tell(char what)
{
    expect("tell", write(ends[1], &what, 1) == 1);
}

static void listen_for(char what)
{
    char byte;

    expect("listen", read(ends[0], &byte, 1) == 1 && byte == what);
}

static void stay(void)
{
    for (;;)
        pause();
}

/* Process 1 of a pid namespace of its own; its /proc is the outer one's, as in a careless
 * container. */
static pid_t start_inside(void (*body)(void))
{
    pid_t pid;

    if (unshare(CLONE_NEWPID) < 0)
        skip("no pid namespace of our own");
    pid = fork();
    if (pid == 0) {
        alarm(60);
        body();
        _exit(0);
    }
    expect("fork", pid > 0);
    return pid;
}

static void hold_inside(void)
{
    tr_reap_report report = TR_REAP_REPORT_INIT;
    tr_message *message;
    tr_arena *arena;
    tr_queue *queue;

    expect_code("attach", tr_arena_attach("spaces", NULL, &arena), 0);
    expect_code("reap", tr_arena_reap(arena, &report), 0);
    expect("a process outside is alive", report.dead == 0);
    expect_code("open", tr_queue_open(arena, "queue", NULL, &queue), 0);
    expect_code("receive", tr_queue_receive(queue, TR_NOWAIT, &message), 0);
    tell('h');
    stay();
}

static void pid_namespaces(void)
{
    tr_reap_report report = TR_REAP_REPORT_INIT;
    tr_message *message;
    tr_arena *arena;
    tr_queue *queue;
    pid_t pid;

    own_shm();
    arena = create("spaces");
    expect_code("open", tr_queue_open(arena, "queue", NULL, &queue), 0);
    expect_code("loan", tr_message_loan_bytes(arena, 64, TR_NOWAIT, &message), 0);
    expect_code("send", tr_queue_send(queue, message, TR_NOWAIT), 0);
    pid = start_inside(hold_inside);
    listen_for('h');
    expect_code("reap", tr_arena_reap(arena, &report), 0);
    expect("a process inside is alive", report.dead == 0);
    kill(pid, SIGKILL);
    expect("wait", waitpid(pid, NULL, 0) == pid);
    expect_code("reap", tr_arena_reap(arena, &report), 0);
    expect("a process that died inside is dead",
           report.dead == 1 && report.redelivered == 1);
    expect_code("receive", tr_queue_receive(queue, TR_NOWAIT, &message), 0);
    tr_arena_close(arena);
}

static void make_and_die(void)
{
    create("left.dead");
    raise(SIGKILL);
}

static void make_and_stay(void)
{
    create("left.alive");
    tell('m');
    stay();
}

static bool there(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0;
}

static void leftovers(void)
{
    uint32_t removed = 0;
    pid_t pid;

    own_shm();
    in_child(make_and_die);
    expect("it is left", there("/dev/shm/tensoring.left.dead"));
    pid = fork();
    if (pid == 0)
        make_and_stay();
    listen_for('m');
    expect_code("sweep another prefix", tr_arena_sweep("other", &removed), 0);
    expect("nothing goes", removed == 0 && there("/dev/shm/tensoring.left.dead"));
    expect_code("sweep", tr_arena_sweep("left", &removed), 0);
    expect("what the dead left goes", removed == 1);
    expect("what the living use stays", there("/dev/shm/tensoring.left.alive") &&
                                            !there("/dev/shm/tensoring.left.dead"));
    kill(pid, SIGKILL);
    expect("wait", waitpid(pid, NULL, 0) == pid);
    expect_code("sweep", tr_arena_sweep("left", &removed), 0);
    expect("in the end all is gone",
           removed == 1 && !there("/dev/shm/tensoring.left.alive"));
}

static void newcomer(void)
{
    tr_arena *arena;
    tr_message *message;

    /* Process 1 of its namespace again, as the one that made it was. */
    expect_code("attach to what is left", tr_arena_attach("left.container", NULL, &arena),
                0);
    expect_code("reap", tr_arena_reap(arena, NULL), 0);
    for (int i = 0; i < 4; i++)
        expect_code("loan", tr_message_loan_bytes(arena, 64, TR_NOWAIT, &message), 0);
    tell('f'); /* process 1 can't kill itself */
    stay();
}

static void first_life(void)
{
    tr_message *message;
    tr_arena *arena = create("left.container");

    for (int i = 0; i < 4; i++)
        expect_code("loan", tr_message_loan_bytes(arena, 64, TR_NOWAIT, &message), 0);
    tell('f'); /* process 1 can't kill itself */
    stay();
}

static void end_inside(pid_t pid)
{
    listen_for('f');
    kill(pid, SIGKILL);
    expect("wait", waitpid(pid, NULL, 0) == pid);
}

static void run_first_life(void)
{
    end_inside(start_inside(first_life));
}

static void run_newcomer(void)
{
    end_inside(start_inside(newcomer));
}

/* A container is killed and started again; /dev/shm is the same, process 1 is another. */
static void container_restart(void)
{
    uint32_t removed = 0;
    int result;

    own_shm();
    result = in_child(run_first_life);
    if (result == SKIPPED)
        skip("no pid namespace of our own");
    expect("the first life", result == 0);
    expect("it is left", there("/dev/shm/tensoring.left.container"));
    expect("the second life", in_child(run_newcomer) == 0);
    expect_code("sweep", tr_arena_sweep("left", &removed), 0);
    expect("swept", removed == 1);
}

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

static void set_offsets(const char *text)
{
    int fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);

    if (unshare(CLONE_NEWTIME) < 0 || fd < 0 ||
        write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        skip("no time namespace of our own");
    close(fd);
}

/* Its clocks are ahead of its client's, or behind. */
static void serve_in_time(void)
{
    tr_header header = TR_HEADER_INIT;
    tr_reap_report report = TR_REAP_REPORT_INIT;
    tr_message *message;
    struct timespec now;
    tr_arena *arena;
    tr_queue *queue;
    int64_t left;

    expect_code("attach", tr_arena_attach("times", NULL, &arena), 0);
    expect_code("reap", tr_arena_reap(arena, &report), 0);
    expect("a process in another time is alive", report.dead == 0);
    expect_code("open", tr_queue_open(arena, "ask", NULL, &queue), 0);
    tell('r');
    expect_code("receive", tr_queue_receive(queue, 60000000000, &message), 0);
    left = tr_request_remaining_ns(message);
    expect("the time left is the client's", left > 0 && left <= 50 * INT64_C(1000000000));
    expect_code("header", tr_message_header_get(message, &header), 0);
    clock_gettime(CLOCK_MONOTONIC, &now);
    left = header.deadline_ns - now.tv_sec * INT64_C(1000000000);
    expect("so is the deadline, on our clock",
           left > 0 && left <= 51 * INT64_C(1000000000));
    expect_code("reply", tr_request_reply(message, NULL), 0);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

static void ask_in_time(const char *offsets)
{
    tr_arena *arena = create("times");
    tr_message *message, *reply;
    tr_reap_report report = TR_REAP_REPORT_INIT;
    tr_queue *queue;
    pid_t pid;

    expect_code("open", tr_queue_open(arena, "ask", NULL, &queue), 0);
    set_offsets(offsets); /* of children alone */
    pid = fork();
    if (pid == 0) {
        alarm(60);
        serve_in_time();
        _exit(0);
    }
    listen_for('r');
    expect_code("reap", tr_arena_reap(arena, &report), 0);
    expect("a process in another time is alive", report.dead == 0);
    expect_code("loan", tr_message_loan_bytes(arena, 64, TR_NOWAIT, &message), 0);
    expect_code("ask", tr_request_call(queue, message, 50000000000, &reply), 0);
    tr_message_release(reply);
    expect("wait", waitpid(pid, NULL, 0) == pid);
    tr_queue_close(queue);
    tr_arena_close(arena);
    expect_code("unlink", tr_arena_unlink("times"), 0);
}

static void ask_the_future(void)
{
    ask_in_time("monotonic 3600 0\nboottime 3600 0\n");
}

static void ask_the_past(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec < 120)
        skip("the machine has just begun");
    ask_in_time("monotonic -100 0\nboottime -100 0\n");
}

static void time_namespaces(void)
{
    int result;

    own_shm();
    result = in_child(ask_the_future);
    if (result == SKIPPED)
        skip("no time namespace of our own");
    expect("ahead", result == 0);
    result = in_child(ask_the_past);
    expect("behind", result == 0 || result == SKIPPED);
}

int main(void)
{
    static const struct check checks[] = {
        {"two pid namespaces", pid_namespaces},
        {"leftovers", leftovers},
        {"a container is started again", container_restart},
        {"two time namespaces", time_namespaces},
    };

    return run_checks(checks, sizeof(checks) / sizeof(checks[0]));
}
