/* SPDX-License-Identifier: MIT */
#include "queue_scene.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

static void hands_over_in_order(void **state)
{
    static const uint32_t capacities[] = {1, 2, 3, 7, 8, 100};
    (void)state;

    for (size_t c = 0; c < sizeof(capacities) / sizeof(*capacities); c++) {
        tr_arena *arena = make_arena(128, 0);
        tr_queue *queue = open_queue(arena, "q", capacities[c]);
        int64_t sent = 0, received = 0;
        tr_message *message;

        for (int round = 0; round < 50; round++) {
            for (uint32_t i = 0; i < capacities[c]; i++)
                assert_ok(tr_queue_send(queue, loan_i64(arena, 4, sent++), TR_NOWAIT));
            assert_int_equal(tr_queue_depth(queue), capacities[c]);
            message = loan_i64(arena, 4, -1);
            assert_int_equal(tr_queue_send(queue, message, TR_NOWAIT), TR_EAGAIN);
            assert_int_equal(first_i64(message), -1); /* still ours */
            tr_message_release(message);
            while (tr_queue_receive(queue, TR_NOWAIT, &message) == 0) {
                assert_int_equal(first_i64(message), received++);
                tr_message_release(message);
            }
            assert_int_equal(received, sent);
        }
        assert_int_equal(stats_of(arena).slots_free, 128);
        tr_queue_close(queue);
        tr_arena_close(arena);
    }
}

static void tells_sequence_and_sender(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_queue(arena, "q", 4);
    tr_header header = TR_HEADER_INIT;
    tr_message *message;
    (void)state;

    for (uint64_t i = 0; i < 10; i++) {
        assert_ok(tr_queue_send(queue, loan_i64(arena, 1, 0), TR_NOWAIT));
        assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
        assert_ok(tr_message_header_get(message, &header));
        assert_int_equal(header.sequence, i);
        assert_int_equal(header.deliveries, 0);
        assert_int_equal(header.published_ns, 0);
        tr_message_release(message);
    }
    tr_queue_close(queue);
    tr_arena_close(arena);
}

static void stamps_when_asked(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue_options options = TR_QUEUE_OPTIONS_INIT;
    tr_header header = TR_HEADER_INIT;
    tr_queue *queue;
    tr_message *message;
    (void)state;

    options.stamp = 1;
    assert_ok(tr_queue_open(arena, "q", &options, &queue));
    assert_ok(tr_queue_send(queue, loan_i64(arena, 1, 0), TR_NOWAIT));
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
    assert_ok(tr_message_header_get(message, &header));
    assert_true(header.published_ns > 0);
    tr_message_release(message);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

static void forwards_without_a_copy(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *first = open_queue(arena, "first", 4),
             *second = open_queue(arena, "second", 4);
    tr_message *message;
    void *data;
    (void)state;

    assert_ok(tr_queue_send(first, loan_i64(arena, 4, 42), TR_NOWAIT));
    assert_ok(tr_queue_receive(first, TR_NOWAIT, &message));
    data = tr_message_tensor(message, 0)->data;
    assert_ok(tr_queue_send(second, message, TR_NOWAIT));
    assert_int_equal(tr_queue_send(second, message, TR_NOWAIT), TR_EINVAL);
    assert_detail("sent or released before");
    assert_ok(tr_queue_receive(second, TR_NOWAIT, &message));
    assert_ptr_equal(tr_message_tensor(message, 0)->data, data);
    assert_int_equal(first_i64(message), 42);
    tr_message_release(message);
    assert_int_equal(stats_of(arena).slots_free, 8);
    tr_queue_close(first);
    tr_queue_close(second);
    tr_arena_close(arena);
}

static void closes_for_everybody(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_queue(arena, "q", 4);
    tr_message *message;
    (void)state;

    assert_ok(tr_queue_send(queue, loan_i64(arena, 1, 7), TR_NOWAIT));
    tr_queue_shutdown(queue);
    message = loan_i64(arena, 1, 8);
    assert_int_equal(tr_queue_send(queue, message, TR_FOREVER), TR_ECLOSED);
    tr_message_release(message);
    assert_ok(tr_queue_receive(queue, TR_FOREVER, &message)); /* what was there */
    assert_int_equal(first_i64(message), 7);
    tr_message_release(message);
    assert_int_equal(tr_queue_receive(queue, TR_FOREVER, &message), TR_ECLOSED);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

static void refuses_bad_options(void **state)
{
    tr_arena *arena = make_arena(8, 0), *other = make_arena(8, 0);
    tr_queue_options options = TR_QUEUE_OPTIONS_INIT;
    char name[TR_MAX_CHANNEL_NAME + 2];
    tr_queue *queue, *same;
    tr_message *message;
    (void)state;

    options.capacity = TR_MAX_CAPACITY + 1;
    assert_int_equal(tr_queue_open(arena, "q", &options, &queue), TR_EINVAL);
    assert_detail("65537");
    options = (tr_queue_options)TR_QUEUE_OPTIONS_INIT;
    options.policy = 2;
    assert_int_equal(tr_queue_open(arena, "q", &options, &queue), TR_EINVAL);
    options = (tr_queue_options)TR_QUEUE_OPTIONS_INIT;
    options.max_deliveries = 0;
    assert_int_equal(tr_queue_open(arena, "q", &options, &queue), TR_EINVAL);
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = 0;
    assert_int_equal(tr_queue_open(arena, name, NULL, &queue), TR_ENAMETOOLONG);
    assert_int_equal(tr_queue_open(arena, "", NULL, &queue), TR_EINVAL);
    assert_int_equal(tr_queue_open(arena, "\x01mine", NULL, &queue), TR_EINVAL);

    queue = open_queue(arena, "q", 4);
    options = (tr_queue_options)TR_QUEUE_OPTIONS_INIT;
    options.capacity = 5;
    assert_int_equal(tr_queue_open(arena, "q", &options, &same), TR_EINVAL);
    assert_detail("capacity 4");
    assert_ok(tr_queue_open(arena, "q", NULL, &same)); /* default: what it has */
    assert_int_equal(tr_queue_capacity(same), 4);
    options = (tr_queue_options)TR_QUEUE_OPTIONS_INIT;
    options.max_deliveries = 0;
    assert_ok(tr_queue_options_get(same, &options));
    assert_int_equal(options.capacity, 4);
    assert_int_equal(options.max_deliveries, 3);
    assert_int_equal(options.policy, TR_QUEUE_REDELIVER);
    assert_string_equal(tr_queue_name(same), "q");
    assert_ptr_equal(tr_queue_arena(same), arena);

    message = loan_i64(other, 1, 1);
    assert_int_equal(tr_queue_send(queue, message, TR_NOWAIT), TR_EINVAL);
    assert_detail("another arena");
    tr_message_release(message);
    tr_queue_close(same);
    tr_queue_close(queue);
    tr_queue_close(NULL);
    tr_arena_close(other);
    tr_arena_close(arena);
}

static void runs_out_of_channels_and_rings(void **state)
{
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_queue_options wide = TR_QUEUE_OPTIONS_INIT;
    tr_queue *queues[2], *queue;
    tr_arena *arena;
    (void)state;

    options.max_channels = 2;
    options.ring_bytes = 4096;
    assert_ok(tr_arena_create(NULL, &options, &arena));
    wide.capacity = 1000;
    assert_int_equal(tr_queue_open(arena, "wide", &wide, &queue), TR_ENOSPC);
    assert_detail("needs 8064 of the 4096 bytes for rings and tables, 4096 are left");
    assert_detail("ring_bytes");
    queues[0] = open_queue(arena, "wide", 8); /* the name is not lost */
    queues[1] = open_queue(arena, "b", 8);
    assert_int_equal(tr_queue_open(arena, "c", NULL, &queue), TR_ENOSPC);
    assert_detail("max_channels");
    tr_queue_close(queues[0]);
    tr_queue_close(queues[1]);
    tr_arena_close(arena);
}

/* Names that fail, and there are many of them, take nothing from those that fit. */
static void failed_openings_give_back(void **state)
{
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_queue_options wide = TR_QUEUE_OPTIONS_INIT;
    tr_queue *queues[4], *queue;
    tr_arena *arena;
    char name[32];
    (void)state;

    options.max_channels = 4;
    options.ring_bytes = 4096;
    assert_ok(tr_arena_create(NULL, &options, &arena));
    wide.capacity = 4096;
    for (int i = 0; i < 10000; i++) {
        snprintf(name, sizeof(name), "tenant %d", i);
        assert_int_equal(tr_queue_open(arena, name, &wide, &queue), TR_ENOSPC);
    }
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "tenant %d", i);
        queues[i] = open_queue(arena, name, 1);
    }
    for (int i = 0; i < 4; i++)
        tr_queue_close(queues[i]);
    tr_arena_close(arena);
}

static void times_out(void **state)
{
    tr_arena *arena = make_arena(4, 0);
    tr_queue *queue = open_queue(arena, "q", 1);
    tr_message *message;
    (void)state;

    assert_int_equal(tr_queue_receive(queue, TR_NOWAIT, &message), TR_EAGAIN);
    assert_int_equal(tr_queue_receive(queue, 1000000, &message), TR_ETIMEDOUT);
    assert_ok(tr_queue_send(queue, loan_i64(arena, 1, 1), 1000000));
    message = loan_i64(arena, 1, 2);
    assert_int_equal(tr_queue_send(queue, message, 1000000), TR_ETIMEDOUT);
    assert_detail("full");
    tr_message_release(message);
    assert_true(stats_of(arena).timeouts >= 2);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

struct relay {
    tr_arena *arena;
    tr_queue *in, *out;
    int64_t count;
    int failures;
};

static void *relay(void *context)
{
    struct relay *relay = context;
    tr_message *message;

    for (int64_t i = 0; i < relay->count; i++)
        if (tr_queue_receive(relay->in, TR_FOREVER, &message) != 0 ||
            tr_queue_send(relay->out, message, TR_FOREVER) != 0)
            relay->failures++;
    return NULL;
}

/* Two threads of one process, and sleeping on both sides: spinning is off. */
static void wakes_who_sleeps(void **state)
{
    tr_arena *arena = make_arena(16, 0);
    struct relay there = {.arena = arena, .count = 2000};
    pthread_t thread;
    tr_message *message;
    (void)state;

    tr_arena_set_spin(arena, 0);
    there.in = open_queue(arena, "in", 1);
    there.out = open_queue(arena, "out", 1);
    assert_int_equal(pthread_create(&thread, NULL, relay, &there), 0);
    for (int64_t i = 0; i < there.count; i++) {
        assert_ok(tr_queue_send(there.in, loan_i64(arena, 2, i), TR_FOREVER));
        assert_ok(tr_queue_receive(there.out, TR_FOREVER, &message));
        assert_int_equal(first_i64(message), i);
        tr_message_release(message);
    }
    pthread_join(thread, NULL);
    assert_int_equal(there.failures, 0);
    assert_int_equal(stats_of(arena).slots_free, 16);
    tr_queue_close(there.in);
    tr_queue_close(there.out);
    tr_arena_close(arena);
}

static int child_echo(tr_queue *in, tr_queue *out)
{
    tr_message *message;
    int result;

    while ((result = tr_queue_receive(in, TR_FOREVER, &message)) == 0)
        if (tr_queue_send(out, message, TR_FOREVER) != 0)
            return 1;
    return result == TR_ECLOSED ? 0 : 2;
}

/* Another handle of this process is another participant. */
static void tells_who_sent_it(void **state)
{
    tr_arena *arena = make_arena(8, 0), *other;
    tr_arena_info info = TR_ARENA_INFO_INIT;
    tr_header header = TR_HEADER_INIT;
    tr_queue *in, *out;
    tr_message *message;
    (void)state;

    assert_ok(tr_arena_info_get(arena, &info));
    assert_ok(tr_arena_attach_fd(info.fd, &other));
    assert_ok(tr_arena_info_get(other, &info));
    in = open_queue(other, "q", 4);
    out = open_queue(arena, "q", 4);
    assert_ok(tr_queue_send(in, loan_i64(other, 1, 1), TR_NOWAIT));
    assert_ok(tr_queue_receive(out, TR_NOWAIT, &message));
    assert_ok(tr_message_header_get(message, &header));
    assert_int_equal(header.sender, info.self);
    assert_int_not_equal(info.self, 0);
    tr_message_release(message);
    tr_queue_close(in);
    tr_queue_close(out);
    tr_arena_close(other);
    tr_arena_close(arena);
}

static void crosses_a_fork(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *in = open_queue(arena, "in", 4), *out = open_queue(arena, "out", 4);
    tr_message *mine = loan_i64(arena, 1, 99), *message;
    pid_t child;
    (void)state;

    child = fork();
    if (child == 0) {
        int bad = 0;

        bad |= tr_queue_send(in, mine, TR_NOWAIT) != TR_EFORK;
        tr_message_release(mine); /* not ours: nothing happens */
        _exit(bad ? 3 : child_echo(in, out));
    }
    for (int64_t i = 0; i < 1000; i++) {
        assert_ok(tr_queue_send(in, loan_i64(arena, 2, i), TR_FOREVER));
        assert_ok(tr_queue_receive(out, TR_FOREVER, &message));
        assert_int_equal(first_i64(message), i);
        tr_message_release(message);
    }
    tr_queue_shutdown(in);
    assert_int_equal(status_of(child), 0);
    assert_int_equal(first_i64(mine), 99);
    tr_message_release(mine);
    assert_ok(tr_arena_reap(arena, NULL));
    assert_int_equal(stats_of(arena).slots_free, 8);
    tr_queue_close(in);
    tr_queue_close(out);
    tr_arena_close(arena);
}

/* A receiver is killed with the message in hand. */
static pid_t kill_receiver(tr_arena *arena, tr_queue *queue)
{
    pid_t child = fork();

    if (child == 0) {
        tr_message *message;

        if (tr_queue_receive(queue, TR_FOREVER, &message) == 0)
            raise(SIGKILL);
        _exit(1);
    }
    assert_int_equal(status_of(child), SIGKILL);
    (void)arena;
    return child;
}

static void redelivers_what_the_dead_held(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_queue(arena, "q", 4);
    tr_header header = TR_HEADER_INIT;
    tr_reap_report report = TR_REAP_REPORT_INIT;
    tr_message *message;
    pid_t dead;
    (void)state;

    assert_ok(tr_queue_send(queue, loan_i64(arena, 1, 5), TR_NOWAIT));
    dead = kill_receiver(arena, queue);
    assert_ok(tr_arena_reap(arena, &report));
    assert_int_equal(report.dead, 1);
    assert_int_equal(report.redelivered, 1);
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
    assert_int_equal(first_i64(message), 5);
    assert_ok(tr_message_header_get(message, &header));
    assert_int_equal(header.deliveries, 1);
    assert_int_equal(header.last_receiver, dead);
    tr_message_release(message);
    assert_int_equal(stats_of(arena).slots_free, 8);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

/* A message that kills its receivers can't kill them all. */
static void gives_up_after_max_deliveries(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_queue(arena, "q", 4);
    tr_reap_report report = TR_REAP_REPORT_INIT;
    tr_message *message;
    (void)state;

    assert_ok(tr_queue_send(queue, loan_i64(arena, 1, 5), TR_NOWAIT));
    for (int i = 0; i < 3; i++) {
        kill_receiver(arena, queue);
        assert_ok(tr_arena_reap(arena, &report));
    }
    assert_int_equal(report.dropped, 1);
    assert_int_equal(tr_queue_receive(queue, TR_NOWAIT, &message), TR_EAGAIN);
    assert_int_equal(stats_of(arena).slots_free, 8);
    assert_int_equal(stats_of(arena).dropped, 1);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

static void drops_by_policy(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue_options options = TR_QUEUE_OPTIONS_INIT;
    tr_reap_report report = TR_REAP_REPORT_INIT;
    tr_message *message;
    tr_queue *queue;
    (void)state;

    options.policy = TR_QUEUE_DROP;
    assert_ok(tr_queue_open(arena, "q", &options, &queue));
    assert_ok(tr_queue_send(queue, loan_i64(arena, 1, 5), TR_NOWAIT));
    kill_receiver(arena, queue);
    assert_ok(tr_arena_reap(arena, &report));
    assert_int_equal(report.dropped, 1);
    assert_int_equal(tr_queue_receive(queue, TR_NOWAIT, &message), TR_EAGAIN);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

static void on_signal(int number)
{
    (void)number;
}

static _Atomic int noticed;

/* Until it has been noticed: the first may come before the wait. */
static void *interrupt(void *context)
{
    while (!atomic_load(&noticed)) {
        pthread_kill(*(pthread_t *)context, SIGUSR1);
        sched_yield();
    }
    return NULL;
}

/* SA_RESTART would restart an untimed wait forever; ours ends by its deadline. */
static void survives_signals_while_waiting(void **state)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_queue(arena, "q", 4);
    pthread_t self = pthread_self(), thread;
    tr_message *message;
    (void)state;

    sigaction(SIGUSR1, &action, NULL);
    assert_int_equal(pthread_create(&thread, NULL, interrupt, &self), 0);
    assert_int_equal(tr_queue_receive(queue, 50000000, &message), TR_ETIMEDOUT);
    tr_arena_set_interruptible(arena, true);
    assert_int_equal(tr_queue_receive(queue, TR_FOREVER, &message), TR_EINTR);
    atomic_store(&noticed, 1);
    pthread_join(thread, NULL);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hands_over_in_order),
        cmocka_unit_test(tells_sequence_and_sender),
        cmocka_unit_test(stamps_when_asked),
        cmocka_unit_test(forwards_without_a_copy),
        cmocka_unit_test(closes_for_everybody),
        cmocka_unit_test(refuses_bad_options),
        cmocka_unit_test(runs_out_of_channels_and_rings),
        cmocka_unit_test(failed_openings_give_back),
        cmocka_unit_test(times_out),
        cmocka_unit_test(wakes_who_sleeps),
        cmocka_unit_test(tells_who_sent_it),
        cmocka_unit_test(crosses_a_fork),
        cmocka_unit_test(redelivers_what_the_dead_held),
        cmocka_unit_test(gives_up_after_max_deliveries),
        cmocka_unit_test(drops_by_policy),
        cmocka_unit_test(survives_signals_while_waiting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
