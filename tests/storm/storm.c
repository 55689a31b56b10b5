/* SPDX-License-Identifier: MIT */
/* storm.c - the one who starts, kills, stops and replaces the workers, and who counts in the
 * end. For TR_SOAK_SECONDS (60), or an hour with TR_SOAK=1, in rounds of at most a minute. */
#include "tests/storm/storm.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ipc/participant.h"
#include "src/arena.h"
#include "tests/crash/audit.h"

#define SECOND      INT64_C(1000000000)
#define KILL_MIN_NS INT64_C(5000000)
#define KILL_VAR_NS INT64_C(25000000)
#define SAMPLES     200000
#define PENDING     64

/* A death that the others have not dealt with yet. */
struct pending {
    uint32_t who;
    uint64_t word;
    int64_t killed;
    bool noticed;
};

struct totals {
    uint64_t kills, stops, messages, lost, torn, doubled, leaked, redelivered, freed,
        heard, looked_up, answered;
    uint32_t samples, notices;
    int64_t recovery[SAMPLES], notice[SAMPLES];
};

static struct storm storm;
static struct totals totals;
static pid_t pids[STORM_WORKERS];
static int64_t resume_at[STORM_WORKERS]; /* 0: not stopped */
static struct pending pending[PENDING];
static uint32_t pending_count;
static uint64_t seed;

static _Noreturn void give_up(const char *what, int code)
{
    fprintf(stderr, "storm: %s: %s: %s\n", what, code ? tr_error_name(code) : "",
            tr_error_detail());
    for (uint32_t i = 0; i < STORM_WORKERS; i++)
        if (pids[i] > 0)
            kill(pids[i], SIGKILL);
    if (storm.name[0] && tr_arena_unlink(storm.name))
        fprintf(stderr, "storm: the name stays\n");
    exit(1);
}

static void start_worker(uint32_t i)
{
    uint64_t own = storm_random(&seed);
    pid_t pid = fork();

    if (pid == 0)
        storm_work(&storm, i, own);
    if (pid < 0)
        give_up("fork", 0);
    pids[i] = pid;
    resume_at[i] = 0;
}

/* Remember which entry must be dealt with. */
static void mourn(pid_t pid, int64_t now)
{
    const struct view *view = &storm.arena->view;

    for (uint32_t i = 0; i < view->geo.participant_count; i++) {
        struct participant *entry = view_participant(view, i);
        uint64_t word = shm_get(&entry->word);

        if (PARTICIPANT_STATE(word) == PARTICIPANT_LIVE &&
            shm_get(&entry->pid) == (uint32_t)pid && pending_count < PENDING)
            pending[pending_count++] = (struct pending){
                .who = i, .word = word, .killed = now};
    }
}

static void watch_recovery(int64_t now)
{
    for (uint32_t i = 0; i < pending_count; i++) {
        struct pending *one = &pending[i];
        uint64_t word = shm_get(&view_participant(&storm.arena->view, one->who)->word);

        if (word != one->word && !one->noticed) {
            one->noticed = true;
            if (totals.notices < SAMPLES)
                totals.notice[totals.notices++] = now - one->killed;
        }
        if (word == one->word || (PARTICIPANT_STATE(word) == PARTICIPANT_REAPING &&
                                  PARTICIPANT_INC(word) == PARTICIPANT_INC(one->word)))
            continue;
        if (totals.samples < SAMPLES)
            totals.recovery[totals.samples++] = now - one->killed;
        *one = pending[--pending_count];
        i--;
    }
}

static void bury(uint32_t i)
{
    uint32_t hand;
    int status;

    if (waitpid(pids[i], &status, 0) != pids[i])
        give_up("wait", 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
        give_up("a worker failed", 0);
    hand = atomic_exchange(&storm.ledger->hand[i], 0);
    if (hand)
        storm.ledger->entries[hand - 1].excused++;
    pids[i] = 0;
}

static void kill_one(uint32_t i)
{
    int64_t now = storm_now();

    mourn(pids[i], now);
    kill(pids[i], SIGKILL);
    totals.kills++;
    bury(i);
}

static void stop_one(uint32_t i)
{
    if (resume_at[i])
        return;
    kill(pids[i], SIGSTOP);
    resume_at[i] = storm_now() + (int64_t)(storm_random(&seed) % 300) * 1000000;
    totals.stops++;
}

static void resume_due(int64_t now, bool all)
{
    for (uint32_t i = 0; i < STORM_WORKERS; i++)
        if (pids[i] > 0 && resume_at[i] && (all || resume_at[i] <= now)) {
            kill(pids[i], SIGCONT);
            resume_at[i] = 0;
        }
}

static void set_up(void)
{
    static const tr_slot_class classes[] = {{1024, STORM_SLOTS}, {32768, STORM_LARGE}};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    int code;

    options.classes = classes;
    options.class_count = 2;
    options.max_channels = 80; /* an inbox each */
    options.ring_bytes = 1 << 20;
    storm.ledger = mmap(NULL, sizeof(*storm.ledger), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (storm.ledger == MAP_FAILED)
        give_up("no memory for the ledger", 0);
    snprintf(storm.name, sizeof(storm.name), "storm.%d", (int)getpid());
    code = tr_arena_create(&storm.arena, storm.name, &options);
    if (code)
        give_up("create", code);
    code = storm_open(&storm);
    if (code)
        give_up("open", code);
}

static void rage(int64_t until)
{
    int64_t next_kill = storm_now(), next_size = 0;
    uint32_t wanted = 8;

    for (;;) {
        static const struct timespec tick = {.tv_nsec = 500000};
        int64_t now = storm_now();
        uint32_t i = (uint32_t)(storm_random(&seed) % STORM_WORKERS);

        if (now >= until || atomic_load(&storm.ledger->stop))
            return;
        watch_recovery(now);
        resume_due(now, false);
        if (now >= next_size) {
            wanted = 2 + (uint32_t)(storm_random(&seed) % (STORM_WORKERS - 1));
            next_size = now + SECOND;
        }
        if (now >= next_kill && pids[i] > 0) {
            if (storm_random(&seed) % 4 == 0)
                stop_one(i);
            else
                kill_one(i);
            next_kill = now + KILL_MIN_NS + (int64_t)(storm_random(&seed) % KILL_VAR_NS);
        }
        for (uint32_t w = 0; w < wanted; w++)
            if (pids[w] == 0)
                start_worker(w);
        clock_nanosleep(CLOCK_MONOTONIC, 0, &tick, NULL);
    }
}

static void drain(tr_queue *queue)
{
    tr_message *message;

    while (tr_queue_receive(queue, TR_NOWAIT, &message) == 0) {
        const tr_tensor *tensor = tr_message_tensor(message, 0);
        uint64_t number = proof_read(tensor->data, tensor->nbytes);

        if (number < STORM_MESSAGES)
            atomic_fetch_add(&storm.ledger->entries[number].taken, 1);
        else
            atomic_fetch_add(&storm.ledger->torn, 1);
        tr_release(message);
    }
}

/* Nobody waits for them any more. */
static void drain_requests(void)
{
    tr_message *message;

    while (tr_queue_receive(storm.service, TR_NOWAIT, &message) == 0)
        tr_release(message);
}

/* How many slots can't be had any more. */
static uint32_t count_leaks(void)
{
    static tr_message *all[STORM_SLOTS + STORM_LARGE];
    static const char *const keys[] = {"one", "two", "three", "four"};
    uint32_t got = 0;

    for (uint32_t i = 0; i < 4; i++)
        if (tr_board_delete(storm.board, keys[i], TR_ANY_VERSION) == TR_ECORRUPT)
            give_up("delete", TR_ECORRUPT);
    while (got < STORM_SLOTS &&
           tr_loan_bytes(storm.arena, 1024, TR_NOWAIT, &all[got]) == 0)
        got++;
    while (got < STORM_SLOTS + STORM_LARGE &&
           tr_loan_bytes(storm.arena, 32768, TR_NOWAIT, &all[got]) == 0)
        got++;
    for (uint32_t i = 0; i < got; i++)
        tr_release(all[i]);
    return STORM_SLOTS + STORM_LARGE - got;
}

/* Nobody is there any more: what is left? */
static void count(void)
{
    struct verdict verdict;
    struct audit audit;
    struct stat st;
    char path[128];
    tr_stats stats = {.struct_size = sizeof(stats)};
    int code = tr_arena_reap(storm.arena, NULL);

    if (code)
        give_up("reap", code);
    audit_arena(&storm.arena->view, &audit);
    if (audit.fault)
        give_up(audit.fault, 0);
    drain(storm.front);
    drain(storm.back);
    drain_requests();
    ledger_judge(storm.ledger, &verdict);
    totals.messages += verdict.messages;
    totals.lost += verdict.lost;
    totals.doubled += verdict.doubled;
    if (tr_stats_read(storm.arena, &stats) == 0) {
        totals.redelivered += stats.redelivered;
        totals.freed += stats.freed;
    }
    totals.torn += atomic_load(&storm.ledger->torn);
    totals.heard += atomic_load(&storm.ledger->heard);
    totals.looked_up += atomic_load(&storm.ledger->looked_up);
    totals.answered += atomic_load(&storm.ledger->answered);
    totals.leaked += count_leaks();
    storm_close(&storm);
    code = tr_arena_unlink(storm.name);
    snprintf(path, sizeof(path), "/dev/shm/tensoring.%s", storm.name);
    if (code || stat(path, &st) == 0 || errno != ENOENT)
        give_up("the name stays", code);
    munmap(storm.ledger, sizeof(*storm.ledger));
    storm.name[0] = 0;
}

static void one_round(int64_t seconds)
{
    set_up();
    rage(storm_now() + seconds * SECOND);
    atomic_store(&storm.ledger->stop, 1);
    resume_due(0, true);
    for (uint32_t i = 0; i < STORM_WORKERS; i++)
        if (pids[i] > 0)
            bury(i);
    while (waitpid(-1, NULL, 0) > 0) /* children of the killed */
        ;
    pending_count = 0;
    count();
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static double quantile_ms(int64_t *values, uint32_t count, uint32_t permille)
{
    if (!count)
        return 0;
    qsort(values, count, sizeof(*values), compare);
    return (double)values[(uint64_t)(count - 1) * permille / 1000] / 1e6;
}

static void report_victims(void)
{
    static const uint64_t sizes[] = {0, UINT64_C(1) << 30};

    for (uint32_t s = 0; s < 2; s++) {
        int64_t took[5];
        uint32_t n = 0;

        for (uint32_t i = 0; i < 5; i++) {
            took[n] = recovery_time(sizes[s]);
            n += took[n] >= 0;
        }
        printf("a victim with %llu MiB of its own: its message is redelivered after "
               "%.1f ms (median of %u), at most %.1f ms\n",
               (unsigned long long)(sizes[s] >> 20), quantile_ms(took, n, 500), n,
               quantile_ms(took, n, 1000));
    }
}

int main(void)
{
    const char *soak = getenv("TR_SOAK"), *length = getenv("TR_SOAK_SECONDS");
    int64_t seconds = soak && *soak == '1' ? 3600 : 60;
    const char *given = getenv("TR_SEED");

    if (length)
        seconds = atoi(length);
    seed = given ? strtoull(given, NULL, 0) : (uint64_t)storm_now() | 1;
    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int64_t left = seconds; left > 0; left -= 60)
        one_round(left < 60 ? left : 60);
    printf("notice p50 %.1f p99 %.1f max %.1f ms; recovery p50 %.1f max %.1f ms; "
           "%llu redelivered, %llu slots freed, %llu heard, %llu looked up, "
           "%llu answered\n",
           quantile_ms(totals.notice, totals.notices, 500),
           quantile_ms(totals.notice, totals.notices, 990),
           quantile_ms(totals.notice, totals.notices, 1000),
           quantile_ms(totals.recovery, totals.samples, 500),
           quantile_ms(totals.recovery, totals.samples, 1000),
           (unsigned long long)totals.redelivered, (unsigned long long)totals.freed,
           (unsigned long long)totals.heard, (unsigned long long)totals.looked_up,
           (unsigned long long)totals.answered);
    report_victims();
    printf("storm: kills=%llu stops=%llu messages=%llu lost=%llu torn=%llu doubled=%llu "
           "leaked=%llu recovery_p99_ms=%.1f\n",
           (unsigned long long)totals.kills, (unsigned long long)totals.stops,
           (unsigned long long)totals.messages, (unsigned long long)totals.lost,
           (unsigned long long)totals.torn, (unsigned long long)totals.doubled,
           (unsigned long long)totals.leaked,
           quantile_ms(totals.recovery, totals.samples, 990));
    return totals.lost || totals.torn || totals.doubled || totals.leaked;
}
