/* SPDX-License-Identifier: MIT */
/* pair.c - two parties play ping-pong, each asleep in epoll_wait() on the descriptor of a
 * wait set. Nothing else wakes them: the slices last an hour, so a lost wake-up hangs.
 *
 *   notify_pair KINSHIP BACKEND BACKEND
 *
 *  child        forked, each makes its set
 *  inherited    the set, with its descriptor, was made before the fork
 *  unrelated    executed, attaches by name
 *  unprivileged both give up root before they begin
 *  setuid       the child gives up root after the fork
 *  threads      of one process
 *  forbidden    a child without io_uring and eventfds: falls back to a FIFO
 *  forbidden-unrelated  the same, executed */
#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tensoring/tensoring.h>

#include "forbid.h"
#include "src/waitset/waitset.h"

#define ROUNDS 500
#define NOBODY 65534
#define HOUR   (INT64_C(3600) * 1000000000)

#define CHECK(what) ((what) ? (void)0 : fail(#what, __LINE__))

static _Noreturn void fail(const char *what, int line)
{
    fprintf(stderr, "%d: line %d: %s: %s\n", (int)getpid(), line, what,
            tr_error_detail());
    exit(1);
}

struct party {
    tr_arena *arena;
    const char *in, *out, *backend;
    bool begins;
    tr_waitset *set; /* NULL: to be made */
};

static void choose(const char *backend)
{
    if (strcmp(backend, "auto") == 0)
        unsetenv("TENSORING_NOTIFY");
    else
        setenv("TENSORING_NOTIFY", backend, 1);
}

static void give(tr_arena *arena, tr_queue *queue, uint64_t value)
{
    tr_message *message;

    CHECK(tr_message_loan_bytes(arena, sizeof(value), HOUR, &message) == 0);
    memcpy(tr_message_tensor(message, 0)->data, &value, sizeof(value));
    CHECK(tr_queue_send(queue, message, HOUR) == 0);
}

/* Everything that is there; how many. */
static uint64_t take_all(tr_queue *queue, uint64_t expected)
{
    uint64_t taken = 0, value;
    tr_message *message;

    while (tr_queue_receive(queue, TR_NOWAIT, &message) == 0) {
        memcpy(&value, tr_message_tensor(message, 0)->data, sizeof(value));
        CHECK(value == expected + taken);
        tr_message_release(message);
        taken++;
    }
    return taken;
}

/* As the manual says: wait until the descriptor is readable, and drain the set. */
static uint64_t sleep_and_take(struct party *party, int epoll, tr_queue *queue,
                               uint64_t expected)
{
    struct epoll_event event;
    tr_event events[4];
    uint64_t taken = 0;
    size_t count;
    int got;

    do {
        got = epoll_wait(epoll, &event, 1, -1);
    } while (got < 0 && errno == EINTR);
    CHECK(got == 1);
    while (tr_waitset_wait(party->set, events, 4, TR_NOWAIT, &count) == 0)
        for (size_t i = 0; i < count; i++) {
            CHECK(events[i].token == 7 && events[i].ready == TR_WAIT_READABLE);
            taken += take_all(queue, expected + taken);
        }
    return taken;
}

static void play(struct party *party)
{
    struct epoll_event event = {.events = EPOLLIN};
    int fd, epoll = epoll_create1(EPOLL_CLOEXEC);
    tr_queue *in, *out;

    CHECK(tr_queue_open(party->arena, party->in, NULL, &in) == 0);
    CHECK(tr_queue_open(party->arena, party->out, NULL, &out) == 0);
    if (!party->set) {
        CHECK(tr_waitset_open(party->arena, &party->set) == 0);
        CHECK(tr_waitset_add_queue(party->set, in, TR_WAIT_READABLE, 7) == 0);
    }
    CHECK(tr_waitset_fd(party->set, &fd) == 0);
    if (strcmp(party->backend, "auto") != 0)
        CHECK(strcmp(tr_waitset_backend(party->set), party->backend) == 0);
    CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        if (party->begins)
            give(party->arena, out, round);
        for (uint64_t taken = 0; taken == 0;)
            taken = sleep_and_take(party, epoll, in, round);
        if (!party->begins)
            give(party->arena, out, round);
    }
    tr_waitset_close(party->set);
    tr_queue_close(in);
    tr_queue_close(out);
    close(epoll);
}

static void *play_thread(void *party)
{
    play(party);
    return NULL;
}

static void give_up_root(void)
{
    CHECK(setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
}

static tr_arena *make_arena(const char *name)
{
    const tr_slot_class slots = {4096, 16};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_arena *arena;

    options.classes = &slots;
    options.class_count = 1;
    options.eventfds = name ? 0 : 8;
    options.spin_ns = 0;
    CHECK(tr_arena_create(name, &options, &arena) == 0);
    return arena;
}

static void expect_success(pid_t child)
{
    int status;

    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Before either: where the set lies in both. */
static tr_waitset *early_set(tr_arena *arena, const char *in)
{
    tr_waitset *set;
    tr_queue *queue;
    int fd;

    CHECK(tr_queue_open(arena, in, NULL, &queue) == 0);
    CHECK(tr_waitset_open(arena, &set) == 0);
    CHECK(tr_waitset_add_queue(set, queue, TR_WAIT_READABLE, 7) == 0);
    CHECK(tr_waitset_fd(set, &fd) == 0);
    return set;
}

/* The parent goes on when the child has joined: then it knows which process may ring. */
static void greet(tr_arena *arena, bool child)
{
    tr_message *message;
    tr_queue *queue;

    CHECK(tr_queue_open(arena, "hello", NULL, &queue) == 0);
    if (child) {
        give(arena, queue, 0);
    } else {
        CHECK(tr_queue_receive(queue, HOUR, &message) == 0);
        tr_message_release(message);
    }
    tr_queue_close(queue);
}

static int related(const char *kinship, struct party parent, struct party child)
{
    bool forbidden = strcmp(kinship, "forbidden") == 0;
    pid_t pid;

    parent.arena = child.arena = make_arena(NULL);
    if (strcmp(kinship, "inherited") == 0) {
        choose(child.backend);
        child.set = early_set(child.arena, child.in);
    }
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        if (strcmp(kinship, "setuid") == 0)
            give_up_root();
        if (forbidden)
            CHECK(forbid_uring() == 0);
        choose(child.backend);
        greet(child.arena, true);
        play(&child);
        exit(0);
    }
    choose(parent.backend);
    greet(parent.arena, false);
    play(&parent);
    expect_success(pid);
    tr_arena_close(parent.arena);
    return 0;
}

static int unrelated(const char *self, struct party parent, struct party child,
                     bool forbidden)
{
    char name[64];
    pid_t pid;

    snprintf(name, sizeof(name), "notify_pair_%d", (int)getpid());
    parent.arena = make_arena(name);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        choose(child.backend);
        execl(self, self, "attach", name, child.backend, forbidden ? "forbidden" : "",
              (char *)NULL);
        exit(1);
    }
    choose(parent.backend);
    play(&parent);
    expect_success(pid);
    CHECK(tr_arena_unlink(name) == 0);
    tr_arena_close(parent.arena);
    return 0;
}

static int attached(char **argv, struct party child)
{
    if (argv[4][0])
        CHECK(forbid_uring() == 0);
    child.backend = argv[4][0] ? "fifo" : argv[3];
    CHECK(tr_arena_attach(argv[2], NULL, &child.arena) == 0);
    play(&child);
    tr_arena_close(child.arena);
    return 0;
}

static int threads(struct party one, struct party two)
{
    pthread_t thread;

    one.arena = two.arena = make_arena(NULL);
    choose(one.backend);
    CHECK(pthread_create(&thread, NULL, play_thread, &two) == 0);
    play(&one);
    pthread_join(thread, NULL);
    tr_arena_close(one.arena);
    return 0;
}

int main(int argc, char **argv)
{
    struct party parent = {.in = "back", .out = "forth", .begins = true};
    struct party child = {.in = "forth", .out = "back"};

    waitset_slice_ns = HOUR;
    if (argc == 5 && strcmp(argv[1], "attach") == 0)
        return attached(argv, child);
    if (argc != 4)
        return 2;
    parent.backend = argv[2];
    child.backend = argv[3];
    if ((strcmp(argv[2], "uring") == 0 || strcmp(argv[3], "uring") == 0) &&
        !uring_futex_works())
        return 77;
    if (strcmp(argv[1], "setuid") == 0 || strcmp(argv[1], "unprivileged") == 0) {
        if (geteuid() != 0)
            return 77;
        if (strcmp(argv[1], "unprivileged") == 0)
            give_up_root();
    }
    if (strcmp(argv[1], "threads") == 0)
        return threads(parent, child);
    if (strcmp(argv[1], "unrelated") == 0)
        return unrelated(argv[0], parent, child, false);
    if (strcmp(argv[1], "forbidden-unrelated") == 0)
        return unrelated(argv[0], parent, child, true);
    return related(argv[1], parent, child);
}
