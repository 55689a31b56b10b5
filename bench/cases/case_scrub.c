/* SPDX-License-Identifier: MIT */
/* A part of cycle: what TR_ARENA_SCRUB adds to a loan, send, receive and release, by size. */
#include <tensoring/tensoring.h>

#include "harness/bench.h"
#include "harness/report.h"

struct pair {
    tr_arena *arena;
    tr_queue *queue;
};

static void must(int err, const char *what)
{
    if (err)
        die("%s: %s: %s", what, tr_strerror(err), tr_error_detail());
}

static void pair_open(struct pair *pair, uint64_t bytes, uint32_t flags)
{
    const tr_slot_class class = {bytes, 2};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;

    options.flags = TR_ARENA_POPULATE | flags;
    options.classes = &class;
    options.class_count = 1;
    must(tr_arena_create(NULL, &options, &pair->arena), "tr_arena_create");
    must(tr_queue_open(pair->arena, "q", NULL, &pair->queue), "tr_queue_open");
}

static void pair_close(struct pair *pair)
{
    tr_queue_close(pair->queue);
    tr_arena_close(pair->arena);
}

/* Picoseconds of one cycle. */
static uint64_t turn(struct pair *pair, uint64_t bytes, unsigned batch)
{
    const uint64_t start = clock_ns();
    tr_message *message;

    for (unsigned i = 0; i < batch; i++) {
        must(tr_message_loan_bytes(pair->arena, bytes, TR_FOREVER, &message),
             "tr_message_loan_bytes");
        must(tr_queue_send(pair->queue, message, TR_FOREVER), "tr_queue_send");
        must(tr_queue_receive(pair->queue, TR_FOREVER, &message), "tr_queue_receive");
        must(tr_message_release(message), "tr_message_release");
    }
    return (clock_ns() - start) * 1000 / batch;
}

static void report(const char *transport, uint64_t bytes, const struct histogram *times)
{
    struct row row = {.name = "cycle-scrub",
                      .transport = transport,
                      .mode = MODE_SPIN,
                      .touch = TOUCH_NONE,
                      .bytes = (double)bytes};

    row_times(&row, times);
    row.messages_per_s = 1e9 / row.p50_ns;
    row.bytes_per_s = row.bytes * row.messages_per_s;
    report_row(&row);
}

static void one_size(uint64_t bytes, double seconds)
{
    static const uint32_t flags[2] = {0, TR_ARENA_SCRUB};
    const unsigned batch = bytes < 65536 ? 64 : 1;
    struct histogram times[2] = {0};
    struct pair pairs[2];
    uint64_t until;

    for (unsigned i = 0; i < 2; i++)
        pair_open(&pairs[i], bytes, flags[i]);
    until = clock_ns() + (uint64_t)(seconds * 1e9);
    do /* by turns, so that both meet the same machine */
        for (unsigned i = 0; i < 2; i++)
            histogram_add(&times[i], turn(&pairs[i], bytes, batch));
    while (clock_ns() < until);
    report("plain", bytes, &times[0]);
    report("scrub", bytes, &times[1]);
    for (unsigned i = 0; i < 2; i++)
        pair_close(&pairs[i]);
}

void cycle_scrub(double seconds)
{
    static const uint64_t sizes[] = {64, 64 << 10, 1 << 20, 16 << 20};

    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        one_size(sizes[i], seconds / 4);
}
