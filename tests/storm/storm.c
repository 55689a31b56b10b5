/* SPDX-License-Identifier: MIT */
/* storm.c - the process that starts, kills, stops and replaces the workers, and counts in the
 * end. For 15 s, 60 with TR_SOAK=1, or TR_SOAK_SECONDS, in rounds of at most 15 s.
 * TR_STORM="fork exec" says what they do besides their work, see storm.h. */
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

#include "ipc/liveness/participant.h"
#include "src/arena/arena.h"
#include "tests/crash/audit.h"

#define SECOND      INT64_C(1000000000)
#define KILL_MIN_NS INT64_C(5000000)
#define KILL_VAR_NS INT64_C(25000000)
#define SAMPLES     200000
#define PENDING     64
#define ROUND       15
/* How long a process may take to hear that the round is over; it is wedged then. TR_PATIENCE
 * multiplies it. */
#define WEDGED_NS (30 * SECOND)

/* What works, of WILD_ACTIONS. Sanitizers need all the address space that there is. */
#define WILD "fork exec close cancel namespace names lazy"
#ifdef TR_INSTRUMENTED
#define DEFAULT_WILD WILD
#else
#define DEFAULT_WILD WILD " limit"
#endif

/* A death that the others have not dealt with yet. */
struct pending {
    uint32_t who;
    uint64_t word;
    int64_t killed;
    bool noticed;
};

struct totals {
    uint64_t kills, stops, messages, lost, torn, doubled, leaked, wedged, split,
        redelivered, freed, heard, looked_up, answered, told;
    uint64_t wild[WILD_COUNT], created, attached, swept, unlinked;
    uint32_t samples, notices;
    int64_t recovery[SAMPLES], notice[SAMPLES];
};

static struct storm storm;
static struct totals totals;
static pid_t pids[STORM_PROCESSES];
static int64_t resume_at[STORM_PROCESSES]; /* 0: not stopped */
static struct pending pending[PENDING];
static uint32_t pending_count;
static uint64_t seed;

/* Children of this process: those of the killed, too, because it is their reaper. */
static void kill_children(void (*tell)(pid_t pid))
{
    FILE *file = fopen("/proc/thread-self/children", "re");
    int pid;

    while (file && fscanf(file, "%d", &pid) == 1) {
        if (tell)
            tell(pid);
        kill(pid, SIGKILL);
    }
    if (file)
        fclose(file);
}

static _Noreturn void give_up(const char *what, int code)
{
    fprintf(stderr, "storm: %s: %s: %s\n", what, code ? tr_error_name(code) : "",
            tr_error_detail());
    do
        kill_children(NULL);
    while (waitpid(-1, NULL, 0) > 0);
    if (storm.name[0] && tr_arena_unlink(storm.name))
        fprintf(stderr, "storm: the name stays\n");
    names_remove(&storm);
    wild_tear_down(&storm);
    exit(1);
}

static void start_worker(uint32_t i)
{
    uint64_t own = storm_random(&seed);
    pid_t pid = fork();

    if (pid == 0 && i < STORM_WORKERS)
        storm_work(&storm, i, own);
    if (pid == 0)
        names_work(&storm, i, own);
    if (pid < 0)
        give_up("fork", 0);
    pids[i] = pid;
    resume_at[i] = 0;
}

/* Remember which entry must be dealt with. */
static void mourn(pid_t pid, int64_t now)
{
    const struct view *view = &arena_known(storm.arena)->view;

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
        uint64_t word = shm_get(
            &view_participant(&arena_known(storm.arena)->view, one->who)->word);

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

/* One has ended: a worker, or the child of one that was killed. */
static void buried(pid_t pid, int status)
{
    char what[64];

    for (uint32_t i = 0; i < STORM_PROCESSES; i++)
        if (pids[i] == pid)
            pids[i] = 0;
    if (!storm_failed(status))
        return;
    snprintf(what, sizeof(what), "process %d ended with %s %d", (int)pid,
             WIFSIGNALED(status) ? "signal" : "status",
             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    give_up(what, 0);
}

static void bury(uint32_t i)
{
    pid_t pid = pids[i];
    int status;

    if (waitpid(pid, &status, 0) != pid)
        give_up("wait", 0);
    buried(pid, status);
}

/* Some end by themselves. */
static void bury_the_ended(int64_t now)
{
    siginfo_t info = {0};
    int status;

    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid) {
        mourn(info.si_pid, now);
        if (waitpid(info.si_pid, &status, 0) == info.si_pid)
            buried(info.si_pid, status);
        info.si_pid = 0;
    }
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
    for (uint32_t i = 0; i < STORM_PROCESSES; i++)
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
    options.max_participants = 200;
    options.eventfds = 24;      /* for some of them */
    options.max_channels = 240; /* an inbox each */
    options.ring_bytes = 4 << 20;
    if (storm.wild & 1U << WILD_LAZY && storm_random(&seed) % 2)
        options.flags |= TR_ARENA_LAZY;
    storm.ledger_fd = memfd_create("ledger", MFD_CLOEXEC);
    if (storm.ledger_fd < 0 || ftruncate(storm.ledger_fd, sizeof(*storm.ledger)))
        give_up("no ledger", 0);
    storm.ledger = mmap(NULL, sizeof(*storm.ledger), PROT_READ | PROT_WRITE, MAP_SHARED,
                        storm.ledger_fd, 0);
    if (storm.ledger == MAP_FAILED)
        give_up("no memory for the ledger", 0);
    storm.main_pid = getpid();
    snprintf(storm.name, sizeof(storm.name), "storm.%d", (int)getpid());
    wild_set_up(&storm);
    code = tr_arena_create(storm.name, &options, &storm.arena);
    if (code)
        give_up("create", code);
    code = storm_open(&storm);
    if (code)
        give_up("open", code);
}

/* Some of the workers, and all processes of names.c. */
static bool is_wanted(uint32_t i, uint32_t workers)
{
    return i < workers || (i >= STORM_WORKERS && storm.wild & 1U << WILD_NAMES);
}

static void rage(int64_t until)
{
    int64_t next_kill = storm_now(), next_size = 0;
    uint32_t wanted = 8;

    for (;;) {
        static const struct timespec tick = {.tv_nsec = 500000};
        int64_t now = storm_now();
        uint32_t i = (uint32_t)(storm_random(&seed) % STORM_PROCESSES);

        if (now >= until || atomic_load(&storm.ledger->stop))
            return;
        watch_recovery(now);
        bury_the_ended(now);
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
        for (uint32_t w = 0; w < STORM_PROCESSES; w++)
            if (pids[w] == 0 && is_wanted(w, wanted))
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
        tr_message_release(message);
    }
}

/* Nobody waits for them any more. */
static void drain_requests(void)
{
    tr_message *message;

    while (tr_queue_receive(storm.service, TR_NOWAIT, &message) == 0)
        tr_message_release(message);
}

/* How many slots can't be had any more. */
static uint32_t count_leaks(void)
{
    static tr_message *all[STORM_SLOTS + STORM_LARGE];
    static const char *const keys[] = {"one", "two", "three", "four"};
    uint32_t got = 0;

    for (uint32_t i = 0; i < 4; i++)
        if (tr_board_delete(storm.board, keys[i], TR_BOARD_ANY_VERSION) == TR_ECORRUPT)
            give_up("delete", TR_ECORRUPT);
    while (got < STORM_SLOTS &&
           tr_message_loan_bytes(storm.arena, 1024, TR_NOWAIT, &all[got]) == 0)
        got++;
    while (got < STORM_SLOTS + STORM_LARGE &&
           tr_message_loan_bytes(storm.arena, 32768, TR_NOWAIT, &all[got]) == 0)
        got++;
    for (uint32_t i = 0; i < got; i++)
        tr_message_release(all[i]);
    return STORM_SLOTS + STORM_LARGE - got;
}

static void add_wild(void)
{
    const struct names_ledger *names = &storm.ledger->names;

    for (uint32_t i = 0; i < WILD_COUNT; i++)
        totals.wild[i] += atomic_load(&storm.ledger->wild[i]);
    totals.created += atomic_load(&names->created);
    totals.attached += atomic_load(&names->attached);
    totals.swept += atomic_load(&names->swept);
    totals.unlinked += atomic_load(&names->unlinked);
    totals.split += atomic_load(&names->split);
}

/* Nobody is there any more: what is left? */
static void count(void)
{
    struct verdict verdict;
    struct audit audit;
    const char *fault;
    struct stat st;
    char path[128];
    tr_stats stats = TR_STATS_INIT;
    int code = tr_arena_reap(storm.arena, NULL);

    if (code)
        give_up("reap", code);
    audit_arena(&arena_known(storm.arena)->view, &audit);
    if (audit.fault)
        give_up(audit.fault, 0);
    fault = names_judge(&storm);
    if (fault)
        give_up(fault, 0);
    drain(storm.front);
    drain(storm.back);
    drain_requests();
    ledger_judge(storm.ledger, &verdict);
    totals.messages += verdict.messages;
    totals.lost += verdict.lost;
    totals.doubled += verdict.doubled;
    if (tr_stats_get(storm.arena, &stats) == 0) {
        totals.redelivered += stats.redelivered;
        totals.freed += stats.freed;
    }
    totals.torn += atomic_load(&storm.ledger->torn);
    totals.heard += atomic_load(&storm.ledger->heard);
    totals.looked_up += atomic_load(&storm.ledger->looked_up);
    totals.answered += atomic_load(&storm.ledger->answered);
    totals.told += atomic_load(&storm.ledger->told);
    add_wild();
    totals.leaked += count_leaks();
    storm_close(&storm);
    code = tr_arena_unlink(storm.name);
    snprintf(path, sizeof(path), "/dev/shm/tensoring.%s", storm.name);
    if (code || stat(path, &st) == 0 || errno != ENOENT)
        give_up("the name stays", code);
    munmap(storm.ledger, sizeof(*storm.ledger));
    close(storm.ledger_fd);
    wild_tear_down(&storm);
    storm.name[0] = 0;
}

static void show_file(pid_t pid, const char *what)
{
    char path[64], text[256];
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, what);
    file = fopen(path, "re");
    if (file && fgets(text, sizeof(text), file))
        fprintf(stderr, "storm: %s: %s\n", path, text);
    if (file)
        fclose(file);
}

/* A process that is still there does not react: show where it is. */
static void tell_wedged(pid_t pid)
{
    totals.wedged++;
    show_file(pid, "wchan");
    show_file(pid, "syscall");
    show_file(pid, "cmdline");
}

/* Until all have ended: workers, and children of the killed. */
static void wait_for_all(void)
{
    static const struct timespec tick = {.tv_nsec = 1000000};
    const char *patience = getenv("TR_PATIENCE");
    int64_t times = patience ? atoi(patience) : 1;
    int64_t limit = storm_now() + WEDGED_NS * (times > 0 ? times : 1);
    siginfo_t info = {0};

    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0) {
        bury_the_ended(storm_now());
        if (storm_now() > limit) {
            kill_children(tell_wedged);
            limit += SECOND;
        }
        clock_nanosleep(CLOCK_MONOTONIC, 0, &tick, NULL);
    }
}

static void one_round(int64_t seconds)
{
    set_up();
    rage(storm_now() + seconds * SECOND);
    atomic_store(&storm.ledger->stop, 1);
    resume_due(0, true);
    wait_for_all();
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

/* TR_STORM, or what works. */
static uint32_t chosen(void)
{
    static const char *const names[] = {
#define WILD_TEXT(name, text) text,
        WILD_ACTIONS(WILD_TEXT)
#undef WILD_TEXT
    };
    const char *given = getenv("TR_STORM");
    uint32_t set = 0;
    char text[128];

    snprintf(text, sizeof(text), "%s", given ? given : DEFAULT_WILD);
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) {
        uint32_t i = 0;

        while (i < WILD_COUNT && strcmp(word, names[i]) != 0)
            i++;
        if (i == WILD_COUNT)
            give_up("there is no such action in TR_STORM", 0);
        set |= 1U << i;
    }
    return set;
}

static void report_wild(void)
{
    printf(
        "with messages in hand: %llu forks, %llu execs, %llu times all descriptors "
        "closed, %llu times threads cancelled, %llu visits to namespaces, %llu with "
        "little memory; names: %llu created, %llu attached, %llu swept, %llu unlinked\n",
        (unsigned long long)totals.wild[WILD_FORK],
        (unsigned long long)totals.wild[WILD_EXEC],
        (unsigned long long)totals.wild[WILD_CLOSE],
        (unsigned long long)totals.wild[WILD_CANCEL],
        (unsigned long long)totals.wild[WILD_NAMESPACE],
        (unsigned long long)totals.wild[WILD_LIMIT], (unsigned long long)totals.created,
        (unsigned long long)totals.attached, (unsigned long long)totals.swept,
        (unsigned long long)totals.unlinked);
}

int main(int argc, char **argv)
{
    const char *soak = getenv("TR_SOAK"), *length = getenv("TR_SOAK_SECONDS");
    int64_t seconds = soak && *soak == '1' ? 60 : 15;
    const char *given = getenv("TR_SEED");

    if (argc > 1 && strcmp(argv[1], "exec") == 0)
        return wild_executed(argc, argv);
    if (length)
        seconds = atoi(length);
    storm.wild = chosen();
    seed = given ? strtoull(given, NULL, 0) : (uint64_t)storm_now() | 1;
    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int64_t left = seconds; left > 0; left -= ROUND)
        one_round(left < ROUND ? left : ROUND);
    printf("notice p50 %.1f p99 %.1f max %.1f ms; recovery p50 %.1f max %.1f ms; "
           "%llu redelivered, %llu slots freed, %llu heard, %llu looked up, "
           "%llu answered, %llu told by descriptor\n",
           quantile_ms(totals.notice, totals.notices, 500),
           quantile_ms(totals.notice, totals.notices, 990),
           quantile_ms(totals.notice, totals.notices, 1000),
           quantile_ms(totals.recovery, totals.samples, 500),
           quantile_ms(totals.recovery, totals.samples, 1000),
           (unsigned long long)totals.redelivered, (unsigned long long)totals.freed,
           (unsigned long long)totals.heard, (unsigned long long)totals.looked_up,
           (unsigned long long)totals.answered, (unsigned long long)totals.told);
    report_wild();
    report_victims();
    printf("storm: kills=%llu stops=%llu messages=%llu lost=%llu torn=%llu doubled=%llu "
           "leaked=%llu wedged=%llu split=%llu recovery_p99_ms=%.1f\n",
           (unsigned long long)totals.kills, (unsigned long long)totals.stops,
           (unsigned long long)totals.messages, (unsigned long long)totals.lost,
           (unsigned long long)totals.torn, (unsigned long long)totals.doubled,
           (unsigned long long)totals.leaked, (unsigned long long)totals.wedged,
           (unsigned long long)totals.split,
           quantile_ms(totals.recovery, totals.samples, 990));
    return totals.lost || totals.torn || totals.doubled || totals.leaked ||
           totals.wedged || totals.split;
}
