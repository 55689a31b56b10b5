/* SPDX-License-Identifier: MIT */
/* digits: a real job, the same workers over every transport, in turn. A sample is the time
 * from question to answer; answers must equal those of one process. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness/bench.h"
#include "harness/report.h"
#include "jobs/exchange.h"

#define AHEAD 2u /* questions in flight, a worker */

struct office {
    const struct exchange *exchange;
    void *state;
    pid_t pid[EXCHANGE_WORKERS];
    struct histogram times; /* picoseconds */
    double rate[COMPARISON_ROUNDS];
    double cpu_s;
};

static struct digits digits;
static struct verdict expected[DIGITS_ASKED];

static void work(const struct question *question, struct answer *answer)
{
    answer->first = question->first;
    answer->count = question->count;
    for (uint32_t i = 0; i < question->count && i < EXCHANGE_BATCH; i++)
        answer->verdict[i] = digits_classify(&digits, question->image[i]);
}

static void hire(struct office *office)
{
    office->state = office->exchange->open();
    fflush(NULL);
    for (unsigned i = 0; i < EXCHANGE_WORKERS; i++) {
        office->pid[i] = fork();
        if (office->pid[i] < 0)
            die("fork: %s", strerror(errno));
        if (office->pid[i] == 0) {
            struct end nobody = {0};
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            (void)member_prepare(&nobody, i, EXCHANGE_WORKERS, 64);
            office->exchange->serve(office->state, i, work);
            _exit(0);
        }
    }
}

static void dismiss(struct office *office)
{
    office->exchange->finish(office->state);
    for (unsigned i = 0; i < EXCHANGE_WORKERS; i++) {
        struct rusage used;
        int status;
        if (wait4(office->pid[i], &status, 0, &used) < 0 || status != 0)
            die("%s: a worker failed", office->exchange->name);
        office->cpu_s += (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                         (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    }
    office->exchange->close(office->state);
}

static bool ask_next(struct office *office, unsigned worker, uint32_t *next,
                     uint32_t batch, uint64_t *asked_at)
{
    struct question question = {.first = *next};

    if (*next >= DIGITS_ASKED)
        return false;
    question.count = DIGITS_ASKED - *next < batch ? DIGITS_ASKED - *next : batch;
    memcpy(question.image, digits.image[DIGITS_KNOWN + *next],
           question.count * DIGITS_PIXELS);
    asked_at[*next] = clock_ns();
    office->exchange->ask(office->state, worker, &question);
    *next += question.count;
    return true;
}

/* All images once. */
static void one_round(struct office *office, uint32_t batch, unsigned round)
{
    static uint64_t asked_at[DIGITS_ASKED];
    const uint64_t start = clock_ns();
    uint32_t next = 0, got = 0;
    double messages = 0;

    for (unsigned i = 0; i < AHEAD * EXCHANGE_WORKERS; i++)
        (void)ask_next(office, i % EXCHANGE_WORKERS, &next, batch, asked_at);
    while (got < DIGITS_ASKED) {
        struct answer answer;
        const unsigned worker = office->exchange->collect(office->state, &answer);
        if (answer.count > EXCHANGE_BATCH || answer.first + answer.count > DIGITS_ASKED)
            die("%s: a torn answer", office->exchange->name);
        histogram_add(&office->times, (clock_ns() - asked_at[answer.first]) * 1000);
        (void)ask_next(office, worker, &next, batch, asked_at);
        if (memcmp(answer.verdict, &expected[answer.first],
                   answer.count * sizeof expected[0]) != 0)
            die("%s: another result than one process has", office->exchange->name);
        got += answer.count;
        messages++;
    }
    office->rate[round % COMPARISON_ROUNDS] = messages * 1e9 /
                                              (double)(clock_ns() - start);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void report(struct office *office, uint32_t batch, unsigned rounds)
{
    struct row row = {.name = "digits",
                      .transport = office->exchange->name,
                      .mode = MODE_BLOCK,
                      .touch = TOUCH_READWRITE,
                      .bytes = (double)(batch * DIGITS_PIXELS),
                      .cpu_s = office->cpu_s};

    rounds = rounds < COMPARISON_ROUNDS ? rounds : COMPARISON_ROUNDS;
    qsort(office->rate, rounds, sizeof office->rate[0], by_value);
    row_times(&row, &office->times);
    row.messages_per_s = office->rate[rounds / 2];
    row.bytes_per_s = row.messages_per_s * row.bytes;
    report_row(&row);
}

static double my_cpu_s(void)
{
    struct timespec used;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static void with_batch(const struct options *options, uint32_t batch)
{
    static const struct exchange *const posts[] = {&exchange_ours, &exchange_uds,
                                                   &exchange_tcp, &exchange_pipe};
    static struct office offices[sizeof posts / sizeof posts[0]];
    const uint64_t until = clock_ns() + (uint64_t)(options->seconds * 1e9 / 2);
    unsigned count = 0, rounds = 0;

    memset(offices, 0, sizeof offices);
    for (size_t i = 0; i < sizeof posts / sizeof posts[0]; i++)
        if (strcmp(options->transport, "all") == 0 ||
            strcmp(options->transport, posts[i]->name) == 0)
            offices[count++].exchange = posts[i];
    for (unsigned i = 0; i < count; i++)
        hire(&offices[i]);
    do {
        for (unsigned i = 0; i < count; i++) {
            const double before = my_cpu_s();
            one_round(&offices[i], batch, rounds);
            offices[i].cpu_s += my_cpu_s() - before;
        }
        rounds++;
    } while (clock_ns() < until);
    for (unsigned i = 0; i < count; i++) {
        dismiss(&offices[i]);
        report(&offices[i], batch, rounds);
    }
}

void case_digits(const struct options *options)
{
    unsigned right = 0;

    digits_load(&digits, BENCH_DATA);
    for (unsigned i = 0; i < DIGITS_ASKED; i++) {
        expected[i] = digits_classify(&digits, digits.image[DIGITS_KNOWN + i]);
        right += expected[i].label == digits.label[DIGITS_KNOWN + i];
    }
    printf("one process recognises %u of %u digits\n", right, DIGITS_ASKED);
    with_batch(options, 1);
    with_batch(options, EXCHANGE_BATCH);
}
