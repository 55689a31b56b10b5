/* SPDX-License-Identifier: MIT */
/* board: get and release of a key that does not change, over one uncontended pair of atomic
 * read-modify-writes; the size of the value must not matter. */
#include <stdio.h>
#include <stdlib.h>
#include <tensoring/tensoring.h>

#include "harness/bench.h"
#include "harness/report.h"

#define ROUNDS 15u
#define BATCH  64u

static void must(int err, const char *what)
{
    if (err)
        die("%s: %s: %s", what, tr_strerror(err), tr_error_detail());
}

static void time_pair(struct histogram *times)
{
    static _Alignas(128) _Atomic uint64_t word;
    const uint64_t start = clock_ns();

    for (unsigned i = 0; i < 8 * BATCH; i++) {
        atomic_fetch_add_explicit(&word, 1, memory_order_acq_rel);
        atomic_fetch_sub_explicit(&word, 1, memory_order_acq_rel);
    }
    histogram_add(times, (clock_ns() - start) * 1000 / (8 * BATCH));
}

static void time_get(tr_board *board, const char *key, struct histogram *times)
{
    const uint64_t start = clock_ns();

    for (unsigned i = 0; i < BATCH; i++) {
        tr_message *message;
        must(tr_board_get(board, key, &message, NULL), "tr_board_get");
        tr_message_release(message);
    }
    histogram_add(times, (clock_ns() - start) * 1000 / BATCH);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void measure(tr_board *board, const char *key, size_t bytes, unsigned rounds,
                    double seconds)
{
    struct histogram all = {0};
    double ratio[ROUNDS];

    for (unsigned round = 0; round <= rounds; round++) { /* the first one warms up */
        struct histogram get = {0}, pair = {0};
        const uint64_t until = clock_ns() + (uint64_t)(seconds * 1e9 / (rounds + 1));
        while (clock_ns() < until) {
            time_pair(&pair);
            time_get(board, key, &get);
        }
        if (round == 0)
            continue;
        ratio[round - 1] = (double)histogram_percentile(&get, 0.5) /
                           (double)histogram_percentile(&pair, 0.5);
        histogram_merge(&all, &get);
    }
    qsort(ratio, rounds, sizeof ratio[0], by_value);
    struct row row = {.name = "board",
                      .transport = "ours",
                      .mode = MODE_SPIN,
                      .touch = TOUCH_NONE,
                      .bytes = (double)bytes,
                      .cpu_s = seconds};
    row_times(&row, &all);
    row.messages_per_s = 1e9 / row.p50_ns;
    report_row(&row);
    const struct bar bar = {.name = bytes <= 64 ? "board get" : "board get, large value",
                            .what = "get and release / pair of atomic RMWs",
                            .measured = ratio[rounds / 2],
                            .place = "near",
                            .rounds = rounds,
                            .target = 4};
    report_bar(&bar);
}

void bars_board(const struct options *options)
{
    static const size_t sizes[] = {64, 1 << 20, 16 << 20};
    const tr_slot_class classes[] = {{64, 8}, {1 << 20, 2}, {16 << 20, 2}};
    tr_arena_options create = TR_ARENA_OPTIONS_INIT;
    tr_arena *arena;
    tr_board *board;
    char key[32];

    create.classes = classes;
    create.class_count = 3;
    must(tr_arena_create(NULL, &create, &arena), "tr_arena_create");
    must(tr_board_open(arena, "board", NULL, &board), "tr_board_open");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        tr_message *message;
        snprintf(key, sizeof key, "table of %zu", sizes[i]);
        must(tr_message_loan_bytes(arena, sizes[i], TR_FOREVER, &message),
             "tr_message_loan_bytes");
        must(tr_board_put(board, key, message, NULL), "tr_board_put");
        measure(board, key, sizes[i], options->seconds < 1 ? 1 : ROUNDS,
                options->seconds / 3);
    }
    tr_board_close(board);
    tr_arena_close(arena);
}

void case_board(const struct options *options)
{
    bars_board(options);
    report_bars_table();
}
