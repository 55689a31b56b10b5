/* SPDX-License-Identifier: MIT */
/* Loans in wait sets: which of several are told, what is asked for, and room in broadcasts. */
#include "waitset_loan_scene.h"

/* ---- one slot, several that wait */

#define MANY 4

struct several {
    struct scene scene;
    tr_arena *arenas[MANY];
    tr_waitset *sets[MANY];
    int fds[MANY];
};

static int is_readable(int fd)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};

    return poll(&poller, 1, 0);
}

static int how_many_told(const struct several *several, int *which)
{
    int told = 0;

    for (int i = 0; i < MANY; i++) {
        if (is_readable(several->fds[i])) {
            *which = i;
            told++;
        }
    }
    return told;
}

static void gather(struct several *several)
{
    tr_arena_info info = TR_ARENA_INFO_INIT;
    tr_event event;
    size_t count;

    setenv("TENSORING_NOTIFY", "fifo", 1); /* who writes there has rung when it returns */
    begin_scene(&several->scene, 0);
    take_both(&several->scene);
    assert_ok(tr_arena_info_get(several->scene.arena, &info));
    for (int i = 0; i < MANY; i++) {
        assert_ok(tr_arena_attach_fd(info.fd, &several->arenas[i]));
        assert_ok(tr_waitset_open(several->arenas[i], &several->sets[i]));
        assert_ok(tr_waitset_add_loan(several->sets[i], &spec, 1, TOKEN));
        assert_ok(tr_waitset_fd(several->sets[i], &several->fds[i]));
        assert_int_equal(tr_waitset_wait(several->sets[i], &event, 1, TR_NOWAIT, &count),
                         TR_EAGAIN);
    }
}

static void disperse(struct several *several)
{
    for (int i = 0; i < MANY; i++) {
        tr_waitset_close(several->sets[i]);
        tr_arena_close(several->arenas[i]);
    }
    end_scene(&several->scene);
    unsetenv("TENSORING_NOTIFY");
}

/* Nobody else is woken, also not when the one that was told has taken the slot and no longer
 * waits. */
static void one_slot_tells_one(void **state)
{
    struct several several;
    int which = -1;
    (void)state;

    gather(&several);
    assert_int_equal(how_many_told(&several, &which), 0);
    release(&several.scene.held[0]);
    assert_int_equal(how_many_told(&several, &which), 1);
    (void)loan(several.arenas[which]);
    assert_ok(tr_waitset_remove(several.sets[which], TOKEN));
    several.fds[which] = -1;
    assert_int_equal(how_many_told(&several, &which), 0);
    release(&several.scene.held[1]);
    assert_int_equal(how_many_told(&several, &which), 1);
    disperse(&several);
}

static void one_that_leaves_tells_another(void **state)
{
    struct several several;
    int which = -1, first;
    (void)state;

    gather(&several);
    release(&several.scene.held[0]);
    assert_int_equal(how_many_told(&several, &which), 1);
    first = which;
    assert_ok(tr_waitset_remove(several.sets[first], TOKEN));
    several.fds[first] = -1;
    assert_int_equal(how_many_told(&several, &which), 1);
    assert_int_not_equal(which, first);
    disperse(&several);
}

/* The sets of one process share a bit among the listeners. The second one never listened: it would
 * have slept on the words. */
static void one_that_leaves_makes_no_set_deaf(void **state)
{
    struct scene scene;
    tr_waitset *second;
    tr_event event;
    size_t count;
    int fd;
    (void)state;

    setenv("TENSORING_NOTIFY", "fifo", 1);
    begin_scene(&scene, 0);
    take_both(&scene);
    assert_ok(tr_waitset_add_loan(scene.set, &spec, 1, TOKEN));
    assert_ok(tr_waitset_fd(scene.set, &fd));
    assert_ok(tr_waitset_open(scene.arena, &second));
    assert_ok(tr_waitset_add_loan(second, &spec, 1, TOKEN));
    do
        assert_int_equal(tr_waitset_wait(scene.set, &event, 1, TR_NOWAIT, &count),
                         TR_EAGAIN);
    while (is_readable(fd));
    assert_ok(tr_waitset_remove(second, TOKEN));
    while (is_readable(fd))
        assert_int_equal(tr_waitset_wait(scene.set, &event, 1, TR_NOWAIT, &count),
                         TR_EAGAIN);
    release(&scene.held[0]);
    assert_int_equal(is_readable(fd), 1);
    tr_waitset_close(second);
    end_scene(&scene);
    unsetenv("TENSORING_NOTIFY");
}

/* ---- what is asked for */

static void refuses_nonsense(void **state)
{
    tr_arena *arena = make_arena(2, 2), *far = make_arena(2, 0);
    tr_queue *queue = open_queue(far, "q", 2);
    tr_broadcast *news = open_broadcast(far, 2, 1);
    static const int64_t many = 65537, limit = 16384;
    tr_tensor_spec large = {.dtype = {TR_DTYPE_UINT, 8, 1}, .ndim = 1, .shape = &many};
    struct scene scene;
    tr_waitset *set;
    (void)state;

    assert_ok(tr_waitset_open(arena, &set));
    assert_int_equal(tr_waitset_add_loan(NULL, &spec, 1, 1), TR_EINVAL);
    assert_int_equal(tr_waitset_add_loan(set, NULL, 1, 1), TR_EINVAL);
    assert_int_equal(tr_waitset_add_loan(set, &large, 1, 1), TR_EMSGSIZE);
    assert_detail("65537 bytes");
    assert_int_equal(tr_waitset_add_queue_loan(set, NULL, &spec, 1, 1), TR_EINVAL);
    assert_int_equal(tr_waitset_add_queue_loan(set, queue, &spec, 1, 1), TR_EINVAL);
    assert_detail("another arena");
    assert_int_equal(tr_waitset_add_broadcast_loan(set, NULL, &spec, 1, 1), TR_EINVAL);
    assert_int_equal(tr_waitset_add_broadcast_loan(set, news, &spec, 1, 1), TR_EINVAL);
    assert_int_equal(tr_waitset_add_broadcast(set, NULL, 1), TR_EINVAL);
    assert_int_equal(tr_waitset_add_broadcast(set, news, 1), TR_EINVAL);
    assert_detail("another arena");
    assert_int_equal(tr_waitset_remove(set, 1), TR_ENOENT);
    tr_waitset_close(set);
    tr_queue_close(queue);
    tr_broadcast_close(news);
    tr_arena_close(arena);
    tr_arena_close(far);
    begin_scene(&scene, TR_ARENA_ELASTIC);
    large.shape = &limit;
    assert_int_equal(tr_waitset_add_loan(scene.set, &large, 1, 1), TR_EMSGSIZE);
    end_scene(&scene);
}

/* The slots that count are those that the loan would take. */
static void each_size_waits_for_its_slots(void **state)
{
    static const int64_t many = 65536;
    const tr_tensor_spec large = {
        .dtype = {TR_DTYPE_UINT, 8, 1}, .ndim = 1, .shape = &many};
    tr_arena *arena = make_arena(1, 1);
    tr_message *held[2];
    tr_waitset *set;
    tr_event events[2];
    size_t count;
    (void)state;

    assert_ok(tr_message_loan(arena, &spec, 1, TR_NOWAIT, &held[0]));
    assert_ok(tr_message_loan(arena, &large, 1, TR_NOWAIT, &held[1]));
    assert_ok(tr_waitset_open(arena, &set));
    assert_ok(tr_waitset_add_loan(set, &spec, 1, 0));
    assert_ok(tr_waitset_add_loan(set, &large, 1, 1));
    assert_ok(
        tr_waitset_add_loan(set, NULL, 0, 2)); /* a header alone needs a slot, too */
    assert_int_equal(tr_waitset_wait(set, events, 2, TR_NOWAIT, &count), TR_EAGAIN);
    release(&held[1]);
    assert_ok(tr_waitset_wait(set, events, 2, TR_FOREVER, &count));
    assert_int_equal(count, 1);
    assert_int_equal(events[0].token, 1);
    assert_ok(tr_waitset_remove(set, 1));
    assert_int_equal(tr_waitset_wait(set, events, 2, TR_NOWAIT, &count), TR_EAGAIN);
    release(&held[0]);
    assert_ok(tr_waitset_wait(set, events, 2, TR_FOREVER, &count));
    assert_int_equal(count, 2);
    tr_waitset_close(set);
    tr_arena_close(arena);
}

/* A loan would take the slot of a message that a slow subscriber has not read. A look does not. */
static void a_look_loses_nothing(void **state)
{
    struct scene scene;
    tr_event event;
    size_t count;
    (void)state;

    begin_scene(&scene, 0);
    scene.subscription = subscribe(scene.broadcast, TR_LAG_DROP_OLDEST, 0);
    take_both(&scene);
    for (int i = 0; i < 2; i++)
        assert_ok(tr_broadcast_publish(scene.broadcast, scene.held[i], TR_NOWAIT));
    assert_ok(tr_waitset_add_loan(scene.set, &spec, 1, TOKEN));
    for (int i = 0; i < 3; i++)
        assert_ok(tr_waitset_wait(scene.set, &event, 1, TR_FOREVER, &count));
    for (int i = 0; i < 2; i++) /* both are there */
        assert_ok(tr_subscription_receive(scene.subscription, TR_NOWAIT, &scene.held[i]));
    /* What is read cannot be given up. */
    assert_int_equal(tr_waitset_wait(scene.set, &event, 1, TR_NOWAIT, &count), TR_EAGAIN);
    release(&scene.held[0]);
    assert_ok(tr_waitset_wait(scene.set, &event, 1, TR_FOREVER, &count));
    end_scene(&scene);
}

static void room_of_a_broadcast(void **state)
{
    struct scene scene;
    struct waiter waiter = {.scene = &scene};
    tr_broadcast_options options = TR_BROADCAST_OPTIONS_INIT;
    tr_broadcast *news;
    tr_event event;
    size_t count;
    (void)state;

    for (enum mode mode = BY_WORDS; mode <= BY_DESCRIPTOR; mode++) {
        tr_arena *arena = make_arena(64, 0);

        memset(&scene, 0, sizeof(scene));
        waiter.mode = mode;
        scene.arena = arena;
        options.capacity = 2;
        assert_ok(tr_broadcast_open(arena, "n", &options, &news));
        scene.subscription = subscribe(news, TR_LAG_BLOCK, 0);
        assert_ok(tr_waitset_open(arena, &scene.set));
        assert_ok(tr_waitset_add_broadcast(scene.set, news, TOKEN));
        do { /* full, as far as the subscriber that blocks says */
            tr_message *message = loan(arena);

            assert_ok(tr_waitset_wait(scene.set, &event, 1, TR_NOWAIT, &count));
            assert_int_equal(event.ready, TR_WAIT_WRITABLE);
            assert_ok(tr_broadcast_publish(news, message, TR_NOWAIT));
        } while (tr_waitset_wait(scene.set, &event, 1, TR_NOWAIT, &count) == 0);
        assert_int_equal(pthread_create(&waiter.thread, NULL, wait_in_set, &waiter), 0);
        read_one(&scene);
        pthread_join(waiter.thread, NULL);
        assert_int_equal(waiter.event.ready, TR_WAIT_WRITABLE);
        tr_broadcast_shutdown(news);
        assert_ok(tr_waitset_wait(scene.set, &event, 1, TR_FOREVER, &count));
        assert_int_equal(event.ready, TR_WAIT_HUNGUP);
        tr_waitset_close(scene.set);
        tr_arena_close(arena);
    }
}

/* The set lives on in a forked child, as the child's own. */
static void a_child_waits_too(void **state)
{
    struct scene scene;
    tr_event event;
    size_t count;
    pid_t child;
    (void)state;

    begin_scene(&scene, 0);
    take_both(&scene);
    assert_ok(tr_waitset_add_loan(scene.set, &spec, 1, TOKEN));
    assert_int_equal(tr_waitset_wait(scene.set, &event, 1, TR_NOWAIT, &count), TR_EAGAIN);
    child = fork();
    if (child == 0) {
        if (tr_waitset_wait(scene.set, &event, 1, TR_FOREVER, &count) != 0)
            _exit(1);
        _exit(event.token == TOKEN && event.ready == TR_WAIT_WRITABLE ? 0 : 2);
    }
    while (!somebody_waits(scene.arena))
        sched_yield();
    release(&scene.held[0]);
    assert_int_equal(status_of(child), 0);
    end_scene(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_slot_tells_one),
        cmocka_unit_test(one_that_leaves_tells_another),
        cmocka_unit_test(one_that_leaves_makes_no_set_deaf),
        cmocka_unit_test(refuses_nonsense),
        cmocka_unit_test(each_size_waits_for_its_slots),
        cmocka_unit_test(a_look_loses_nothing),
        cmocka_unit_test(room_of_a_broadcast),
        cmocka_unit_test(a_child_waits_too),
    };

    return cmocka_run_group_tests(tests, be_patient, NULL);
}
