/* SPDX-License-Identifier: MIT */
/* queue.c - many senders, many receivers, one queue; nothing lost, doubled, torn or out of
 * order. The same body runs as threads on one mapping, where ThreadSanitizer sees every
 * access, and as forked processes.
 *
 *   stress_queue threads|processes SENDERS RECEIVERS MESSAGES CAPACITY SLOTS [relay] [onecore]
 *
 * A payload proves itself: sender, sequence number, length, and a checksum over it all. */
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tensoring/tensoring.h>

#include "ipc/exchange/slot.h"
#include "src/arena/arena.h"

#define MAX_PARTIES 64
#define MAX_WORDS   500
#define PATIENCE    (INT64_C(60) * 1000 * 1000 * 1000) /* ns: it hangs */

struct plan {
    bool processes, relay, one_core;
    uint32_t senders, receivers, messages, capacity, slots;
};

/* Shared by all. Words that are counted are relaxed throughout, so that nothing but the
 * queue orders the payloads. */
struct board {
    _Atomic uint32_t received;
    _Atomic uint32_t failed;
    _Atomic uint8_t seen[]; /* one for each sender and sequence number */
};

static struct plan plan;
static struct board *board;
static tr_arena *arena;
static tr_queue *front,
    *back; /* a relay moves from one to the other; else they are one */

static int complain(const char *what, uint64_t a, uint64_t b)
{
    fprintf(stderr, "%s (%llu, %llu): %s\n", what, (unsigned long long)a,
            (unsigned long long)b, tr_error_detail());
    atomic_store_explicit(&board->failed, 1, memory_order_relaxed);
    return 1;
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 33) * UINT64_C(0xff51afd7ed558ccd);
    return x ^ x >> 33;
}

static void fill(uint64_t *words, uint64_t n, uint64_t sender, uint64_t sequence)
{
    uint64_t sum = 0;

    words[0] = sender;
    words[1] = sequence;
    words[2] = n;
    for (uint64_t i = 3; i + 1 < n; i++)
        words[i] = mix(sender << 32 ^ sequence ^ i << 48);
    for (uint64_t i = 0; i + 1 < n; i++)
        sum = mix(sum ^ words[i]);
    words[n - 1] = sum;
}

static int send_all(uint32_t sender)
{
    for (uint32_t k = 0; k < plan.messages; k++) {
        int64_t n = 4 + (int64_t)(mix(sender ^ (uint64_t)k << 20) % (MAX_WORDS - 4));
        const tr_tensor_spec spec = {
            .dtype = {TR_DTYPE_UINT, 64, 1}, .ndim = 1, .shape = &n, .name = "proof"};
        tr_message *message;
        int err = tr_message_loan(arena, &spec, 1, PATIENCE, &message);

        if (err)
            return complain(tr_error_name(err), sender, k);
        fill(tr_message_tensor(message, 0)->data, (uint64_t)n, sender, k);
        err = tr_queue_send(front, message, PATIENCE);
        if (err)
            return complain(tr_error_name(err), sender, k);
    }
    return 0;
}

static int relay_all(void)
{
    for (;;) {
        tr_message *message;
        int err = tr_queue_receive(front, PATIENCE, &message);

        if (err == TR_ECLOSED) {
            tr_queue_shutdown(back);
            return 0;
        }
        if (!err)
            err = tr_queue_send(back, message, PATIENCE);
        if (err)
            return complain("relay", 0, 0);
    }
}

/* One message that came: @p last is what this receiver had last of each sender, + 1. */
static int inspect(const tr_message *message, uint32_t *last)
{
    const tr_tensor *tensor = tr_message_tensor(message, 0);
    const uint64_t *words = tensor->data;
    uint64_t n = tensor->nbytes / 8, copy[MAX_WORDS];

    if (n < 4 || n > MAX_WORDS || words[2] != n || words[0] >= plan.senders ||
        words[1] >= plan.messages)
        return complain("torn head", words[0], words[1]);
    fill(copy, n, words[0], words[1]);
    if (memcmp(copy, words, n * 8) != 0)
        return complain("torn payload", words[0], words[1]);
    if (words[1] < last[words[0]])
        return complain("out of order", words[1], last[words[0]]);
    last[words[0]] = (uint32_t)words[1] + 1;
    if (atomic_exchange_explicit(&board->seen[words[0] * plan.messages + words[1]], 1,
                                 memory_order_relaxed))
        return complain("doubled", words[0], words[1]);
    atomic_fetch_add_explicit(&board->received, 1, memory_order_relaxed);
    return 0;
}

static int receive_all(void)
{
    uint32_t last[MAX_PARTIES] = {0};

    for (;;) {
        tr_message *message;
        int err = tr_queue_receive(back, PATIENCE, &message);

        if (err == TR_ECLOSED)
            return 0;
        if (err)
            return complain(tr_error_name(err), 0, 0);
        err = inspect(message, last);
        tr_message_release(message);
        if (err)
            return 1;
    }
}

/* Party 0 is the relay, if there is one; then senders; then receivers. */
static int run_party(uint32_t party)
{
    if (party == 0)
        return plan.relay ? relay_all() : 0;
    return party <= plan.senders ? send_all(party - 1) : receive_all();
}

static void *thread_party(void *party)
{
    return (void *)(intptr_t)run_party((uint32_t)(uintptr_t)party);
}

static int run_threads(uint32_t parties)
{
    pthread_t threads[2 * MAX_PARTIES + 1];
    int bad = 0;

    for (uint32_t i = 0; i < parties; i++)
        if (pthread_create(&threads[i], NULL, thread_party, (void *)(uintptr_t)i))
            return 1;
    for (uint32_t i = 1; i <= plan.senders; i++) {
        pthread_join(threads[i], NULL);
    }
    tr_queue_shutdown(front);
    for (uint32_t i = 0; i < parties; i++) {
        if (i == 0 || i > plan.senders)
            bad |= pthread_join(threads[i], NULL);
    }
    return bad;
}

static int run_processes(uint32_t parties)
{
    pid_t pids[2 * MAX_PARTIES + 1];
    int bad = 0;

    for (uint32_t i = 0; i < parties; i++) {
        pids[i] = fork();
        if (pids[i] < 0)
            return 1;
        if (pids[i] == 0)
            _exit(run_party(i));
    }
    for (uint32_t turn = 0; turn < 2; turn++) { /* the senders first */
        for (uint32_t i = 0; i < parties; i++) {
            int status = 0;

            if ((i >= 1 && i <= plan.senders) != (turn == 0))
                continue;
            if (waitpid(pids[i], &status, 0) != pids[i] || status != 0)
                bad = 1;
        }
        tr_queue_shutdown(front);
    }
    return bad;
}

/* A slot's generation wraps after minutes of heavy use: let that happen in this test. */
static void near_the_wrap(void)
{
    const struct view *view = &arena_known(arena)->view;

    for (uint32_t i = 0; i < view->geo.slot_count; i++)
        atomic_store_explicit(&view_record(view, i)->owner,
                              slot_word(SLOT_FREE, SLOT_NOBODY, 0, 0, UINT32_MAX - 2),
                              memory_order_relaxed);
}

static int set_up(void)
{
    tr_slot_class class = {MAX_WORDS * 8, plan.slots};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_queue_options queue = TR_QUEUE_OPTIONS_INIT;

    options.classes = &class;
    options.class_count = 1;
    options.max_participants = 2 * MAX_PARTIES + 2;
    queue.capacity = plan.capacity;
    if (tr_arena_create(NULL, &options, &arena) ||
        tr_queue_open(arena, "front", &queue, &front))
        return complain("set up", 0, 0);
    back = front;
    if (plan.relay && tr_queue_open(arena, "back", &queue, &back))
        return complain("set up", 0, 0);
    near_the_wrap();
    return 0;
}

static int check_end(void)
{
    tr_stats stats = TR_STATS_INIT;
    uint32_t expected = plan.senders * plan.messages;

    if (board->received != expected)
        return complain("lost", board->received, expected);
    if (tr_stats_get(arena, &stats) || stats.slots_free != stats.slots)
        return complain("leaked", stats.slots_free, stats.slots);
    return board->failed != 0;
}

static bool parse(int argc, char **argv)
{
    const char *soak = getenv("TR_SOAK");

    if (argc < 7)
        return false;
    plan.processes = strcmp(argv[1], "processes") == 0;
    plan.senders = (uint32_t)atoi(argv[2]);
    plan.receivers = (uint32_t)atoi(argv[3]);
    plan.messages = (uint32_t)atoi(argv[4]) * (soak && *soak == '1' ? 20 : 1);
    plan.capacity = (uint32_t)atoi(argv[5]);
    plan.slots = (uint32_t)atoi(argv[6]);
    for (int i = 7; i < argc; i++) {
        plan.relay |= strcmp(argv[i], "relay") == 0;
        plan.one_core |= strcmp(argv[i], "onecore") == 0;
    }
    return plan.senders >= 1 && plan.senders <= MAX_PARTIES && plan.receivers >= 1 &&
           plan.receivers <= MAX_PARTIES && plan.messages && plan.capacity && plan.slots;
}

static void one_core(void)
{
    cpu_set_t one;
    int cpu = sched_getcpu();

    CPU_ZERO(&one);
    CPU_SET((size_t)(cpu < 0 ? 0 : cpu), &one);
    sched_setaffinity(0, sizeof(one), &one);
}

int main(int argc, char **argv)
{
    size_t bytes;
    int bad;

    if (!parse(argc, argv))
        return 2;
    if (plan.one_core)
        one_core();
    bytes = sizeof(*board) + (size_t)plan.senders * plan.messages;
    board = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED || set_up())
        return 2;
    bad = plan.processes ? run_processes(1 + plan.senders + plan.receivers)
                         : run_threads(1 + plan.senders + plan.receivers);
    bad |= check_end();
    if (back != front)
        tr_queue_close(back);
    tr_queue_close(front);
    tr_arena_close(arena);
    return bad ? 1 : 0;
}
