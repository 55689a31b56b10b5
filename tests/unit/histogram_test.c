/* SPDX-License-Identifier: MIT */
/* What queues count of their messages: waits, service times, batches. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <time.h>

#include "queue_scene.h"

#include "ipc/exchange/histogram.h"

#define LONG (INT64_C(30) * 1000 * 1000 * 1000) /* ns: it hangs */

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static tr_queue *open_counting(tr_arena *arena, const char *name)
{
    tr_queue_options options = TR_QUEUE_OPTIONS_INIT;
    tr_queue *queue;

    options.histograms = 1;
    assert_ok(tr_queue_open(arena, name, &options, &queue));
    return queue;
}

static uint64_t total(const tr_histogram *histogram)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < TR_HISTOGRAM_BUCKETS; i++)
        sum += histogram->buckets[i];
    return sum;
}

static tr_histogram read_of(tr_arena *arena, const char *name, tr_histogram_kind kind)
{
    tr_histogram found = TR_HISTOGRAM_INIT;

    assert_ok(tr_stats_histogram(arena, name, kind, &found));
    assert_int_equal(found.kind, kind);
    assert_int_equal(found.count, total(&found));
    return found;
}

static uint64_t bound_of(uint32_t bucket)
{
    static const tr_histogram any = TR_HISTOGRAM_INIT;

    return tr_histogram_bound(&any, bucket);
}

static void each_value_has_a_bucket(void **state)
{
    (void)state;
    for (uint64_t value = 1; value < 100000; value++) {
        uint32_t bucket = histogram_bucket(value);

        assert_true(value <= bound_of(bucket));
        if (bucket > 0)
            assert_true(value > bound_of(bucket - 1));
    }
    for (uint32_t i = 0; i + 1 < TR_HISTOGRAM_BUCKETS; i++) {
        uint64_t bound = bound_of(i);

        assert_int_equal(histogram_bucket(bound), i);
        assert_int_equal(histogram_bucket(bound + 1), i + 1);
        if (i >= 8) /* to 25 % */
            assert_true(4 * (bound - bound_of(i - 1)) <= bound);
    }
    for (uint32_t power = 0; power < 40;
         power++) /* for metrics: powers of two are bounds */
        assert_int_equal(bound_of(histogram_bucket(UINT64_C(1) << power)), UINT64_C(1)
                                                                               << power);
    assert_int_equal(histogram_bucket(0), 0);
    assert_int_equal(histogram_bucket(UINT64_MAX), TR_HISTOGRAM_BUCKETS - 1);
    assert_true(bound_of(TR_HISTOGRAM_BUCKETS - 1) == UINT64_MAX);
    assert_true(bound_of(UINT32_MAX) == UINT64_MAX);
}

static void tells_quantiles(void **state)
{
    tr_histogram one = TR_HISTOGRAM_INIT;
    (void)state;

    assert_int_equal(tr_histogram_quantile(NULL, 0.5), 0);
    assert_int_equal(tr_histogram_quantile(&one, 0.5), 0);
    one.buckets[histogram_bucket(3)] = 98;
    one.buckets[histogram_bucket(1000)] = 2;
    one.count = 100;
    assert_int_equal(tr_histogram_quantile(&one, 0), 3);
    assert_int_equal(tr_histogram_quantile(&one, 0.5), 3);
    assert_int_equal(tr_histogram_quantile(&one, 0.98), 3);
    assert_int_equal(tr_histogram_quantile(&one, 0.981), 1024);
    assert_int_equal(tr_histogram_quantile(&one, 1), 1024);
    assert_int_equal(tr_histogram_quantile(&one, 7), 1024);
    assert_int_equal(tr_histogram_quantile(&one, -1), 3);
    one.buckets[TR_HISTOGRAM_BUCKETS - 1] = 100;
    one.count = 200;
    assert_true(tr_histogram_quantile(&one, 0.99) == UINT64_MAX);
}

static void counts_waits(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_counting(arena, "q"), *again, *plain;
    tr_message *message;
    tr_histogram found;
    tr_header header = TR_HEADER_INIT;
    uint64_t begun, sent, asked, received;
    (void)state;

    assert_int_equal(read_of(arena, "q", TR_HISTOGRAM_WAIT).count, 0);
    begun = now_ns();
    give(arena, queue, 1);
    sent = now_ns();
    assert_int_equal(stats_of(arena).slots_queued, 1); /* which takes a while */
    asked = now_ns();
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
    received = now_ns();
    found = read_of(arena, "q", TR_HISTOGRAM_WAIT);
    assert_int_equal(found.count, 1);
    assert_in_range(found.sum, asked - sent, received - begun);
    assert_true(tr_histogram_quantile(&found, 1) >= found.sum);
    assert_ok(tr_message_header_get(message, &header));
    assert_true(header.published_ns > 0);
    tr_message_release(message);
    give(arena, queue, 2);
    assert_int_equal(take(queue), 2);
    assert_int_equal(read_of(arena, "q", TR_HISTOGRAM_WAIT).count, 2);
    assert_int_equal(read_of(arena, "q", TR_HISTOGRAM_SERVICE).count, 0);
    /* Whatever a later opener asks for, and it is counted through any handle. */
    assert_ok(tr_queue_open(arena, "q", NULL, &again));
    give(arena, again, 3);
    assert_int_equal(take(again), 3);
    assert_int_equal(read_of(arena, "q", TR_HISTOGRAM_WAIT).count, 3);
    /* Others count nothing. */
    plain = open_queue(arena, "plain", 8);
    give(arena, plain, 4);
    assert_int_equal(take(plain), 4);
    assert_int_equal(tr_stats_histogram(arena, "plain", TR_HISTOGRAM_WAIT, &found),
                     TR_ENOENT);
    assert_detail("options.histograms");
    assert_ok(tr_queue_note_batch(plain, 4));
    tr_queue_close(plain);
    tr_queue_close(again);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

static void wants_a_queue(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue_options options = TR_QUEUE_OPTIONS_INIT;
    tr_queue *queue = NULL;
    tr_broadcast *broadcast;
    tr_histogram found = TR_HISTOGRAM_INIT;
    (void)state;

    options.histograms = 2;
    assert_int_equal(tr_queue_open(arena, "q", &options, &queue), TR_EINVAL);
    assert_detail("histograms is 2");
    assert_int_equal(tr_stats_histogram(arena, "q", TR_HISTOGRAM_WAIT, &found),
                     TR_ENOENT);
    assert_detail("no queue \"q\"");
    assert_ok(tr_broadcast_open(arena, "news", NULL, &broadcast));
    assert_int_equal(tr_stats_histogram(arena, "news", TR_HISTOGRAM_WAIT, &found),
                     TR_ENOENT);
    assert_int_equal(tr_stats_histogram(arena, "q", 3, &found), TR_EINVAL);
    assert_detail("kind 3");
    tr_broadcast_close(broadcast);
    tr_arena_close(arena);
}

/* Its cells take whole lines, or do not. */
static void leaves_the_cells_alone(void **state)
{
    static const uint32_t capacities[] = {1, 15, 16, 17, 300};
    tr_arena *arena = make_arena(512, 0);
    tr_queue_options options = TR_QUEUE_OPTIONS_INIT;
    (void)state;

    options.histograms = 1;
    for (size_t i = 0; i < sizeof(capacities) / sizeof(capacities[0]); i++) {
        char name[16];
        tr_queue *queue;

        snprintf(name, sizeof(name), "q%zu", i);
        options.capacity = capacities[i];
        assert_ok(tr_queue_open(arena, name, &options, &queue));
        for (uint32_t round = 0; round < 3; round++) {
            for (uint32_t n = 0; n < capacities[i]; n++)
                give(arena, queue, n);
            for (uint32_t n = 0; n < capacities[i]; n++)
                assert_int_equal(take(queue), n);
        }
        assert_int_equal(read_of(arena, name, TR_HISTOGRAM_WAIT).count,
                         3 * capacities[i]);
        assert_int_equal(read_of(arena, name, TR_HISTOGRAM_BATCH).count, 0);
        tr_queue_close(queue);
    }
    tr_arena_close(arena);
}

static uint64_t ask(tr_queue *queue)
{
    uint64_t ticket;

    assert_ok(tr_request_send(queue, loan_i64(tr_queue_arena(queue), 4, 1), LONG, LONG, 0,
                              &ticket));
    return ticket;
}

static void counts_service(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_counting(arena, "s");
    tr_message *request, *reply;
    uint64_t ticket = ask(queue), begun, received, replies, replied;
    tr_histogram found;
    (void)state;

    begun = now_ns();
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &request));
    received = now_ns();
    assert_int_equal(stats_of(arena).slots_received, 1); /* which takes a while */
    replies = now_ns();
    assert_ok(tr_request_reply(request, NULL));
    replied = now_ns();
    found = read_of(arena, "s", TR_HISTOGRAM_SERVICE);
    assert_int_equal(found.count, 1);
    assert_in_range(found.sum, replies - received, replied - begun);
    assert_ok(tr_request_wait(arena, ticket, TR_NOWAIT, &reply));
    tr_message_release(reply);
    ticket = ask(queue); /* an error */
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &request));
    assert_ok(tr_request_fail(request, 7, "no"));
    assert_int_equal(tr_request_wait(arena, ticket, TR_NOWAIT, &reply), TR_EREMOTE);
    ticket = ask(queue); /* a release */
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &request));
    assert_ok(tr_message_release(request));
    assert_int_equal(tr_request_wait(arena, ticket, TR_NOWAIT, &reply), TR_EREMOTE);
    ticket = ask(queue); /* another message */
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &request));
    assert_ok(tr_request_reply(request, loan_i64(arena, 1, 1)));
    assert_ok(tr_request_wait(arena, ticket, TR_NOWAIT, &reply));
    tr_message_release(reply);
    assert_int_equal(read_of(arena, "s", TR_HISTOGRAM_SERVICE).count, 4);
    assert_int_equal(read_of(arena, "s", TR_HISTOGRAM_WAIT).count, 4);
    give(arena, queue, 5); /* no request */
    assert_int_equal(take(queue), 5);
    assert_int_equal(read_of(arena, "s", TR_HISTOGRAM_SERVICE).count, 4);
    assert_int_equal(read_of(arena, "s", TR_HISTOGRAM_WAIT).count, 5);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

/* A request of a queue that counts nothing, in the slot of one of a queue that does. */
static void forgets_the_last_service(void **state)
{
    tr_arena *arena = make_arena(1, 0);
    tr_queue *counting = open_counting(arena, "s"), *plain = open_queue(arena, "p", 4);
    tr_queue *queues[] = {counting, plain};
    tr_message *request, *reply;
    (void)state;

    for (size_t i = 0; i < 2; i++) {
        uint64_t ticket = ask(queues[i]);

        assert_ok(tr_queue_receive(queues[i], TR_NOWAIT, &request));
        assert_ok(tr_request_reply(request, NULL));
        assert_ok(tr_request_wait(arena, ticket, TR_NOWAIT, &reply));
        tr_message_release(reply);
    }
    assert_int_equal(read_of(arena, "s", TR_HISTOGRAM_SERVICE).count, 1);
    tr_queue_close(plain);
    tr_queue_close(counting);
    tr_arena_close(arena);
}

static void counts_batches(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_counting(arena, "s");
    tr_histogram found;
    (void)state;

    assert_ok(tr_queue_note_batch(queue, 1));
    assert_ok(tr_queue_note_batch(queue, 32));
    assert_ok(tr_queue_note_batch(queue, 32));
    found = read_of(arena, "s", TR_HISTOGRAM_BATCH);
    assert_int_equal(found.count, 3);
    assert_int_equal(found.sum, 65);
    assert_int_equal(tr_histogram_quantile(&found, 0.1), 1);
    assert_int_equal(tr_histogram_quantile(&found, 0.5), 32);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

static void is_seen_from_outside(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_counting(arena, "q");
    tr_arena_info info = TR_ARENA_INFO_INIT;
    tr_histogram found = TR_HISTOGRAM_INIT;
    tr_look *look;
    (void)state;

    give(arena, queue, 1);
    assert_int_equal(take(queue), 1);
    assert_ok(tr_queue_note_batch(queue, 3));
    assert_ok(tr_arena_info_get(arena, &info));
    assert_ok(tr_look_open_fd(info.fd, &look));
    assert_ok(tr_look_histogram(look, "q", TR_HISTOGRAM_WAIT, &found));
    assert_int_equal(found.count, 1);
    assert_ok(tr_look_histogram(look, "q", TR_HISTOGRAM_BATCH, &found));
    assert_int_equal(found.count, 1);
    assert_int_equal(found.sum, 3);
    assert_int_equal(tr_look_histogram(look, "other", TR_HISTOGRAM_WAIT, &found),
                     TR_ENOENT);
    tr_look_close(look);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

/* A stranger says that they lie elsewhere. */
static void believes_no_place(void **state)
{
    static const uint64_t places[] = {1, 64, 1 << 20, UINT64_MAX - 127};
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_counting(arena, "q"), *again;
    tr_arena_info info = TR_ARENA_INFO_INIT;
    tr_histogram found = TR_HISTOGRAM_INIT;
    const struct control *geo;
    (void)state;

    assert_ok(tr_arena_info_get(arena, &info));
    geo = info.base;
    for (size_t p = 0; p < sizeof(places) / sizeof(places[0]); p++) {
        struct channel *channels = (struct channel *)(void *)((uint8_t *)info.base +
                                                              geo->channels_off);
        tr_look *look;

        for (uint32_t i = 0; i < geo->channel_count; i++)
            if (atomic_load(&channels[i].word))
                atomic_store(&channels[i].extra[QUEUE_HISTOGRAMS], places[p]);
        assert_int_equal(tr_stats_histogram(arena, "q", 0, &found), TR_ENOENT);
        assert_ok(tr_look_open_fd(info.fd, &look));
        assert_int_equal(tr_look_histogram(look, "q", 0, &found), TR_ENOENT);
        tr_look_close(look);
        assert_ok(tr_queue_open(arena, "q", NULL, &again));
        give(arena, again, 1);
        assert_int_equal(take(again), 1);
        tr_queue_close(again);
    }
    tr_queue_close(queue);
    tr_arena_close(arena);
}

#define SENT 4000

/* Receives until told that nothing more comes. */
static void receive_all(tr_queue *queue, _Atomic uint64_t *received)
{
    tr_message *message;

    while (tr_queue_receive(queue, LONG, &message) == 0) {
        atomic_fetch_add(received, 1);
        if (tr_message_release(message))
            _exit(2);
    }
    _exit(0);
}

/* Three processes count, one is killed: what each has counted stays, and nothing is counted twice. */
static void outlives_those_that_counted(void **state)
{
    tr_arena *arena = make_arena(64, 0);
    tr_queue *queue = open_counting(arena, "q");
    _Atomic uint64_t *received = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    tr_histogram found;
    tr_reap_report report = TR_REAP_REPORT_INIT;
    pid_t child[3];
    (void)state;

    assert_true(received != MAP_FAILED);
    for (int i = 0; i < 3; i++) {
        child[i] = fork();
        assert_true(child[i] >= 0);
        if (child[i] == 0)
            receive_all(queue, &received[i]);
    }
    for (int64_t n = 0; n < SENT; n++) {
        give(arena, queue, n);
        if (n == SENT / 2)
            assert_int_equal(kill(child[0], SIGKILL), 0);
    }
    tr_queue_shutdown(queue);
    assert_true(WIFSIGNALED(status_of(child[0])));
    assert_int_equal(status_of(child[1]), 0);
    assert_int_equal(status_of(child[2]), 0);
    assert_ok(tr_arena_reap(arena, &report));
    found = read_of(arena, "q", TR_HISTOGRAM_WAIT);
    /* The killed one may have counted a message and not told, or had one that came again. */
    assert_in_range(found.count, received[0] + received[1] + received[2],
                    received[0] + received[1] + received[2] + 1);
    munmap(received, 4096);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_value_has_a_bucket),
        cmocka_unit_test(tells_quantiles),
        cmocka_unit_test(counts_waits),
        cmocka_unit_test(wants_a_queue),
        cmocka_unit_test(leaves_the_cells_alone),
        cmocka_unit_test(counts_service),
        cmocka_unit_test(forgets_the_last_service),
        cmocka_unit_test(counts_batches),
        cmocka_unit_test(is_seen_from_outside),
        cmocka_unit_test(believes_no_place),
        cmocka_unit_test(outlives_those_that_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
