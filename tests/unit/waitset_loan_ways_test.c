/* SPDX-License-Identifier: MIT */
/* A loan in a wait set is told of a free slot, or of memory, whichever way it became free. */
#include "waitset_loan_scene.h"

#include <signal.h>
#include <sys/prctl.h>

/* ---- ways to take both slots, and to give one of them back */

static void release_a_loan(struct scene *scene)
{
    release(&scene->held[0]);
}

static void send_both(struct scene *scene)
{
    take_both(scene);
    for (int i = 0; i < 2; i++)
        assert_ok(tr_queue_send(scene->queue, scene->held[i], TR_NOWAIT));
    assert_ok(tr_queue_receive(scene->queue, TR_NOWAIT, &scene->held[0]));
    scene->held[1] = NULL;
}

static void put_and_loan(struct scene *scene)
{
    take_both(scene);
    assert_ok(tr_board_put(scene->board, "key", scene->held[0], NULL));
    scene->held[0] = NULL;
}

static void replace(struct scene *scene)
{
    assert_ok(tr_board_put(scene->board, "key", scene->held[1], NULL));
    scene->held[1] = NULL;
}

static void read_and_replace(struct scene *scene)
{
    put_and_loan(scene);
    assert_ok(tr_board_get(scene->board, "key", &scene->held[0], NULL));
    replace(scene);
}

static void publish_both(struct scene *scene)
{
    scene->subscription = subscribe(scene->broadcast, TR_LAG_BLOCK, 0);
    take_both(scene);
    for (int i = 0; i < 2; i++) {
        assert_ok(tr_broadcast_publish(scene->broadcast, scene->held[i], TR_NOWAIT));
        scene->held[i] = NULL;
    }
}

/* Nobody blocks, so the next loan may have its slot. */
static void publish(struct scene *scene)
{
    assert_ok(tr_broadcast_publish(scene->broadcast, scene->held[0], TR_NOWAIT));
    scene->held[0] = NULL;
}

static void unsubscribe(struct scene *scene)
{
    tr_subscription_close(scene->subscription);
    scene->subscription = NULL;
}

static void ask(struct scene *scene)
{
    take_both(scene);
    assert_ok(
        tr_request_send(scene->queue, scene->held[0], 0, TR_FOREVER, 0, &scene->ticket));
    scene->held[0] = NULL;
}

static void give_up(struct scene *scene)
{
    assert_ok(tr_request_cancel(scene->other, scene->ticket));
}

static void child_takes_both(struct scene *scene)
{
    int pipes[2];
    char byte;

    assert_int_equal(pipe(pipes), 0);
    scene->child = fork();
    if (scene->child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        take_both(scene);
        if (write(pipes[1], "", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(pipes[1]);
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    close(pipes[0]);
}

static void kill_and_reap(struct scene *scene)
{
    tr_reap_report report = TR_REAP_REPORT_INIT;

    kill(scene->child, SIGKILL);
    status_of(scene->child);
    assert_ok(tr_arena_reap(scene->other, &report));
    assert_int_equal(report.dead, 1);
}

static void leave(struct scene *scene)
{
    tr_arena_close(scene->other); /* with what it holds */
    scene->other = NULL;
    scene->queue = NULL;
    scene->board = NULL;
    scene->broadcast = NULL;
    scene->held[0] = scene->held[1] = NULL;
}

static void shut_down(struct scene *scene)
{
    tr_queue_shutdown(scene->queue);
}

static void shut_news_down(struct scene *scene)
{
    tr_broadcast_shutdown(scene->broadcast);
}

enum target { ANY, QUEUE, BROADCAST };

static const struct way {
    const char *name;
    void (*begin)(struct scene *scene);
    void (*free_one)(struct scene *scene);
    uint32_t told;
    enum target target;
} ways[] = {
    {"a loan is released", take_both, release_a_loan, TR_WAIT_WRITABLE, ANY},
    {"a loan is released, for a queue", take_both, release_a_loan, TR_WAIT_WRITABLE,
     QUEUE},
    {"a received one is released", send_both, release_a_loan, TR_WAIT_WRITABLE, ANY},
    {"a value is replaced", put_and_loan, replace, TR_WAIT_WRITABLE, ANY},
    {"its last reader is done", read_and_replace, release_a_loan, TR_WAIT_WRITABLE, ANY},
    {"a message is published that may be lost", take_both, publish, TR_WAIT_WRITABLE,
     ANY},
    {"a subscriber reads", publish_both, read_one, TR_WAIT_WRITABLE, BROADCAST},
    {"a subscriber leaves", publish_both, unsubscribe, TR_WAIT_WRITABLE, ANY},
    {"a request is given up", ask, give_up, TR_WAIT_WRITABLE, ANY},
    {"the holder dies", child_takes_both, kill_and_reap, TR_WAIT_WRITABLE, ANY},
    {"the holder leaves", take_both, leave, TR_WAIT_WRITABLE, ANY},
    {"the queue is shut down", take_both, shut_down, TR_WAIT_HUNGUP, QUEUE},
    {"the broadcast is shut down", take_both, shut_news_down, TR_WAIT_HUNGUP, BROADCAST},
};

static void add_member(struct scene *scene, enum target target)
{
    tr_broadcast *news;

    switch (target) {
    case QUEUE:
        assert_ok(tr_waitset_add_queue_loan(scene->set, open_queue(scene->arena, "q", 4),
                                            &spec, 1, TOKEN));
        break;
    case BROADCAST:
        news = open_broadcast(scene->arena, 8, 1);
        assert_ok(tr_waitset_add_broadcast_loan(scene->set, news, &spec, 1, TOKEN));
        break;
    default:
        assert_ok(tr_waitset_add_loan(scene->set, &spec, 1, TOKEN));
    }
}

static void make_many_members(struct scene *scene)
{
    char name[16];

    for (int i = 0; i < OS_WORDS; i++) {
        snprintf(name, sizeof(name), "m%d", i);
        assert_ok(tr_waitset_add_queue(scene->set, open_queue(scene->arena, name, 1),
                                       TR_WAIT_READABLE, 1));
    }
}

static void is_told(const struct way *way, enum mode mode, uint32_t flags)
{
    struct scene scene;
    struct waiter waiter = {.scene = &scene, .mode = mode};
    tr_message *message;
    tr_event event;
    size_t count;

    begin_scene(&scene, flags);
    if (mode == BY_DOORBELL)
        make_many_members(&scene);
    way->begin(&scene);
    add_member(&scene, way->target);
    assert_int_equal(tr_waitset_wait(scene.set, &event, 1, TR_NOWAIT, &count), TR_EAGAIN);
    assert_int_equal(pthread_create(&waiter.thread, NULL, wait_in_set, &waiter), 0);
    while (!somebody_waits(scene.arena))
        sched_yield();
    way->free_one(&scene);
    pthread_join(waiter.thread, NULL);
    if (waiter.event.token != TOKEN || waiter.event.ready != way->told)
        fail_msg("%s: told %u of token %lu", way->name, waiter.event.ready,
                 (unsigned long)waiter.event.token);
    /* As long as it is so. */
    assert_ok(tr_waitset_wait(scene.set, &event, 1, TR_NOWAIT, &count));
    assert_int_equal(event.ready, way->told);
    if (way->told == TR_WAIT_WRITABLE) {
        assert_ok(tr_message_loan(scene.arena, &spec, 1, TR_NOWAIT, &message));
        while (tr_message_loan(scene.arena, &spec, 1, TR_NOWAIT, &message) == 0)
            ; /* the holder had two */
        assert_int_equal(tr_waitset_wait(scene.set, &event, 1, TR_NOWAIT, &count),
                         TR_EAGAIN);
    }
    assert_ok(tr_waitset_remove(scene.set, TOKEN));
    end_scene(&scene);
}

static void each_way(enum mode mode, uint32_t flags)
{
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
        is_told(&ways[i], mode, flags);
}

static void told_by_words(void **state)
{
    (void)state;
    each_way(BY_WORDS, 0);
    each_way(BY_WORDS, TR_ARENA_LAZY);
}

static void told_by_doorbell(void **state)
{
    (void)state;
    each_way(BY_DOORBELL, 0);
}

static void told_by_descriptor(void **state)
{
    (void)state;
    each_way(BY_DESCRIPTOR, 0);
    setenv("TENSORING_NOTIFY", "fifo", 1);
    is_told(&ways[0], BY_DESCRIPTOR, 0);
    setenv("TENSORING_NOTIFY", "uring", 1);
    if (uring_futex_works())
        is_told(&ways[0], BY_DESCRIPTOR, 0);
    unsetenv("TENSORING_NOTIFY");
}

static void told_of_memory(void **state)
{
    (void)state;
    each_way(BY_WORDS, TR_ARENA_ELASTIC);
    each_way(BY_DOORBELL, TR_ARENA_ELASTIC);
    each_way(BY_DESCRIPTOR, TR_ARENA_ELASTIC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(told_by_words),
        cmocka_unit_test(told_by_doorbell),
        cmocka_unit_test(told_by_descriptor),
        cmocka_unit_test(told_of_memory),
    };

    return cmocka_run_group_tests(tests, be_patient, NULL);
}
