/* SPDX-License-Identifier: MIT */
/* broadcast: the publisher's cost with eight subscribers instead of one; and how a stopped
 * subscriber affects a fast one. */
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <tensoring/tensoring.h>
#include <unistd.h>

#include "harness/bench.h"
#include "harness/report.h"

#define ROUNDS  9u
#define READERS 8u
#define LARGE   ((size_t)16 << 20)
#define GAP_NS  UINT64_C(10000)
#define SPIN_NS INT64_C(1000000000)

struct news {
    tr_arena *arena;
    tr_broadcast *broadcast;
    pid_t readers[READERS + 1];
    unsigned count;
};

static void must(int err, const char *what)
{
    if (err)
        die("%s: %s: %s", what, tr_strerror(err), tr_error_detail());
}

static void news_open(struct news *news, size_t bytes, uint64_t slots, int64_t spin_ns)
{
    const tr_slot_class class = {bytes, slots};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_broadcast_options broadcast = TR_BROADCAST_OPTIONS_INIT;

    options.flags = TR_ARENA_POPULATE;
    options.classes = &class;
    options.class_count = 1;
    options.spin_ns = spin_ns;
    broadcast.capacity = slots / 2 < 63 ? (uint32_t)slots / 2 : 63;
    must(tr_arena_create(NULL, &options, &news->arena), "tr_arena_create");
    must(tr_broadcast_open(news->arena, "news", &broadcast, &news->broadcast),
         "tr_broadcast_open");
    news->count = 0;
}

/* A process that subscribes and then does @p read, until the end. */
static pid_t reader(struct news *news, tr_lag lag,
                    void (*read)(tr_subscription *subscription, void *context),
                    void *context)
{
    const unsigned before = tr_broadcast_subscribers(news->broadcast);
    const pid_t pid = fork();

    if (pid == 0) {
        tr_subscription_options options = TR_SUBSCRIPTION_OPTIONS_INIT;
        tr_subscription *subscription;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        options.lag = lag;
        must(tr_subscription_open(news->broadcast, &options, &subscription),
             "tr_subscription_open");
        read(subscription, context);
        _exit(0);
    }
    if (pid < 0)
        die("no process");
    while (tr_broadcast_subscribers(news->broadcast) == before)
        sched_yield();
    news->readers[news->count++] = pid;
    return pid;
}

static void news_close(struct news *news)
{
    tr_broadcast_shutdown(news->broadcast);
    for (unsigned i = 0; i < news->count; i++)
        waitpid(news->readers[i], NULL, 0);
    tr_broadcast_close(news->broadcast);
    tr_arena_close(news->arena);
}

static void read_all(tr_subscription *subscription, void *context)
{
    tr_message *message;

    (void)context;
    while (tr_subscription_receive(subscription, TR_FOREVER, &message) == 0)
        tr_message_release(message);
}

/* Loan, one copy in, publish: ns a message. */
static double publish_cost(unsigned readers, const uint8_t *from, unsigned messages)
{
    struct news news;

    news_open(&news, LARGE, 8, 0);
    for (unsigned i = 0; i < readers; i++)
        reader(&news, TR_LAG_BLOCK, read_all, NULL);
    uint64_t start = 0;
    for (unsigned i = 0; i < messages + 4; i++) { /* the first ones warm up */
        tr_message *message;
        if (i == 4)
            start = clock_ns();
        must(tr_message_loan_bytes(news.arena, LARGE, TR_FOREVER, &message),
             "tr_message_loan_bytes");
        must(tr_tensor_fill(tr_message_tensor(message, 0), from, NULL), "tr_tensor_fill");
        must(tr_broadcast_publish(news.broadcast, message, TR_FOREVER), "publish");
    }
    const double cost = (double)(clock_ns() - start) / messages;
    news_close(&news);
    return cost;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void report(const char *name, const char *what, double *ratio, unsigned rounds,
                   double target)
{
    qsort(ratio, rounds, sizeof *ratio, by_value);
    const struct bar bar = {.name = name,
                            .what = what,
                            .measured = ratio[rounds / 2],
                            .place = "any",
                            .rounds = rounds,
                            .target = target};
    report_bar(&bar);
}

static void eight_readers(unsigned rounds, unsigned messages)
{
    uint8_t *from = map_shared(LARGE);
    double ratio[ROUNDS];

    memset(from, 1, LARGE);
    for (unsigned round = 0; round < rounds; round++) {
        const double one = publish_cost(1, from, messages);
        ratio[round] = publish_cost(READERS, from, messages) / one;
    }
    report("broadcast to 8, 16 MiB", "publisher's cost, 8 subscribers / 1", ratio, rounds,
           1.1);
    unmap_shared(from, LARGE);
}

static void read_latency(tr_subscription *subscription, void *context)
{
    struct histogram times = {0};
    double *p99_ns = context;

    for (;;) {
        uint64_t sent;
        tr_message *message;
        const int err = tr_subscription_receive(subscription, TR_FOREVER, &message);
        if (err == TR_ECLOSED)
            break;
        if (err == TR_ELAGGED) /* another process took our processor */
            continue;
        must(err, "receive");
        memcpy(&sent, tr_message_tensor(message, 0)->data, sizeof sent);
        histogram_add(&times, (clock_ns() - sent) * 1000);
        tr_message_release(message);
    }
    *p99_ns = (double)histogram_percentile(&times, 0.99) / 1000;
}

static void sit(tr_subscription *subscription, void *context)
{
    (void)subscription;
    (void)context;
    for (;;)
        pause();
}

/* p99 from publishing to receiving, with a stopped subscriber beside it or without. */
static double fast_p99(bool stopped, unsigned messages)
{
    double *p99_ns = map_shared(sizeof *p99_ns);
    struct news news;

    news_open(&news, 64, 128, SPIN_NS);
    const pid_t lazy = stopped ? reader(&news, TR_LAG_DROP_OLDEST, sit, NULL) : 0;
    if (stopped)
        kill(lazy, SIGSTOP);
    reader(&news, TR_LAG_DROP_OLDEST, read_latency, p99_ns);
    uint64_t next = clock_ns();
    for (unsigned i = 0; i < messages; i++) {
        tr_message *message;
        while (clock_ns() < next)
            cpu_relax();
        next += GAP_NS;
        must(tr_message_loan_bytes(news.arena, 64, TR_FOREVER, &message),
             "tr_message_loan_bytes");
        const uint64_t now = clock_ns();
        memcpy(tr_message_tensor(message, 0)->data, &now, sizeof now);
        must(tr_broadcast_publish(news.broadcast, message, TR_FOREVER), "publish");
    }
    if (stopped)
        kill(lazy, SIGKILL);
    news_close(&news);
    const double p99 = *p99_ns;
    unmap_shared(p99_ns, sizeof *p99_ns);
    return p99;
}

static void stopped(unsigned rounds, unsigned messages)
{
    double ratio[ROUNDS];

    for (unsigned round = 0; round < rounds; round++) {
        const double alone = fast_p99(false, messages);
        ratio[round] = fast_p99(true, messages) / alone;
    }
    report("broadcast beside a stopped one", "p99 of a fast subscriber, with / without",
           ratio, rounds, 1.3);
}

void bars_broadcast(const struct options *options)
{
    const unsigned rounds = options->seconds < 1 ? 1 : ROUNDS;

    eight_readers(rounds, options->seconds < 1 ? 4 : 40);
    stopped(rounds, options->seconds < 1 ? 500 : 20000);
}

void case_broadcast(const struct options *options)
{
    bars_broadcast(options);
    report_bars_table();
}
