/* SPDX-License-Identifier: MIT */
/* attach: an arena whose pages are there already, attached to, and every page looked at;
 * beside MAP_POPULATE of the same memory, looked at in the same way. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <tensoring/tensoring.h>
#include <unistd.h>

#include "harness/bench.h"
#include "harness/report.h"

struct attach {
    double ratio[COMPARISON_ROUNDS];
    struct histogram ours, populate; /* picoseconds */
};

static uint64_t look_at(const void *memory, size_t bytes)
{
    const uint8_t *at = memory;
    uint64_t sum = 0;

    for (size_t i = 0; i < bytes; i += 4096)
        sum += at[i];
    return sum;
}

static uint64_t time_attach(const char *name, uint64_t *sum)
{
    tr_arena *arena;
    tr_arena_info info = TR_ARENA_INFO_INIT;
    const uint64_t start = clock_ns();

    if (tr_arena_attach(name, NULL, &arena) != 0)
        die("tr_arena_attach: %s", tr_error_detail());
    const uint64_t attached = clock_ns();
    if (tr_arena_info_get(arena, &info) != 0)
        die("tr_arena_info_get: %s", tr_error_detail());
    const uint64_t look = clock_ns();
    *sum += look_at(info.base, info.total_bytes);
    const uint64_t took = clock_ns() - look + attached - start;
    tr_arena_close(arena);
    return took;
}

static uint64_t time_populate(int fd, size_t bytes, uint64_t *sum)
{
    const uint64_t start = clock_ns();
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                        fd, 0);

    if (memory == MAP_FAILED)
        die("mmap: %s", strerror(errno));
    *sum += look_at(memory, bytes);
    const uint64_t took = clock_ns() - start;
    munmap(memory, bytes);
    return took;
}

static _Noreturn void measure(const char *name, int fd, size_t bytes, struct attach *out,
                              unsigned rounds)
{
    struct end nobody = {0};
    uint64_t sum = 0;

    (void)member_prepare(&nobody, 1, 2, 64);
    for (unsigned round = 0; round <= rounds; round++) { /* the first one warms up */
        const uint64_t ours = time_attach(name, &sum);
        const uint64_t populate = time_populate(fd, bytes, &sum);
        if (round == 0)
            continue;
        out->ratio[round - 1] = (double)ours / (double)populate;
        histogram_add(&out->ours, ours * 1000);
        histogram_add(&out->populate, populate * 1000);
    }
    _exit(sum == UINT64_MAX); /* the sum must not be optimized away */
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void report(const char *transport, const struct histogram *times, size_t bytes)
{
    struct row row = {.name = "attach",
                      .transport = transport,
                      .mode = MODE_BLOCK,
                      .touch = TOUCH_READWRITE,
                      .bytes = (double)bytes};

    row_times(&row, times);
    row.messages_per_s = 1e9 / row.p50_ns;
    row.bytes_per_s = (double)bytes * row.messages_per_s;
    report_row(&row);
}

struct ratio attach_ratio(size_t bytes, unsigned rounds)
{
    char name[64];
    tr_arena *arena;
    struct attach *attach = map_shared(sizeof *attach);
    struct ratio answer = {.rounds = 0};
    const tr_slot_class class = {1 << 20, bytes >> 20 ? bytes >> 20 : 1};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_arena_info info = TR_ARENA_INFO_INIT;
    int status;

    snprintf(name, sizeof name, "bench-%ld", (long)getpid());
    options.flags = TR_ARENA_POPULATE;
    options.classes = &class;
    options.class_count = 1;
    if (tr_arena_create(name, &options, &arena) != 0)
        die("tr_arena_create: %s", tr_error_detail());
    if (tr_arena_info_get(arena, &info) != 0)
        die("tr_arena_info_get: %s", tr_error_detail());
    const pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        measure(name, info.fd, info.total_bytes, attach, rounds);
    }
    if (pid > 0 && waitpid(pid, &status, 0) == pid && status == 0) {
        qsort(attach->ratio, rounds, sizeof attach->ratio[0], by_value);
        answer = (struct ratio){.value = attach->ratio[rounds / 2], .rounds = rounds};
        report("ours", &attach->ours, info.total_bytes);
        report("populate", &attach->populate, info.total_bytes);
    }
    if (tr_arena_unlink(name) != 0)
        die("tr_arena_unlink: %s", tr_error_detail());
    tr_arena_close(arena);
    unmap_shared(attach, sizeof *attach);
    return answer;
}

void case_attach(const struct options *options)
{
    const size_t bytes = options->bytes ? options->bytes : (size_t)128 << 20;

    if (attach_ratio(bytes, options->seconds < 1 ? 3 : 9).rounds == 0)
        die("attaching could not be measured");
}
