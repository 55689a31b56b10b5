/* SPDX-License-Identifier: MIT */
/* A program closes all descriptors that it does not know, and has files of its own by their
 * numbers then: the library neither closes nor writes them, whatever it had there. */
#include "support.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "ipc/watch.h"
#include "src/arena.h"

#define FIRST 3
#define LAST  80

struct world {
    tr_arena *arena, *other; /* two participants: each is watched by the other */
    tr_queue *queue;
    tr_waitset *set;
};

static void make_world(struct world *world, const char *kind)
{
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_slot_class class = {8192, 8};
    int fd;

    setenv("TENSORING_NOTIFY", kind, 1);
    options.classes = &class;
    options.class_count = 1;
    options.eventfds = 4;
    options.flags = TR_ARENA_LAZY;
    assert_ok(tr_arena_create(&world->arena, NULL, &options));
    assert_ok(tr_arena_attach_fd(&world->other, arena_known(world->arena)->view.lock_fd));
    assert_ok(tr_queue_open(world->arena, "q", NULL, &world->queue));
    assert_ok(tr_waitset_open(world->arena, &world->set));
    assert_ok(tr_waitset_add_queue(world->set, world->queue, TR_READABLE, 1));
    fd = tr_waitset_fd(world->set, &fd); /* that kind may not work here */
    assert_true(fd == 0 || fd == TR_ENOTSUP);
    (void)!watch_quiet(&arena_known(world->arena)->peer);
}

static void take_the_numbers(void)
{
    assert_int_equal(close_range(FIRST, ~0U, 0), 0);
    for (int fd = FIRST; fd <= LAST; fd++)
        assert_int_equal(memfd_create("mine", MFD_CLOEXEC), fd);
}

static void check_the_numbers(void)
{
    for (int fd = FIRST; fd <= LAST; fd++) {
        struct stat st;

        if (fstat(fd, &st) != 0)
            fail_msg("descriptor %d was closed", fd);
        if (st.st_size != 0)
            fail_msg("descriptor %d was written", fd);
    }
}

/* Whoever listens there is to be told, in vain. */
static void use(struct world *world)
{
    tr_message *message;

    assert_ok(tr_queue_send(world->queue, loan_i64(world->arena, 1, 1), TR_NOWAIT));
    assert_ok(tr_queue_receive(world->queue, TR_NOWAIT, &message));
    assert_ok(tr_release(message));
    assert_ok(tr_arena_trim(world->arena, NULL));
    (void)!watch_quiet(&arena_known(world->arena)->peer);
}

static void end_world(struct world *world)
{
    tr_waitset_close(world->set);
    tr_queue_close(world->queue);
    tr_arena_close(world->other);
    tr_arena_close(world->arena);
}

static void play(const char *kind, bool forks)
{
    struct world world;
    pid_t child;

    make_world(&world, kind);
    take_the_numbers();
    use(&world);
    check_the_numbers();
    child = forks ? fork() : 0;
    if (forks && child == 0) { /* it can't join any more, and closes what it inherited */
        tr_message *message;

        assert_true(tr_loan_bytes(world.arena, 8, TR_NOWAIT, &message) < 0);
        end_world(&world);
        check_the_numbers();
        _exit(0);
    }
    if (forks)
        assert_int_equal(status_of(child), 0);
    end_world(&world);
    check_the_numbers();
}

/* In a process of its own, whose descriptors nobody misses. */
static void numbers_are_others(void **state)
{
    static const char *const kinds[] = {"eventfd", "uring", "fifo"};

    (void)state;
    for (int i = 0; i < 6; i++) {
        pid_t child = fork();

        if (child == 0) {
            play(kinds[i / 2], i % 2);
            _exit(0);
        }
        assert_int_equal(status_of(child), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(numbers_are_others)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
